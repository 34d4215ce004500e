/* Expands builtin.def. */
#include "compiler/graph/builtin.h"

#include <string.h>

enum {
    FUNCTION,
    VALUE,
    ANY = BUILTIN_ANY_COUNT,
    IN_DEF = BUILTIN_IN_DEF,
    IN_LAYER = BUILTIN_IN_LAYER,
    IN_MODEL = BUILTIN_IN_MODEL,
    IN_GENERATE = BUILTIN_IN_GENERATE,
    IN_INIT = BUILTIN_IN_INIT,
    IN_OPTIMIZER = BUILTIN_IN_OPTIMIZER,
    IN_SCHEDULE = BUILTIN_IN_SCHEDULE,
    IN_STUDY = BUILTIN_IN_STUDY,
    EVERYWHERE = 2 * IN_STUDY - 1,
    RANDOM_PLACES = IN_DEF | IN_LAYER | IN_MODEL | IN_GENERATE | IN_INIT
};

const BuiltinInfo builtin_info[BUILTIN_COUNT] = {
#define X(name, text, kind, least, most, named, contexts)                                          \
    {text, kind == VALUE, least, most, named, contexts},
#include "compiler/graph/builtin.def"
#undef X
};

Builtin builtin_find(const char *text) {
    for (int i = 0; i < BUILTIN_COUNT; i++)
        if (!strcmp(builtin_info[i].text, text)) return (Builtin)i;
    return BUILTIN_NONE;
}

bool builtin_takes(Builtin builtin, const char *argument_name) {
    size_t bytes = strlen(argument_name);
    for (const char *at = builtin_info[builtin].named; *at;) {
        size_t word = strcspn(at, " ");
        if (word == bytes && !memcmp(at, argument_name, bytes)) return true;
        at += word;
        at += *at == ' ';
    }
    return false;
}

bool builtin_is_random(Builtin builtin) {
    return builtin == BUILTIN_UNIFORM || builtin == BUILTIN_NORMAL || builtin == BUILTIN_RANDINT;
}
