/* Greets, without a C library. */
#include "../lib/bare.h"

int bare_main(word argc, char **argv, char **envp, word *auxv) {
    (void)argc;
    (void)argv;
    (void)envp;
    (void)auxv;
    print("Hello, world!\n");
    return 0;
}
