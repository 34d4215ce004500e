/* The parser of PTX: recursive descent, one token ahead. After a failure the scanner's text has
 * ended, so every loop ends too. */
#include "tests/vgpu/ptx_parse.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    Scanner scanner;
    Token token;
    PtxModule *module;
    PtxFunction *function; /* that is being read */
    uint32_t cuda_line;
} Parser;

static const struct {
    const char *name;
    Type type;
    uint32_t bytes;
} types[] = {
    {"pred", T_PRED, 0},  {"b8", T_B8, 1},       {"u8", T_U8, 1},         {"s8", T_S8, 1},
    {"b16", T_B16, 2},    {"u16", T_U16, 2},     {"s16", T_S16, 2},       {"f16", T_F16, 2},
    {"bf16", T_BF16, 2},  {"b32", T_B32, 4},     {"u32", T_U32, 4},       {"s32", T_S32, 4},
    {"f32", T_F32, 4},    {"f16x2", T_F16X2, 4}, {"bf16x2", T_BF16X2, 4}, {"tf32", T_TF32, 4},
    {"b64", T_B64, 8},    {"u64", T_U64, 8},     {"s64", T_S64, 8},       {"f64", T_F64, 8},
    {"b128", T_B128, 16},
};

Type ptx_type(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) return types[i].type;
    return T_NONE;
}

uint32_t ptx_type_bytes(Type type) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) return types[i].bytes;
    return 0;
}

/* ---- tokens ---- */

static void advance(Parser *p) {
    p->token = ptx_scan(&p->scanner);
}

static bool is_mark(const Parser *p, char mark) {
    return p->token.kind == TOKEN_MARK && p->token.mark == mark;
}

static bool is_directive(const Parser *p, const char *name) {
    return p->token.kind == TOKEN_DIRECTIVE && !strcmp(p->token.text, name);
}

static bool take_mark(Parser *p, char mark) {
    if (!is_mark(p, mark)) return false;
    advance(p);
    return true;
}

static bool take_directive(Parser *p, const char *name) {
    if (!is_directive(p, name)) return false;
    advance(p);
    return true;
}

static const char *shown(const Parser *p) {
    PtxArena *arena = p->scanner.arena;
    switch (p->token.kind) {
    case TOKEN_END: return "the end of the text";
    case TOKEN_MARK: return ptx_format(arena, "'%c'", p->token.mark);
    case TOKEN_WORD:
    case TOKEN_DIRECTIVE: return ptx_format(arena, "'%s'", p->token.text);
    case TOKEN_STRING: return "a string";
    default: return "a number";
    }
}

static void unexpected(Parser *p, const char *wanted) {
    ptx_fail(&p->scanner, p->token.line, "%s where %s is wanted", shown(p), wanted);
    p->token = (Token){.kind = TOKEN_END, .line = p->token.line};
}

static void want_mark(Parser *p, char mark) {
    if (!take_mark(p, mark)) unexpected(p, ptx_format(p->scanner.arena, "'%c'", mark));
}

static const char *want_word(Parser *p, const char *what) {
    const char *text = p->token.text;
    if (p->token.kind == TOKEN_WORD)
        advance(p);
    else
        unexpected(p, what), text = "";
    return text;
}

static uint64_t want_integer(Parser *p) {
    uint64_t value = p->token.value;
    if (p->token.kind != TOKEN_INTEGER) unexpected(p, "an integer");
    advance(p);
    return value;
}

static Type want_type(Parser *p) {
    Type type = p->token.kind == TOKEN_DIRECTIVE ? ptx_type(p->token.text + 1) : T_NONE;
    if (p->token.kind == TOKEN_DIRECTIVE && type == T_NONE)
        ptx_fail(&p->scanner, p->token.line, "unknown type '%s'", p->token.text);
    else if (type == T_NONE)
        unexpected(p, "a type");
    advance(p);
    return type;
}

static uint64_t take_signed(Parser *p) {
    take_mark(p, '+');
    bool minus = take_mark(p, '-'); /* [%rd1+-8] */
    uint64_t value = want_integer(p);
    return minus ? 0 - value : value;
}

/* ---- operands ---- */

static PtxOperand parse_operand(Parser *p);

static void parse_list(Parser *p, char end, PtxOperand *operand) {
    operand->kind = PTX_LIST;
    while (!is_mark(p, end) && p->token.kind != TOKEN_END) {
        PtxOperand element = parse_operand(p);
        *PTX_PUSH(p->scanner.arena, operand->list, operand->count) = element;
        if (!take_mark(p, ',')) break;
    }
    want_mark(p, end);
}

static void parse_address(Parser *p, PtxOperand *operand) {
    operand->kind = PTX_ADDRESS;
    if (p->token.kind == TOKEN_WORD) operand->name = want_word(p, "a name");
    if (!operand->name || !is_mark(p, ']')) operand->value = take_signed(p);
    want_mark(p, ']');
}

/* -0f… does not exist: only integers have a sign, and decimal fractions. */
static void parse_number(Parser *p, PtxOperand *operand) {
    bool minus = take_mark(p, '-');
    operand->value = p->token.value;
    switch (p->token.kind) {
    case TOKEN_INTEGER:
        operand->kind = PTX_INTEGER;
        if (minus) operand->value = 0 - operand->value;
        break;
    case TOKEN_F32:
        operand->kind = PTX_F32;
        if (minus) operand->value ^= UINT64_C(1) << 31;
        break;
    case TOKEN_F64:
        operand->kind = PTX_F64;
        if (minus) operand->value ^= UINT64_C(1) << 63;
        break;
    default: unexpected(p, "an operand"); return;
    }
    advance(p);
}

static void parse_name(Parser *p, PtxOperand *operand) {
    operand->name = want_word(p, "an operand");
    operand->kind = strcmp(operand->name, "_") ? PTX_NAME : PTX_SINK;
    if (!take_mark(p, '|')) return;
    PtxOperand *second = ptx_new(p->scanner.arena, sizeof *second);
    second->name = want_word(p, "a register");
    second->kind = strcmp(second->name, "_") ? PTX_NAME : PTX_SINK;
    operand->second = second;
}

static PtxOperand parse_operand(Parser *p) {
    PtxOperand operand = {.negated = take_mark(p, '!')};
    if (take_mark(p, '{'))
        parse_list(p, '}', &operand);
    else if (take_mark(p, '('))
        parse_list(p, ')', &operand);
    else if (take_mark(p, '['))
        parse_address(p, &operand);
    else if (p->token.kind == TOKEN_WORD)
        parse_name(p, &operand);
    else
        parse_number(p, &operand);
    return operand;
}

static void parse_operands(Parser *p, PtxStatement *statement) {
    while (!is_mark(p, ';') && p->token.kind != TOKEN_END) {
        PtxOperand operand = parse_operand(p);
        *PTX_PUSH(p->scanner.arena, statement->operands, statement->operand_count) = operand;
        if (!take_mark(p, ',')) break;
    }
    want_mark(p, ';');
}

/* ---- variables ---- */

static void parse_initial(Parser *p, PtxVariable *variable) {
    if (take_mark(p, '{')) {
        while (!is_mark(p, '}') && p->token.kind != TOKEN_END) {
            parse_initial(p, variable);
            if (!take_mark(p, ',')) break;
        }
        want_mark(p, '}');
        return;
    }
    PtxInitial initial = {.kind = TOKEN_INTEGER};
    if (p->token.kind == TOKEN_WORD) {
        initial.kind = TOKEN_WORD;
        initial.name = want_word(p, "a name");
        bool generic = !strcmp(initial.name, "generic") && take_mark(p, '(');
        if (generic) initial.name = want_word(p, "a variable");
        if (is_mark(p, '+') || is_mark(p, '-')) initial.value = take_signed(p);
        if (generic) want_mark(p, ')');
    } else {
        PtxOperand number = {0};
        parse_number(p, &number);
        initial.value = number.value;
        if (number.kind == PTX_F32) initial.kind = TOKEN_F32;
        if (number.kind == PTX_F64) initial.kind = TOKEN_F64;
    }
    *PTX_PUSH(p->scanner.arena, variable->initial, variable->initial_count) = initial;
}

static void parse_dimensions(Parser *p, PtxVariable *variable) {
    variable->count = 1;
    while (take_mark(p, '[')) {
        uint64_t size = is_mark(p, ']') ? 0 : want_integer(p);
        if (size && variable->count > UINT64_C(1) << 40)
            ptx_fail(&p->scanner, p->token.line, "'%s' is too large", variable->name);
        variable->count *= size;
        want_mark(p, ']');
    }
    variable->bytes = variable->count * ptx_type_bytes(variable->type);
}

/* Behind the word for the state space: [.align n] [.v2|.v4] .type name[size] [= {…}]. */
static PtxVariable *parse_variable(Parser *p, PtxStore store) {
    PtxVariable *variable = ptx_new(p->scanner.arena, sizeof *variable);
    variable->store = store;
    variable->line = p->token.line;
    uint32_t vector = 1;
    for (;;) {
        if (take_directive(p, ".align"))
            variable->align = want_integer(p);
        else if (take_directive(p, ".v2"))
            vector = 2;
        else if (take_directive(p, ".v4"))
            vector = 4;
        else
            break;
    }
    variable->type = want_type(p);
    if (take_directive(p, ".ptr")) /* .param .u64 .ptr .global .align 16 name */
        while (p->token.kind == TOKEN_DIRECTIVE || p->token.kind == TOKEN_INTEGER) advance(p);
    variable->name = want_word(p, "a name");
    parse_dimensions(p, variable);
    variable->bytes *= vector;
    uint64_t natural = (uint64_t)ptx_type_bytes(variable->type) * vector;
    if (!variable->align) variable->align = natural ? natural : 1;
    if (variable->align & (variable->align - 1))
        ptx_fail(&p->scanner, variable->line, "the alignment of '%s' is no power of two",
                 variable->name);
    if (take_mark(p, '=')) parse_initial(p, variable);
    return variable;
}

static bool take_store(Parser *p, PtxStore *store) {
    static const char *const names[] = {".global", ".const", ".shared", ".local", ".param"};
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (take_directive(p, names[i])) return *store = (PtxStore)i, true;
    return false;
}

/* ---- bodies ---- */

static PtxStatement *push_statement(Parser *p, PtxStatementKind kind) {
    PtxStatement *statement =
        PTX_PUSH(p->scanner.arena, p->function->statements, p->function->statement_count);
    *statement = (PtxStatement){.kind = kind, .line = p->token.line, .cuda_line = p->cuda_line};
    return statement;
}

static void parse_registers(Parser *p) {
    Type type = want_type(p);
    do {
        PtxStatement *statement = push_statement(p, PTX_REGISTERS);
        statement->type = type;
        statement->name = want_word(p, "a register");
        if (!take_mark(p, '<')) continue;
        uint64_t number = want_integer(p);
        if (number > 1 << 20) ptx_fail(&p->scanner, p->token.line, "too many registers");
        statement->number = (uint32_t)number;
        want_mark(p, '>');
    } while (take_mark(p, ','));
    want_mark(p, ';');
}

/* .loc FILE LINE COLUMN [, function_name LABEL [+ n], inlined_at FILE LINE COLUMN] */
static void parse_loc(Parser *p) {
    uint64_t file = want_integer(p), line = want_integer(p);
    want_integer(p);
    while (take_mark(p, ',')) {
        bool inlined = p->token.text && !strcmp(p->token.text, "inlined_at");
        want_word(p, "function_name or inlined_at");
        if (!inlined) {
            want_word(p, "a label");
            if (is_mark(p, '+')) take_signed(p);
            continue;
        }
        file = want_integer(p);
        line = want_integer(p);
        want_integer(p);
    }
    if (file == 1) p->cuda_line = (uint32_t)line;
}

static void parse_instr(Parser *p) {
    PtxStatement *statement = push_statement(p, PTX_INSTR);
    if (take_mark(p, '@')) {
        statement->guard_not = take_mark(p, '!');
        statement->guard = want_word(p, "a predicate");
    }
    statement->line = p->token.line;
    statement->name = want_word(p, "an instruction");
    parse_operands(p, statement);
}

static void parse_label_or_instr(Parser *p) {
    Scanner before = p->scanner;
    Token word = p->token;
    advance(p);
    if (!is_mark(p, ':')) {
        p->scanner = before;
        p->token = word;
        parse_instr(p);
        return;
    }
    advance(p);
    PtxStatement *statement = push_statement(p, PTX_LABEL);
    statement->name = word.text;
    if (!take_directive(p, ".branchtargets")) return;
    statement->kind = PTX_TARGETS;
    parse_operands(p, statement);
}

static void parse_statement(Parser *p, uint32_t *depth) {
    PtxStore store;
    if (take_mark(p, '{')) {
        push_statement(p, PTX_OPEN);
        ++*depth;
    } else if (take_mark(p, '}')) {
        push_statement(p, PTX_CLOSE);
        --*depth;
    } else if (take_mark(p, ';')) {
        return;
    } else if (take_directive(p, ".reg")) {
        parse_registers(p);
    } else if (take_directive(p, ".loc")) {
        parse_loc(p);
    } else if (take_directive(p, ".pragma")) {
        while (!is_mark(p, ';') && p->token.kind != TOKEN_END) advance(p);
        want_mark(p, ';');
    } else if (take_store(p, &store)) {
        PtxVariable *variable = parse_variable(p, store);
        push_statement(p, PTX_VARIABLE)->variable = variable;
        want_mark(p, ';');
    } else if (p->token.kind == TOKEN_DIRECTIVE) {
        ptx_fail(&p->scanner, p->token.line, "unknown directive '%s'", p->token.text);
        advance(p);
    } else if (is_mark(p, '@')) {
        parse_instr(p);
    } else {
        parse_label_or_instr(p);
    }
}

static void parse_body(Parser *p) {
    uint32_t depth = 1, line = p->token.line;
    want_mark(p, '{');
    while (depth && p->token.kind != TOKEN_END) parse_statement(p, &depth);
    if (depth)
        ptx_fail(&p->scanner, line, "the body of '%s' has no end", p->function->name);
    else
        p->function->statement_count--; /* the last CLOSE */
}

/* ---- functions ---- */

static PtxVariable **parse_params(Parser *p, uint32_t *count) {
    PtxVariable **params = NULL;
    if (!take_mark(p, '(')) return NULL;
    while (!is_mark(p, ')') && p->token.kind != TOKEN_END) {
        if (!take_directive(p, ".param")) unexpected(p, ".param");
        PtxVariable *param = parse_variable(p, PTX_STORE_PARAM);
        *PTX_PUSH(p->scanner.arena, params, *count) = param;
        if (!take_mark(p, ',')) break;
    }
    want_mark(p, ')');
    return params;
}

static uint32_t parse_threads(Parser *p) {
    uint64_t threads = 1;
    do threads *= want_integer(p);
    while (take_mark(p, ',') && threads < 1 << 20);
    return (uint32_t)threads;
}

/* .maxntid x, y, z  .reqntid …  .minnctapersm n  .maxnreg n  .pragma "…"; */
static void parse_bounds(Parser *p) {
    while (p->token.kind == TOKEN_DIRECTIVE) {
        if (take_directive(p, ".maxntid") || take_directive(p, ".reqntid")) {
            p->function->max_threads = parse_threads(p);
        } else if (take_directive(p, ".minnctapersm") || take_directive(p, ".maxnreg") ||
                   take_directive(p, ".maxnctapersm")) {
            want_integer(p);
        } else if (take_directive(p, ".pragma")) {
            while (!take_mark(p, ';') && p->token.kind != TOKEN_END) advance(p);
        } else if (!take_directive(p, ".noreturn")) {
            ptx_fail(&p->scanner, p->token.line, "unknown directive '%s'", p->token.text);
            advance(p);
        }
    }
}

static void parse_function(Parser *p, bool is_entry) {
    PtxFunction *function = ptx_new(p->scanner.arena, sizeof *function);
    p->function = function;
    function->is_entry = is_entry;
    function->line = p->token.line;
    if (!is_entry) function->results = parse_params(p, &function->result_count);
    function->name = want_word(p, "a name");
    function->params = parse_params(p, &function->param_count);
    parse_bounds(p);
    if (take_mark(p, ';')) return;
    parse_body(p);
    *PTX_PUSH(p->scanner.arena, p->module->functions, p->module->function_count) = *function;
}

/* ---- the module ---- */

static void skip_section(Parser *p) {
    if (p->token.kind == TOKEN_DIRECTIVE) advance(p);
    want_mark(p, '{');
    while (!is_mark(p, '}') && p->token.kind != TOKEN_END) advance(p);
    want_mark(p, '}');
}

static void parse_file(Parser *p) {
    uint64_t number = want_integer(p);
    if (p->token.kind != TOKEN_STRING) unexpected(p, "the name of a file");
    if (number == 1 && p->token.text) p->module->source_file = p->token.text;
    advance(p);
    while (take_mark(p, ',')) want_integer(p); /* time and size */
}

static void parse_target(Parser *p) {
    const char *name = want_word(p, "sm_80 or the like");
    if (strncmp(name, "sm_", 3))
        ptx_fail(&p->scanner, p->token.line, "unknown target '%s'", name);
    else
        p->module->target = (uint32_t)strtoul(name + 3, NULL, 10);
    while (take_mark(p, ',')) want_word(p, "a part of the target");
}

static void parse_version(Parser *p) {
    if (p->token.kind != TOKEN_F64) unexpected(p, "the version of PTX");
    advance(p);
}

static void parse_linked(Parser *p) {
    bool is_extern = false;
    PtxStore store;
    while (is_directive(p, ".extern") || is_directive(p, ".visible") || is_directive(p, ".weak") ||
           is_directive(p, ".common")) {
        is_extern |= is_directive(p, ".extern");
        advance(p);
    }
    if (take_directive(p, ".entry")) {
        parse_function(p, true);
    } else if (take_directive(p, ".func")) {
        parse_function(p, false);
    } else if (take_store(p, &store)) {
        PtxVariable *variable = parse_variable(p, store);
        variable->is_extern = is_extern;
        *PTX_PUSH(p->scanner.arena, p->module->variables, p->module->variable_count) = variable;
        want_mark(p, ';');
    } else {
        unexpected(p, "a variable or function");
    }
}

static void parse_top(Parser *p) {
    if (take_directive(p, ".version"))
        parse_version(p);
    else if (take_directive(p, ".target"))
        parse_target(p);
    else if (take_directive(p, ".address_size"))
        want_integer(p);
    else if (take_directive(p, ".file"))
        parse_file(p);
    else if (take_directive(p, ".section"))
        skip_section(p);
    else
        parse_linked(p);
}

const char *ptx_parse(const char *text, PtxArena *arena, PtxModule *module) {
    Parser p = {.scanner = {.at = text, .line = 1, .arena = arena}, .module = module};
    *module = (PtxModule){.source_file = ""};
    advance(&p);
    while (p.token.kind != TOKEN_END && !p.scanner.message) parse_top(&p);
    if (!module->target) ptx_fail(&p.scanner, 1, "there is no .target: this is not PTX");
    return p.scanner.message;
}
