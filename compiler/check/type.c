/* Element types and shapes. */
#include "compiler/check/type.h"

#include <inttypes.h>

static const struct {
    const char *name;
    uint32_t bytes;
} elems[] = {{"bool", 1}, {"u8", 1}, {"i32", 4}, {"u32", 4}, {"f32", 4}, {"f64", 8}};

const char *elem_name(Elem elem) {
    return elems[elem].name;
}
uint32_t elem_bytes(Elem elem) {
    return elems[elem].bytes;
}
bool elem_is_real(Elem elem) {
    return elem == E_F32 || elem == E_F64;
}

int64_t type_count(const Type *type) {
    int64_t count = 1;
    for (uint32_t i = 0; i < type->rank; i++) count *= type->dims[i].size;
    return count;
}

bool type_same_shape(const Type *a, const Type *b) {
    if (a->rank != b->rank) return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dims[i].size != b->dims[i].size) return false;
    return true;
}

void type_print(const Type *type, Text *out) {
    text_add(out, elem_name(type->elem));
    text_add(out, "[");
    for (uint32_t i = 0; i < type->rank; i++) {
        if (i) text_add(out, ", ");
        if (type->dims[i].name && i == 0 && type->dims[i].name[0] == 'b' &&
            type->dims[i].name[1] == 'a') { /* the batch is named, the rest are sizes */
            text_add(out, type->dims[i].name);
        } else {
            text_printf(out, "%" PRId64, type->dims[i].size);
        }
    }
    text_add(out, "]");
}
