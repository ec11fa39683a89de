/* Greets through the C library: the smallest whole program, for start-up. */
#include <stdio.h>

int main(void) {
    puts("Hello, world!");
    return 0;
}
