/* compile_cu ARCH FILE…: whether NVRTC takes each file by itself, without a warning. Exit 77: no
 * NVRTC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/emit/nvrtc.h"

static char *read_file(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t bytes = 0;
    if (file && getdelim(&text, &bytes, 0, file) < 0) text = NULL;
    if (file) fclose(file);
    return text;
}

int main(int argc, char **argv) {
    Arena *arena = arena_new();
    const char *problem = NULL;
    Nvrtc *nvrtc = nvrtc_open(arena, &problem);
    if (!nvrtc) {
        printf("skipped: %s\n", problem);
        return 77;
    }
    int failures = 0;
    for (int i = 2; i < argc; i++) {
        CudaImage image;
        char *text = read_file(argv[i]);
        problem = text ? nvrtc_compile(nvrtc, argv[i], text, argv[1], &image, arena) : "no text";
        if (!problem && strstr(image.log, "warning")) problem = image.log;
        if (problem) printf("%s: %s\n", argv[i], problem);
        failures += problem != NULL;
        free(text);
    }
    nvrtc_close(nvrtc);
    arena_free(arena);
    return failures > 0;
}
