#include "grammar/tree.h"

void tree_format(const Node *file, const Source *source, Text *out) {
    (void)file;
    text_add_bytes(out, source->text, source->bytes);
}
