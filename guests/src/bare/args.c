/* Prints its arguments, one a line, and ends with their number as its exit status. */
#include "../lib/bare.h"

int bare_main(word argc, char **argv, char **envp, word *auxv) {
    (void)envp;
    (void)auxv;
    for (word i = 1; i < argc; i++) {
        print_number(i);
        print(": ");
        print(argv[i]);
        print("\n");
    }
    return (int)(argc - 1);
}
