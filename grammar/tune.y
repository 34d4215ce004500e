/* The grammar of Tune. It decides nothing that needs a name, a type or a file; every action is one
 * call of a builder. The tokens come balanced and with statement ends from tokens.c, so after a
 * mistake the parser goes on at the end of the statement, or behind the block it belongs to. */
%require "3.8"
%define api.pure full
%define api.prefix {tune_}
%define api.token.prefix {T_}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {Parser *parser}

%code requires {
#include "grammar/parser.h"
}

%code {
static int tune_lex(TUNE_STYPE *value, Span *place, Parser *parser);
static void tune_error(const Span *place, Parser *parser, const char *text);

#define YYLLOC_DEFAULT(current, right, count)                                                      \
    do {                                                                                           \
        if (count) {                                                                               \
            (current) = (Span){YYRHSLOC(right, 1).start, YYRHSLOC(right, count).end};              \
        } else {                                                                                   \
            (current) = (Span){YYRHSLOC(right, 0).end, YYRHSLOC(right, 0).end};                    \
        }                                                                                          \
    } while (0)
}

%union {
    const char *name;
    struct { double value; bool integer; } number;
    Node *node;
    TreeOp op;
}

%token END_OF_FILE 0 "end of file"
%token COMMENT "comment"
%token END "end of line"
%token <name> NAME "name"
%token <name> STRING "string"
%token <number> NUMBER "number"
%token OPEN "'{'" STUDY_OPEN "'{' of a study" SET_OPEN "'{' of a set"
%token AND "'and'" OR "'or'" NOT "'not'" TRUE "'true'" FALSE "'false'"
%token IF "'if'" ELSE "'else'" REPEAT "'repeat'" RETURN "'return'" IN "'in'" ON "'on'" THEN "'then'"
%token EQ "'=='" NE "'!='" LE "'<='" GE "'>='" ELLIPSIS "'...'"
/* words.def */
%token USE "'use'" DATA "'data'" DEF "'def'" LAYER "'layer'" MODEL "'model'"
%token OPTIMIZER "'optimizer'" SCHEDULE "'schedule'" INIT "'init'" STUDY "'study'"
%token METRIC "'metric'" PREDICT "'predict'" STATE "'state'" SPLIT "'split'"
%token GOAL "'goal'" SCIENTIFIC "'scientific'" NUISANCE "'nuisance'" FIXED "'fixed'" CLIP "'clip'"
%token AVERAGE "'average'"
%token SEARCH "'search'" STEPS "'steps'" EVALUATE "'evaluate'" SELECT "'select'"
%token SEED "'seed'" SEEDS "'seeds'" PRECISION "'precision'"
/* words inside a statement, told from names by their place in it */
%token MOVING "'state' of a layer"
%token PARAM "'param'" OF "'of'" EVERY "'every'" EXAMPLES "'examples'" BATCH "'batch'" MIN "'min'" MAX "'max'"
%token FROM "'from'" TO "'to'" KEEP "'keep'" INT "'int'" STEP "'step'"

%left OR
%left AND
%precedence NOT
%nonassoc EQ NE '<' LE '>' GE
%left '+' '-'
%left '*' '/' '%'
%left '@'
%precedence NEGATION
%right '^'

%type <node> declarations declaration uses params param_list param type on_data
%type <node> block statements statement states state else
%type <node> expression postfix call callee array argument arguments argument_value elements
%type <node> subscripts subscript dims dim optional then
%type <node> study_block study_statements study_statement domain special_domain set examples batch
%type <node> keep metric init_rules init_rule selectors selector settings setting
%type <op> role direction

%%

file
    : declarations                          { parser->file = $1; }
    ;

declarations
    : %empty                                { $$ = tree_build(parser, N_FILE, @$, NULL); }
    | declarations declaration END          { $$ = tree_append(parser, $1, $2); }
    | declarations USE uses END             { $$ = tree_append_all(parser, $1, $3); }
    | declarations error END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    | declarations error block END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    | declarations error study_block END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    ;

uses
    : NAME
            { $$ = tree_build(parser, N_FILE, @$,
                     KIDS(tree_build_named(parser, N_USE, @1, $1, @1, NULL))); }
    | uses ',' NAME
            { $$ = tree_append(parser, $1, tree_build_named(parser, N_USE, @3, $3, @3, NULL)); }
    ;

declaration
    : DATA NAME '=' call block
            { $$ = tree_build_named(parser, N_DATA, @$, $2, @2, KIDS($4, $5)); }
    | DEF NAME params block
            { $$ = tree_build_named(parser, N_DEF, @$, $2, @2, KIDS($3, $4)); }
    | LAYER NAME params block
            { $$ = tree_build_named(parser, N_LAYER, @$, $2, @2, KIDS($3, $4)); }
    | MODEL NAME params on_data block
            { $$ = tree_build_named(parser, N_MODEL, @$, $2, @2, KIDS($3, $4, $5)); }
    | OPTIMIZER NAME params block
            { $$ = tree_build_named(parser, N_OPTIMIZER, @$, $2, @2, KIDS($3, $4)); }
    | SCHEDULE NAME params block
            { $$ = tree_build_named(parser, N_SCHEDULE, @$, $2, @2, KIDS($3, $4)); }
    | INIT NAME params block
            { $$ = tree_build_named(parser, N_INIT, @$, $2, @2, KIDS($3, $4)); }
    | STUDY NAME study_block
            { $$ = tree_build_named(parser, N_STUDY, @$, $2, @2, KIDS($3)); }
    ;

on_data
    : %empty                                { $$ = tree_build_none(parser, @$); }
    | ON NAME
            { $$ = tree_build_named(parser, N_NAME, @2, $2, @2, NULL); }
    ;

params
    : '(' ')'                               { $$ = tree_build(parser, N_PARAMS, @$, NULL); }
    | '(' param_list comma ')'
            { $$ = tree_build_list(parser, N_PARAMS, @$, NULL, $2); }
    ;

param_list
    : param                                 { $$ = tree_build(parser, N_PARAMS, @$, KIDS($1)); }
    | param_list ',' param                  { $$ = tree_append(parser, $1, $3); }
    ;

param
    : NAME
            { $$ = tree_build_named(parser, N_PARAM, @$, $1, @1,
                     KIDS(tree_build_none(parser, @1), tree_build_none(parser, @1))); }
    | NAME ':' type
            { $$ = tree_build_named(parser, N_PARAM, @$, $1, @1,
                     KIDS($3, tree_build_none(parser, @3))); }
    | NAME '=' expression
            { $$ = tree_build_named(parser, N_PARAM, @$, $1, @1,
                     KIDS(tree_build_none(parser, @1), $3)); }
    | NAME ':' type '=' expression
            { $$ = tree_build_named(parser, N_PARAM, @$, $1, @1, KIDS($3, $5)); }
    ;

comma
    : %empty
    | ','
    ;

type
    : NAME                                  { $$ = tree_build_type(parser, @$, $1, @1, NULL); }
    | NAME '[' dims comma ']'               { $$ = tree_build_type(parser, @$, $1, @1, $3); }
    | NAME '[' dims comma ']' OF NAME '[' dims comma ']'
            { $$ = tree_append(parser, tree_build_type(parser, @$, $1, @1, $3),
                     tree_build_type(parser, ((Span){@7.start, @11.end}), $7, @7, $9)); }
    ;

dims
    : dim                                   { $$ = tree_build(parser, N_ARRAY, @$, KIDS($1)); }
    | dims ',' dim                          { $$ = tree_append(parser, $1, $3); }
    ;

dim
    : expression
    | ELLIPSIS                              { $$ = tree_build(parser, N_ELLIPSIS, @$, NULL); }
    ;

/* Statements of def, layer, model, optimizer, schedule, init and data */

block
    : OPEN statements '}'                   { $$ = tree_build_list(parser, N_BLOCK, @$, NULL, $2); }
    ;

statements
    : %empty                                { $$ = tree_build(parser, N_BLOCK, @$, NULL); }
    | statements statement END              { $$ = tree_append(parser, $1, $2); }
    | statements STATE states END           { $$ = tree_append_all(parser, $1, $3); }
    | statements error END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    | statements error block END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    | statements error block ELSE block END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    ;

statement
    : NAME '=' expression
            { $$ = tree_build_named(parser, N_ASSIGN, @$, $1, @1, KIDS($3)); }
    | METRIC NAME '=' expression
            { $$ = tree_build_named(parser, N_METRIC, @$, $2, @2, KIDS($4)); }
    | PREDICT NAME '=' expression
            { $$ = tree_build_named(parser, N_PREDICT, @$, $2, @2, KIDS($4)); }
    | NAME ':' PARAM '[' dims comma ']'
            { $$ = tree_build_named(parser, N_PARAMETER, @$, $1, @1,
                     KIDS($5, tree_build_none(parser, @7))); }
    | NAME ':' PARAM '[' dims comma ']' '=' expression
            { $$ = tree_build_named(parser, N_PARAMETER, @$, $1, @1, KIDS($5, $9)); }
    | NAME ':' MOVING '[' dims comma ']'
            { $$ = tree_build_moving(parser, @$, $1, @1, $5, tree_build_none(parser, @7)); }
    | NAME ':' MOVING '[' dims comma ']' '=' expression
            { $$ = tree_build_moving(parser, @$, $1, @1, $5, $9); }
    | NAME ':' type
            { $$ = tree_build_named(parser, N_FIELD, @$, $1, @1,
                     KIDS($3, tree_build_none(parser, @3))); }
    | NAME ':' type '=' expression
            { $$ = tree_build_named(parser, N_FIELD, @$, $1, @1, KIDS($3, $5)); }
    | SPLIT arguments comma                 { $$ = tree_build_list(parser, N_SPLIT, @$, NULL, $2); }
    | RETURN expression                     { $$ = tree_build(parser, N_RETURN, @$, KIDS($2)); }
    | REPEAT expression block               { $$ = tree_build(parser, N_REPEAT, @$, KIDS($2, $3)); }
    | REPEAT NAME IN expression block
            { $$ = tree_build_named(parser, N_REPEAT, @$, $2, @2, KIDS($4, $5)); }
    | IF expression block else              { $$ = tree_build(parser, N_IF, @$, KIDS($2, $3, $4)); }
    ;

else
    : %empty                                { $$ = tree_build_none(parser, @$); }
    | ELSE block                            { $$ = $2; }
    | ELSE IF expression block else
            { $$ = tree_build(parser, N_IF, ((Span){@2.start, @5.end}), KIDS($3, $4, $5)); }
    ;

states
    : state                                 { $$ = tree_build(parser, N_BLOCK, @$, KIDS($1)); }
    | states ',' state                      { $$ = tree_append(parser, $1, $3); }
    ;

state
    : NAME '=' expression
            { $$ = tree_build_named(parser, N_STATE, @$, $1, @1, KIDS($3)); }
    ;

/* Expressions */

expression
    : postfix
    | expression OR expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_OR, KIDS($1, $3)); }
    | expression AND expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_AND, KIDS($1, $3)); }
    | expression EQ expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_EQ, KIDS($1, $3)); }
    | expression NE expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_NE, KIDS($1, $3)); }
    | expression '<' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_LT, KIDS($1, $3)); }
    | expression LE expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_LE, KIDS($1, $3)); }
    | expression '>' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_GT, KIDS($1, $3)); }
    | expression GE expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_GE, KIDS($1, $3)); }
    | expression '+' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_ADD, KIDS($1, $3)); }
    | expression '-' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_SUB, KIDS($1, $3)); }
    | expression '*' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_MUL, KIDS($1, $3)); }
    | expression '/' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_DIV, KIDS($1, $3)); }
    | expression '%' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_MOD, KIDS($1, $3)); }
    | expression '@' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_MATMUL, KIDS($1, $3)); }
    | expression '^' expression
            { $$ = tree_build_op(parser, N_BINARY, @$, TOP_POW, KIDS($1, $3)); }
    | NOT expression
            { $$ = tree_build_op(parser, N_UNARY, @$, TOP_NOT, KIDS($2)); }
    | '-' expression %prec NEGATION
            { $$ = tree_build_op(parser, N_UNARY, @$, TOP_NEG, KIDS($2)); }
    ;

postfix
    : NUMBER
            { $$ = tree_build_number(parser, @$, $1.value, $1.integer); }
    | STRING
            { $$ = tree_build_named(parser, N_STRING, @$, $1, @1, NULL); }
    | TRUE
            { $$ = tree_build_flag(parser, N_BOOL, @$, true, NULL); }
    | FALSE
            { $$ = tree_build_flag(parser, N_BOOL, @$, false, NULL); }
    | callee
    | call
    | postfix '[' subscripts comma ']'      { $$ = tree_build_list(parser, N_INDEX, @$, $1, $3); }
    | array
    | '(' expression ')'                    { $$ = $2; }
    ;

call
    : callee '(' ')'                        { $$ = tree_build(parser, N_CALL, @$, KIDS($1)); }
    | callee '(' arguments comma ')'        { $$ = tree_build_list(parser, N_CALL, @$, $1, $3); }
    ;

callee
    : NAME
            { $$ = tree_build_named(parser, N_NAME, @$, $1, @1, NULL); }
    | NAME '.' NAME
            { $$ = tree_build_named(parser, N_MEMBER, @$, $3, @3,
                     KIDS(tree_build_named(parser, N_NAME, @1, $1, @1, NULL))); }
    ;

array
    : '[' elements comma ']'                { $$ = tree_build_list(parser, N_ARRAY, @$, NULL, $2); }
    ;

elements
    : expression                            { $$ = tree_build(parser, N_ARRAY, @$, KIDS($1)); }
    | elements ',' expression               { $$ = tree_append(parser, $1, $3); }
    ;

arguments
    : argument                              { $$ = tree_build(parser, N_CALL, @$, KIDS($1)); }
    | arguments ',' argument                { $$ = tree_append(parser, $1, $3); }
    ;

argument
    : expression
    | NAME ':' argument_value
            { $$ = tree_build_named(parser, N_ARG, @$, $1, @1, KIDS($3)); }
    ;

argument_value
    : expression
    | special_domain
    | set
    ;

subscripts
    : subscript                             { $$ = tree_build(parser, N_INDEX, @$, KIDS($1)); }
    | subscripts ',' subscript              { $$ = tree_append(parser, $1, $3); }
    ;

subscript
    : expression
    | ELLIPSIS                              { $$ = tree_build(parser, N_ELLIPSIS, @$, NULL); }
    | optional ':' optional                 { $$ = tree_build(parser, N_SLICE, @$, KIDS($1, $3)); }
    ;

optional
    : %empty                                { $$ = tree_build_none(parser, @$); }
    | expression
    ;

/* Studies */

study_block
    : STUDY_OPEN study_statements '}'       { $$ = tree_build_list(parser, N_BLOCK, @$, NULL, $2); }
    ;

study_statements
    : %empty                                { $$ = tree_build(parser, N_BLOCK, @$, NULL); }
    | study_statements study_statement END  { $$ = tree_append(parser, $1, $2); }
    | study_statements error END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    | study_statements error block END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    ;

study_statement
    : GOAL STRING
            { $$ = tree_build(parser, N_GOAL, @$,
                     KIDS(tree_build_named(parser, N_STRING, @2, $2, @2, NULL))); }
    | MODEL postfix                         { $$ = tree_build(parser, N_USE_MODEL, @$, KIDS($2)); }
    | OPTIMIZER postfix
            { $$ = tree_build(parser, N_USE_OPTIMIZER, @$, KIDS($2)); }
    | role NAME IN domain                   { $$ = tree_build_hyper(parser, @$, $1, $2, @2, $4); }
    | FIXED NAME '=' expression
            { $$ = tree_build_hyper(parser, @$, TOP_FIXED, $2, @2, $4); }
    | SCHEDULE NAME '=' then
            { $$ = tree_build_named(parser, N_USE_SCHEDULE, @$, $2, @2, KIDS($4)); }
    | CLIP NAME '=' expression
            { $$ = tree_build_named(parser, N_CLIP, @$, $2, @2, KIDS($4)); }
    | AVERAGE expression                    { $$ = tree_build(parser, N_AVERAGE, @$, KIDS($2)); }
    | ON selectors OPEN settings '}'
            { $$ = tree_build(parser, N_GROUP, @$, KIDS($2, $4)); }
    | INIT FROM STRING
            { $$ = tree_build_named(parser, N_USE_INIT, @$, $3, @3, NULL); }
    | INIT FROM STRING '(' init_rules comma ')'
            { $$ = tree_append_all(parser,
                     tree_build_named(parser, N_USE_INIT, @$, $3, @3, NULL), $5); }
    | SEARCH postfix                        { $$ = tree_build(parser, N_SEARCH, @$, KIDS($2)); }
    | STEPS expression                      { $$ = tree_build(parser, N_STEPS, @$, KIDS($2)); }
    | EVALUATE EVERY expression examples batch
            { $$ = tree_build(parser, N_EVALUATE, @$, KIDS($3, $4, $5)); }
    | SELECT direction metric keep
            { $$ = tree_build_op(parser, N_SELECT, @$, $2, KIDS($3, $4)); }
    | SEED expression                       { $$ = tree_build(parser, N_SEED, @$, KIDS($2)); }
    | SEEDS expression                      { $$ = tree_build(parser, N_SEEDS, @$, KIDS($2)); }
    | PRECISION NAME
            { $$ = tree_build_named(parser, N_PRECISION, @$, $2, @2, NULL); }
    ;

init_rules
    : init_rule                             { $$ = tree_build(parser, N_ARRAY, @$, KIDS($1)); }
    | init_rules ',' init_rule              { $$ = tree_append(parser, $1, $3); }
    ;

init_rule
    : argument
    | STRING TO STRING
            { $$ = tree_build_named(parser, N_RENAME, @$, $1, @1,
                     KIDS(tree_build_named(parser, N_STRING, @3, $3, @3, NULL))); }
    ;

selectors
    : selector                              { $$ = tree_build(parser, N_ARRAY, @$, KIDS($1)); }
    | selectors ',' selector                { $$ = tree_append(parser, $1, $3); }
    ;

selector
    : NAME
            { $$ = tree_build_named(parser, N_NAME, @$, $1, @1, NULL); }
    | STRING
            { $$ = tree_build_named(parser, N_STRING, @$, $1, @1, NULL); }
    ;

settings
    : %empty                                { $$ = tree_build(parser, N_BLOCK, @$, NULL); }
    | settings setting END                  { $$ = tree_append(parser, $1, $2); }
    | settings error END
            { $$ = tree_append(parser, $1, tree_build(parser, N_ERROR, @2, NULL)); yyerrok; }
    ;

setting
    : NAME
            { $$ = tree_build_named(parser, N_NAME, @$, $1, @1, NULL); }
    | NAME '=' expression
            { $$ = tree_build_named(parser, N_ASSIGN, @$, $1, @1, KIDS($3)); }
    ;

role
    : SCIENTIFIC                            { $$ = TOP_SCIENTIFIC; }
    | NUISANCE                              { $$ = TOP_NUISANCE; }
    ;

domain
    : set
    | expression
            { $$ = tree_build_flag(parser, N_DOMAIN, @$, false,
                     KIDS($1, tree_build_none(parser, @1))); }
    | special_domain
    ;

special_domain
    : INT expression
            { $$ = tree_build_flag(parser, N_DOMAIN, @$, true,
                     KIDS($2, tree_build_none(parser, @2))); }
    | INT expression STEP expression
            { $$ = tree_build_flag(parser, N_DOMAIN, @$, true, KIDS($2, $4)); }
    | expression STEP expression
            { $$ = tree_build_flag(parser, N_DOMAIN, @$, false, KIDS($1, $3)); }
    ;

set
    : SET_OPEN elements comma '}'           { $$ = tree_build_list(parser, N_SET, @$, NULL, $2); }
    ;

then
    : expression
    | then THEN expression                  { $$ = tree_build(parser, N_THEN, @$, KIDS($1, $3)); }
    ;

examples
    : %empty                                { $$ = tree_build_none(parser, @$); }
    | ON expression EXAMPLES                { $$ = $2; }
    ;

batch
    : %empty                                { $$ = tree_build_none(parser, @$); }
    | BATCH expression                      { $$ = $2; }
    ;

direction
    : MIN                                   { $$ = TOP_MIN; }
    | MAX                                   { $$ = TOP_MAX; }
    ;

metric
    : callee
    ;

keep
    : %empty                                { $$ = tree_build_none(parser, @$); }
    | ',' KEEP expression                   { $$ = $3; }
    ;

%%

static int tune_lex(TUNE_STYPE *value, Span *place, Parser *parser) {
    const Token *token = &parser->tokens.at[parser->next];
    parser->current = parser->next;
    if (parser->next + 1 < parser->tokens.count) parser->next++;
    *place = token->span;
    if (token->kind == T_NUMBER) {
        value->number.value = token->number;
        value->number.integer = token->integer;
    } else {
        value->name = token->name;
    }
    return token->kind;
}

static void tune_error(const Span *place, Parser *parser, const char *text) {
    (void)text; /* the only text that reaches this is "memory exhausted": YYMAXDEPTH is reached */
    parser_depth_error(parser, *place);
}

static int yyreport_syntax_error(const yypcontext_t *context, Parser *parser) {
    yysymbol_kind_t kinds[YYNTOKENS];
    const char *names[YYNTOKENS];
    int count = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
    for (int i = 0; i < count; i++) names[i] = yysymbol_name(kinds[i]);
    if (count < 0) count = 0;
    parser_syntax_error(parser, *yypcontext_location(context), names, (uint32_t)count);
    return 0;
}
