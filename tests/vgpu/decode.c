/* The walk over a module: variables and functions first, then each kernel's statements in order.
 * Everything is decoded twice: by code_parse, to find all mistakes and how much shared memory is
 * static, and by code_decode, when the addresses of variables are known. */
#include "tests/vgpu/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_CALL_DEPTH = 16, MAX_INSTRS = 1 << 20 };

typedef struct {
    PtxArena text;    /* the tree, the variables, messages */
    PtxArena decoded; /* the functions */
    PtxModule module;
} CodeMemory;

void decode_fail(Decoder *d, const char *format, ...) {
    char text[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ptx_fail(&d->errors, d->statement->line, "%s", text);
}

void decode_unknown(Decoder *d) {
    decode_fail(d, "unknown instruction '%s'", d->opcode->text);
}

/* ---- instructions ---- */

Instr decode_instr(const Decoder *d, InstrKind kind) {
    return (Instr){.kind = kind,
                   .guard = d->guard,
                   .guard_not = d->statement->guard_not,
                   .type = d->opcode->type,
                   .from = d->opcode->from,
                   .opcode = d->opcode->text,
                   .ptx_line = d->statement->line,
                   .cuda_line = d->statement->cuda_line};
}

void decode_push(Decoder *d, Instr instr) {
    if (d->instr_count >= MAX_INSTRS) {
        decode_fail(d, "'%s' is too long", d->function->name);
        return;
    }
    *PTX_PUSH(d->arena, d->instrs, d->instr_count) = instr;
}

void decode_push_alu(Decoder *d, const char *key, Operand to, Operand a, Operand b) {
    Instr instr = decode_instr(d, I_ALU);
    instr.run = decode_find_row(key)->run;
    instr.d[0] = to;
    instr.s[0] = a;
    instr.s[1] = b;
    decode_push(d, instr);
}

void decode_push_jump(Decoder *d, Instr instr, const char *label) {
    *PTX_PUSH(d->arena, d->scope->jumps, d->scope->jump_count) =
        (Jump){label, d->instr_count, d->statement->line};
    decode_push(d, instr);
}

/* ---- scopes ---- */

static bool is_named(const Symbol *symbol, const char *name) {
    if (!symbol->number) return !strcmp(symbol->name, name);
    size_t length = strlen(symbol->name);
    if (strncmp(symbol->name, name, length) || name[length] < '0' || name[length] > '9')
        return false;
    char *end;
    unsigned long number = strtoul(name + length, &end, 10);
    return !*end && number < symbol->number;
}

const Symbol *decode_find(const Decoder *d, const char *name) {
    for (const Scope *scope = d->scope; scope; scope = scope->around)
        for (uint32_t i = 0; i < scope->symbol_count; i++)
            if (is_named(&scope->symbols[i], name)) return &scope->symbols[i];
    return NULL;
}

static void add_symbol(Decoder *d, Symbol symbol) {
    *PTX_PUSH(d->arena, d->scope->symbols, d->scope->symbol_count) = symbol;
}

static void add_label(Decoder *d, const char *name) {
    for (uint32_t i = 0; i < d->scope->label_count; i++)
        if (!strcmp(d->scope->labels[i].name, name))
            decode_fail(d, "the label '%s' stands here twice", name);
    *PTX_PUSH(d->arena, d->scope->labels, d->scope->label_count) = (Label){name, d->instr_count};
}

static void open_scope(Decoder *d, Scope *around, bool is_call) {
    Scope *scope = ptx_new(d->arena, sizeof *scope);
    scope->around = around;
    scope->is_call = is_call;
    d->scope = scope;
}

static const Label *find_label(const Scope *scope, const char *name) {
    for (uint32_t i = 0; i < scope->label_count; i++)
        if (!strcmp(scope->labels[i].name, name)) return &scope->labels[i];
    return NULL;
}

/* `outer`: where jumps go on that have no label here; NULL: that is a mistake. */
static void close_scope(Decoder *d, Scope *outer) {
    Scope *scope = d->scope;
    for (uint32_t i = 0; i < scope->jump_count; i++) {
        Jump jump = scope->jumps[i];
        const Label *label = find_label(scope, jump.name);
        if (label)
            d->instrs[jump.instr].target = label->at;
        else if (outer)
            *PTX_PUSH(d->arena, outer->jumps, outer->jump_count) = jump;
        else
            ptx_fail(&d->errors, jump.line, "there is no label '%s'", jump.name);
    }
    d->scope = scope->around;
}

/* ---- declarations ---- */

static uint64_t aligned(uint64_t offset, uint64_t align) {
    return (offset + align - 1) / align * align;
}

static void declare_registers(Decoder *d) {
    const PtxStatement *s = d->statement;
    uint32_t count = s->number ? s->number : 1;
    if (s->type == T_B128) decode_fail(d, "registers of 128 bits are not supported");
    if ((uint64_t)d->function->register_bytes + (uint64_t)count * LANES * 8 > 1u << 30) {
        decode_fail(d, "too many registers");
        return;
    }
    Symbol symbol = {
        .kind = SYMBOL_REGISTERS, .name = s->name, .type = s->type, .number = s->number};
    if (s->type == T_PRED) d->predicates_left = 0; /* of a range they lie behind each other */
    symbol.at = decode_row(d, s->type);
    for (uint32_t i = 1; i < count; i++) decode_row(d, s->type);
    add_symbol(d, symbol);
}

uint32_t decode_shared_at(Decoder *d, const PtxVariable *variable) {
    if (variable->is_extern) return d->dynamic_shared;
    for (uint32_t i = 0; i < d->shared_count; i++)
        if (d->shared[i].variable == variable) return d->shared[i].at;
    uint64_t at = aligned(d->function->shared_bytes, variable->align);
    if (at + variable->bytes > WINDOW_BYTES) {
        decode_fail(d, "'%s' is too large for shared memory", variable->name);
        return 0;
    }
    d->function->shared_bytes = (uint32_t)(at + variable->bytes);
    d->shared = ptx_grow(d->arena, d->shared, d->shared_count, sizeof *d->shared);
    d->shared[d->shared_count].variable = variable;
    d->shared[d->shared_count++].at = (uint32_t)at;
    return (uint32_t)at;
}

static uint64_t local_at(Decoder *d, const PtxVariable *variable) {
    uint64_t at = aligned(d->function->local_bytes, variable->align);
    if (at + variable->bytes > WINDOW_BYTES) {
        decode_fail(d, "'%s' is too large for local memory", variable->name);
        return 0;
    }
    d->function->local_bytes = (uint32_t)(at + variable->bytes);
    return at;
}

static void declare_variable(Decoder *d) {
    const PtxVariable *variable = d->statement->variable;
    Symbol symbol = {.name = variable->name, .type = variable->type};
    if (variable->store == PTX_STORE_SHARED) {
        symbol.kind = SYMBOL_SHARED;
        symbol.at = decode_shared_at(d, variable);
    } else if (variable->store == PTX_STORE_LOCAL || variable->store == PTX_STORE_PARAM) {
        symbol.kind = SYMBOL_LOCAL;
        symbol.at = local_at(d, variable);
    } else {
        decode_fail(d, "'%s' belongs to the module, not into a function", variable->name);
        return;
    }
    add_symbol(d, symbol);
}

/* ---- statements ---- */

typedef void Family(Decoder *d);

static const struct {
    const char *base;
    Family *decode;
} families[] = {
    {"ld", decode_load},
    {"ldu", decode_load},
    {"st", decode_store},
    {"mov", decode_mov},
    {"cvta", decode_cvta},
    {"isspacep", decode_isspacep},
    {"set", decode_set},
    {"slct", decode_slct},
    {"atom", decode_atomic},
    {"red", decode_atomic},
    {"cp", decode_cp},
    {"ldmatrix", decode_matrix},
    {"stmatrix", decode_matrix},
    {"bra", decode_branch},
    {"brx", decode_branch_indexed},
    {"call", decode_call},
    {"ret", decode_return},
    {"exit", decode_return},
    {"trap", decode_simple},
    {"brkpt", decode_simple},
    {"membar", decode_simple},
    {"fence", decode_simple},
    {"nanosleep", decode_simple},
    {"prefetch", decode_simple},
    {"prefetchu", decode_simple},
    {"discard", decode_simple},
    {"applypriority", decode_simple},
    {"bar", decode_barrier},
    {"barrier", decode_barrier},
    {"shfl", decode_shuffle},
    {"vote", decode_vote},
    {"match", decode_match},
    {"redux", decode_redux},
    {"activemask", decode_activemask},
    {"elect", decode_elect},
};

static int32_t find_guard(Decoder *d) {
    if (!d->statement->guard) return -1;
    PtxOperand operand = {.kind = PTX_NAME, .name = d->statement->guard};
    return (int32_t)decode_target(d, &operand, T_PRED).at;
}

static void decode_instruction(Decoder *d) {
    d->opcode = decode_opcode(d, d->statement->name);
    d->guard = find_guard(d);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i].base, d->opcode->part[0])) {
            families[i].decode(d);
            return;
        }
    decode_alu(d);
}

static void decode_statement(Decoder *d) {
    const PtxStatement *s = d->statement;
    switch (s->kind) {
    case PTX_OPEN: open_scope(d, d->scope, false); break;
    case PTX_CLOSE: close_scope(d, d->scope->around); break;
    case PTX_REGISTERS: declare_registers(d); break;
    case PTX_VARIABLE: declare_variable(d); break;
    case PTX_LABEL: add_label(d, s->name); break;
    case PTX_TARGETS:
        add_symbol(d, (Symbol){.kind = SYMBOL_TARGETS, .name = s->name, .targets = s});
        break;
    case PTX_INSTR: decode_instruction(d); break;
    }
}

void decode_statements(Decoder *d, const PtxFunction *function) {
    const PtxStatement *caller = d->statement;
    for (uint32_t i = 0; i < function->statement_count && !d->errors.message; i++) {
        d->statement = &function->statements[i];
        decode_statement(d);
    }
    d->statement = caller;
}

/* ---- calls ---- */

static const PtxFunction *called_function(Decoder *d, const PtxOperand *operand) {
    const char *name = operand->kind == PTX_NAME ? operand->name : "";
    for (uint32_t i = 0; i < d->module->function_count; i++)
        if (!strcmp(d->module->functions[i].name, name)) return &d->module->functions[i];
    decode_fail(d, "the function '%s' that is called is not in this module", name);
    return NULL;
}

/* The called function's name for an argument is another name for the caller's variable. */
static void bind_arguments(Decoder *d, const Scope *caller, const PtxOperand *arguments,
                           PtxVariable *const *params, uint32_t count) {
    if ((arguments ? arguments->count : 0) != count) {
        decode_fail(d, "the call passes %u values, and the function takes %u",
                    arguments ? arguments->count : 0, count);
        return;
    }
    Scope *callee = d->scope;
    for (uint32_t i = 0; i < count; i++) {
        d->scope = (Scope *)caller;
        const char *name = arguments->list[i].name;
        const Symbol *variable = name ? decode_find(d, name) : NULL;
        d->scope = callee;
        if (!variable || variable->kind != SYMBOL_LOCAL) {
            decode_fail(d, "the call passes what is no .param variable");
            return;
        }
        add_symbol(d, (Symbol){.kind = SYMBOL_LOCAL, .name = params[i]->name, .at = variable->at});
    }
}

static Scope *module_scope(Decoder *d) {
    Scope *scope = d->scope;
    while (scope->around) scope = scope->around;
    return scope;
}

static void decode_body_here(Decoder *d, const PtxFunction *function, const PtxOperand *results,
                             const PtxOperand *arguments) {
    Scope *caller = d->scope;
    open_scope(d, module_scope(d), true);
    bind_arguments(d, caller, results, function->results, function->result_count);
    bind_arguments(d, caller, arguments, function->params, function->param_count);
    d->call_depth++;
    decode_statements(d, function);
    d->call_depth--;
    if (!d->errors.message) {
        add_label(d, "");
        close_scope(d, NULL);
    }
    d->scope = caller;
}

/* A call under a guard is jumped over where that does not hold. */
static void decode_guarded_body(Decoder *d, const PtxFunction *function, const PtxOperand *results,
                                const PtxOperand *arguments) {
    uint32_t over = d->instr_count;
    Instr jump = decode_instr(d, I_BRANCH);
    jump.guard_not = !jump.guard_not;
    if (d->guard >= 0) decode_push(d, jump);
    decode_body_here(d, function, results, arguments);
    if (jump.guard >= 0) d->instrs[over].target = d->instr_count;
}

/* call[.uni] [(results),] function[, (arguments)] */
void decode_call(Decoder *d) {
    const PtxStatement *s = d->statement;
    if (!decode_count(d, 1, 3)) return;
    bool has_results = s->operands[0].kind == PTX_LIST;
    const PtxOperand *results = has_results ? &s->operands[0] : NULL;
    uint32_t name_at = has_results ? 1 : 0, arguments_at = name_at + 1;
    if (name_at >= s->operand_count) {
        decode_unknown(d);
        return;
    }
    const PtxOperand *arguments =
        arguments_at < s->operand_count ? &s->operands[arguments_at] : NULL;
    const PtxFunction *function = called_function(d, &s->operands[name_at]);
    if (!function) return;
    if (d->call_depth == MAX_CALL_DEPTH)
        decode_fail(d, "the calls of '%s' go too deep", function->name);
    else
        decode_guarded_body(d, function, results, arguments);
}

/* ---- functions ---- */

static void declare_module(Decoder *d) {
    uint32_t global = 0;
    for (uint32_t i = 0; i < d->module->variable_count; i++) {
        const PtxVariable *variable = d->module->variables[i];
        Symbol symbol = {.kind = SYMBOL_GLOBAL, .name = variable->name, .type = variable->type};
        if (variable->store == PTX_STORE_SHARED) {
            symbol.kind = SYMBOL_SHARED;
            symbol.at = decode_shared_at(d, variable);
        } else {
            symbol.variable = global++;
        }
        add_symbol(d, symbol);
    }
}

static void declare_params(Decoder *d, const PtxFunction *function) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < function->param_count; i++) {
        const PtxVariable *param = function->params[i];
        at = aligned(at, param->align);
        add_symbol(d, (Symbol){.kind = SYMBOL_PARAM, .name = param->name, .at = at});
        *PTX_PUSH(d->arena, d->function->params, d->function->param_count) =
            (Param){param->name, (uint32_t)at, (uint32_t)param->bytes, (uint32_t)param->align};
        at += param->bytes;
        if (at > PARAM_BYTES) {
            ptx_fail(&d->errors, param->line, "the parameters of '%s' take more than %d bytes",
                     function->name, PARAM_BYTES);
            return;
        }
    }
    d->function->param_bytes = (uint32_t)at;
}

/* A function ends with ret, whether it says so or not. */
static void push_exit(Decoder *d) {
    static const Opcode ret = {.text = "ret"};
    PtxStatement end = {.line = d->instr_count ? d->instrs[d->instr_count - 1].ptx_line : 1};
    d->opcode = &ret;
    d->guard = -1;
    d->statement = &end;
    decode_push(d, decode_instr(d, I_EXIT));
    d->statement = NULL;
}

static void decode_function(Decoder *d, const PtxFunction *function) {
    PtxStatement start = {.line = function->line};
    d->statement = &start;
    d->function->name = function->name;
    d->function->max_threads = function->max_threads;
    open_scope(d, NULL, false);
    declare_module(d);
    open_scope(d, d->scope, false);
    declare_params(d, function);
    decode_statements(d, function);
    if (d->errors.message) return;
    close_scope(d, NULL);
    push_exit(d);
    if (d->is_final) decode_share_rows(d);
    d->function->code = d->instrs;
    d->function->count = d->instr_count;
}

static uint32_t count_entries(const PtxModule *module) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < module->function_count; i++) count += module->functions[i].is_entry;
    return count;
}

static const char *decode_module(Code *code, bool is_final) {
    CodeMemory *memory = code->memory;
    PtxArena arena = {0};
    uint32_t count = count_entries(&memory->module), at = 0;
    Function *functions = ptx_new(&arena, count * sizeof *functions);
    Opcode **opcodes = ptx_new(&arena, OPCODE_CHAINS * sizeof *opcodes);
    const char *message = NULL;
    for (uint32_t i = 0; i < memory->module.function_count && !message; i++) {
        if (!memory->module.functions[i].is_entry) continue;
        Decoder d = {.errors.arena = &memory->text,
                     .arena = &arena,
                     .module = &memory->module,
                     .code = code,
                     .function = &functions[at],
                     .opcodes = opcodes,
                     .is_final = is_final};
        if (code->functions)
            d.dynamic_shared = (uint32_t)aligned(code->functions[at].shared_bytes, 16);
        decode_function(&d, &memory->module.functions[i]);
        message = d.errors.message;
        at++;
    }
    ptx_release(&memory->decoded);
    memory->decoded = arena;
    code->functions = functions;
    code->function_count = message ? 0 : count;
    return message;
}

/* ---- variables ---- */

static const Variable *find_variable(const Code *code, const char *name) {
    for (uint32_t i = 0; i < code->variable_count; i++)
        if (!strcmp(code->variables[i].name, name)) return &code->variables[i];
    return NULL;
}

static uint64_t initial_bits(const PtxInitial *initial, Type type) {
    if (initial->kind == TOKEN_F32 && type == T_F64)
        return bits_of_double(float_of_bits((uint32_t)initial->value));
    if (initial->kind == TOKEN_F64 && type == T_F32)
        return bits_of_float((float)double_of_bits(initial->value));
    return initial->value;
}

/* The bytes of an initialiser; addresses of other variables are right once those have theirs. */
static const char *write_initial(Code *code, const PtxVariable *variable, unsigned char *to) {
    CodeMemory *memory = code->memory;
    uint64_t bytes = ptx_type_bytes(variable->type);
    for (uint32_t i = 0; i < variable->initial_count; i++) {
        const PtxInitial *initial = &variable->initial[i];
        uint64_t bits = initial_bits(initial, variable->type);
        const Variable *other = initial->name ? find_variable(code, initial->name) : NULL;
        if (initial->name && !other)
            return ptx_format(&memory->text, "line %u: '%s' begins with the unknown '%s'",
                              variable->line, variable->name, initial->name);
        if (other) bits += other->address;
        if ((i + 1) * bytes > variable->bytes)
            return ptx_format(&memory->text, "line %u: '%s' has more values than elements",
                              variable->line, variable->name);
        memcpy(to + i * bytes, &bits, bytes);
    }
    return NULL;
}

static const char *write_initials(Code *code) {
    CodeMemory *memory = code->memory;
    uint32_t at = 0;
    for (uint32_t i = 0; i < memory->module.variable_count; i++) {
        const PtxVariable *variable = memory->module.variables[i];
        if (variable->store == PTX_STORE_SHARED) continue;
        Variable *to = &code->variables[at++];
        if (!variable->initial_count) continue;
        if (!to->initial) to->initial = ptx_new(&memory->text, variable->bytes);
        const char *message = write_initial(code, variable, (unsigned char *)to->initial);
        if (message) return message;
    }
    return NULL;
}

static const char *find_variables(Code *code) {
    CodeMemory *memory = code->memory;
    for (uint32_t i = 0; i < memory->module.variable_count; i++) {
        const PtxVariable *variable = memory->module.variables[i];
        if (variable->store == PTX_STORE_SHARED) continue;
        if (variable->store != PTX_STORE_GLOBAL && variable->store != PTX_STORE_CONST)
            return ptx_format(&memory->text, "line %u: '%s' belongs into a function",
                              variable->line, variable->name);
        *PTX_PUSH(&memory->text, code->variables, code->variable_count) = (Variable){
            .name = variable->name,
            .bytes = variable->bytes,
            .align = variable->align,
            .space = variable->store == PTX_STORE_CONST ? S_CONST : S_GLOBAL,
        };
    }
    return write_initials(code);
}

/* ---- code.h ---- */

const char *code_parse(const char *ptx, Code *code) {
    CodeMemory *memory = calloc(1, sizeof *memory);
    if (!memory) abort();
    *code = (Code){.source_file = "", .memory = memory};
    const char *message = ptx_parse(ptx, &memory->text, &memory->module);
    if (message) return message;
    code->source_file = memory->module.source_file;
    code->target = memory->module.target;
    message = find_variables(code);
    return message ? message : decode_module(code, false);
}

const char *code_decode(Code *code) {
    const char *message = write_initials(code);
    return message ? message : decode_module(code, true);
}

void code_release(Code *code) {
    CodeMemory *memory = code->memory;
    if (memory) {
        ptx_release(&memory->text);
        ptx_release(&memory->decoded);
    }
    free(memory);
    *code = (Code){0};
}

const Function *code_function(const Code *code, const char *name) {
    for (uint32_t i = 0; i < code->function_count; i++)
        if (!strcmp(code->functions[i].name, name)) return &code->functions[i];
    return NULL;
}
