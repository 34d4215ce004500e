/* Builtin functions and values of the language: the table in builtin.def, by name.
 *
 *     Builtin which = builtin_find("mean");              // BUILTIN_NONE when it is not one
 *     builtin_info[which].most                            // positional arguments at most
 *     builtin_info[which].contexts & BUILTIN_IN_LAYER     // legal there?
 *
 * Used by check/names.c (is the name known, are the arguments right) and by graph/interp.c (what it
 * means). A name of the program hides a builtin of that name. */
#ifndef TUNE_COMPILER_GRAPH_BUILTIN_H
#define TUNE_COMPILER_GRAPH_BUILTIN_H

#include <stdbool.h>

typedef enum {
    BUILTIN_NONE = -1,
#define X(name, text, kind, least, most, named, contexts) BUILTIN_##name,
#include "compiler/graph/builtin.def"
#undef X
    BUILTIN_COUNT
} Builtin;

/* The kind of definition whose body a name stands in; a set of bits. */
typedef enum {
    BUILTIN_IN_DEF = 1,
    BUILTIN_IN_LAYER = 2,
    BUILTIN_IN_MODEL = 4,
    BUILTIN_IN_GENERATE = 8,
    BUILTIN_IN_INIT = 16,
    BUILTIN_IN_OPTIMIZER = 32,
    BUILTIN_IN_SCHEDULE = 64,
    BUILTIN_IN_STUDY = 128
} BuiltinContext;

enum { BUILTIN_ANY_COUNT = 1000 }; /* most: no limit */

typedef struct {
    const char *text;
    bool is_value;     /* used without a call: pi, training */
    int least, most;   /* positional arguments */
    const char *named; /* allowed named arguments, separated by blanks */
    unsigned contexts; /* BuiltinContext bits */
} BuiltinInfo;

extern const BuiltinInfo builtin_info[BUILTIN_COUNT];

Builtin builtin_find(const char *text); /* need not be interned */
bool builtin_takes(Builtin builtin, const char *argument_name);
bool builtin_is_random(Builtin builtin); /* uniform, normal, randint */

#endif
