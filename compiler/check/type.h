/* Element types and shapes.
 *
 * A dim knows its size, and for messages where it came from: the name of the int parameter or
 * axis ("width", "batch"), and the place that gave it. */
#ifndef TUNE_COMPILER_CHECK_TYPE_H
#define TUNE_COMPILER_CHECK_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "grammar/source.h"
#include "grammar/text.h"

typedef enum { E_BOOL, E_U8, E_I32, E_U32, E_F32, E_F64 } Elem;

enum { MAX_RANK = 8 }; /* the batch axis included */

typedef struct {
    int64_t size;
    const char *name; /* "batch", "width", …, or NULL */
    Span origin;
} Dim;

typedef struct {
    Elem elem;
    uint32_t rank;
    Dim dims[MAX_RANK];
} Type;

const char *elem_name(Elem elem);     /* "f32" */
uint32_t elem_bytes(Elem elem);       /* bool is 1 byte in memory */
bool elem_is_real(Elem elem);         /* f32, f64 */
int64_t type_count(const Type *type); /* elements */
bool type_same_shape(const Type *a, const Type *b);
void type_print(const Type *type, Text *out); /* "f32[batch, 128]" */

#endif
