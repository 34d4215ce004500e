/* The scanner of PTX. Words are copied into the arena. */
#include "tests/vgpu/ptx_scan.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ptx_fail(Scanner *scanner, uint32_t line, const char *format, ...) {
    if (scanner->message) return;
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    scanner->message = ptx_format(scanner->arena, "line %u: %s", line, text);
}

static void skip_block_comment(Scanner *scanner) {
    uint32_t line = scanner->line;
    for (scanner->at += 2; *scanner->at; scanner->at++) {
        if (*scanner->at == '\n') scanner->line++;
        if (scanner->at[0] == '*' && scanner->at[1] == '/') {
            scanner->at += 2;
            return;
        }
    }
    ptx_fail(scanner, line, "the comment has no end");
}

static void skip_space(Scanner *scanner) {
    for (;;) {
        const char *at = scanner->at;
        if (*at == '\n') scanner->line++;
        if (isspace((unsigned char)*at))
            scanner->at++;
        else if (at[0] == '/' && at[1] == '/')
            scanner->at += strcspn(at, "\n");
        else if (at[0] == '/' && at[1] == '*')
            skip_block_comment(scanner);
        else
            return;
    }
}

static bool starts_word(char c) {
    return isalpha((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.';
}

static Token scan_word(Scanner *scanner) {
    const char *from = scanner->at, *at = from + 1;
    while (starts_word(*at) || isdigit((unsigned char)*at) || (at[0] == ':' && at[1] == ':'))
        at += *at == ':' ? 2 : 1;
    scanner->at = at;
    return (Token){.kind = *from == '.' ? TOKEN_DIRECTIVE : TOKEN_WORD,
                   .line = scanner->line,
                   .text = ptx_copy(scanner->arena, from, (size_t)(at - from))};
}

/* 0f3F800000, 0d…: the bits in hexadecimal. */
static bool scan_bits(Scanner *scanner, Token *token) {
    const char *at = scanner->at;
    char kind = (char)tolower((unsigned char)at[1]);
    uint32_t digits = kind == 'f' ? 8 : 16;
    if (at[0] != '0' || (kind != 'f' && kind != 'd')) return false;
    for (uint32_t i = 0; i < digits; i++) {
        char c = (char)tolower((unsigned char)at[2 + i]);
        if (!isxdigit((unsigned char)c)) return false;
        token->value =
            token->value << 4 | (uint64_t)(isdigit((unsigned char)c) ? c - '0' : c - 'W');
    }
    token->kind = kind == 'f' ? TOKEN_F32 : TOKEN_F64;
    scanner->at = at + 2 + digits;
    return true;
}

static bool scan_decimal(Scanner *scanner, Token *token) {
    size_t digits = strspn(scanner->at, "0123456789");
    char next = scanner->at[digits];
    if (next != '.' && next != 'e' && next != 'E') return false;
    char *end;
    double value = strtod(scanner->at, &end);
    token->kind = TOKEN_F64;
    memcpy(&token->value, &value, sizeof value);
    scanner->at = end;
    return true;
}

static Token scan_number(Scanner *scanner) {
    Token token = {.kind = TOKEN_INTEGER, .line = scanner->line};
    if (scan_bits(scanner, &token)) return token;
    token.value = 0;
    const char *at = scanner->at;
    char *end;
    if (at[0] == '0' && (at[1] == 'b' || at[1] == 'B'))
        token.value = strtoull(at + 2, &end, 2);
    else if (at[0] != '0' && scan_decimal(scanner, &token))
        return token;
    else if (at[0] == '0' && at[1] == '.' && scan_decimal(scanner, &token))
        return token;
    else
        token.value = strtoull(at, &end, 0);
    if (*end == 'U') end++;
    if (starts_word(*end) || isdigit((unsigned char)*end))
        ptx_fail(scanner, scanner->line, "'%.*s' is not a number", (int)strcspn(at, " \t\r\n,;]})"),
                 at);
    scanner->at = end;
    return token;
}

static Token scan_string(Scanner *scanner) {
    const char *from = scanner->at + 1;
    size_t length = strcspn(from, "\"\n");
    if (from[length] != '"') ptx_fail(scanner, scanner->line, "the string has no end");
    scanner->at = from + length + (from[length] == '"');
    return (Token){.kind = TOKEN_STRING,
                   .line = scanner->line,
                   .text = ptx_copy(scanner->arena, from, length)};
}

Token ptx_scan(Scanner *scanner) {
    skip_space(scanner);
    char c = *scanner->at;
    if (scanner->message || !c) return (Token){.kind = TOKEN_END, .line = scanner->line};
    if (starts_word(c)) return scan_word(scanner);
    if (isdigit((unsigned char)c)) return scan_number(scanner);
    if (c == '"') return scan_string(scanner);
    if (!strchr("@!{}[](),;:<>|+-=", c))
        ptx_fail(scanner, scanner->line, "'%c' does not belong into PTX", c);
    scanner->at++;
    return (Token){.kind = TOKEN_MARK, .mark = c, .line = scanner->line};
}
