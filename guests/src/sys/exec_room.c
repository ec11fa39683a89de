/* How much execve takes: strings and pointers may fill a quarter of the stack's limit, at least 128 KiB, at most 6 MiB, and no
 * more than the stack itself. What is too much is refused while the caller still runs. execve(2), "Limits on size of arguments
 * and environment". */
#include "../lib/sys.h"

#define KIB ((rlim_t)1 << 10)
#define MIB ((rlim_t)1 << 20)
#define LONG 100000

static char program[] = "/proc/self/exe", letters[LONG + 1];
static rlim_t limit;
static char *words[200];
static char *environment[] = {"A=1", NULL};

/* Finds as many arguments as the number after its name says, and the limit that the caller had. */
static int executed(int argc, char **argv) {
    struct rlimit own;
    int whole = argc == atoi(argv[1]) && (argc == 3 || strlen(argv[3]) == LONG);
    return whole && getrlimit(RLIMIT_STACK, &own) == 0 && own.rlim_cur == strtoull(argv[2], NULL, 10) ? 71 : 72;
}

static void executes(void) {
    struct rlimit own;
    if (getrlimit(RLIMIT_STACK, &own) != 0) _exit(1);
    own.rlim_cur = limit;
    if (setrlimit(RLIMIT_STACK, &own) != 0) _exit(2);
    execve(program, words, environment);
    _exit(errno);
}

/* The exit status of a child that executes this program with so many long arguments, and one that is `more` bytes long if that
 * is not negative. */
static int run(rlim_t stack, int number, long more) {
    static char count[16], text[32], *last;
    int all = 3 + number + (more >= 0);
    struct rlimit own;
    if (getrlimit(RLIMIT_STACK, &own) != 0 || own.rlim_max < stack) return -2;
    snprintf(count, sizeof count, "%d", all);
    snprintf(text, sizeof text, "%llu", (unsigned long long)stack);
    words[0] = program, words[1] = count, words[2] = text;
    for (int i = 0; i < number; i++) words[3 + i] = letters;
    if (more >= 0) {
        last = realloc(last, (size_t)more + 1);
        memset(last, 'm', (size_t)more);
        last[more] = 0;
        words[3 + number] = last;
    }
    words[all] = NULL;
    limit = stack;
    int status = status_of(child(executes));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Bytes that the strings of a call with so many long arguments take: the file's name, the environment, the arguments. */
static long taken(int number) {
    size_t bytes = sizeof program + sizeof "A=1";
    for (int i = 0; i < 3 + number; i++) bytes += strlen(words[i]) + 1;
    return (long)bytes;
}

int main(int argc, char **argv) {
    if (argc > 2) return executed(argc, argv);
    begin();
    memset(letters, 'a', LONG);
    static const struct {
        rlim_t stack;
        int number, expected;
    } rows[] = {
        {1 * MIB, 1, 71},  {1 * MIB, 2, 71},  {1 * MIB, 3, E2BIG},  {256 * KIB, 1, 71},      {256 * KIB, 2, E2BIG},
        {512 * KIB, 1, 71}, {64 * KIB, 1, E2BIG}, {64 * KIB, 0, 71},    {8 * MIB, 15, 71},       {8 * MIB, 21, E2BIG},
        {32 * MIB, 50, 71}, {32 * MIB, 63, E2BIG}, {RLIM_INFINITY, 60, 71}, {RLIM_INFINITY, 63, E2BIG},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int got = run(rows[i].stack, rows[i].number, -1);
        if (got != -2) CHECK_U64(got, rows[i].expected); /* unless the hard limit is lower */
    }
    /* To the byte: a word for each string is counted too. */
    static const struct {
        rlim_t stack;
        int number;
        long room;
    } exact[] = {{256 * KIB, 1, 128 << 10}, {1 * MIB, 2, 256 << 10}, {2 * MIB, 5, 512 << 10}};
    for (size_t i = 0; i < COUNT(exact); i++) {
        CHECK_U64(run(exact[i].stack, exact[i].number, 0), 71);
        long rest = exact[i].room - 8 * (4 + exact[i].number + 1) - taken(exact[i].number) - 1;
        CHECK_U64(run(exact[i].stack, exact[i].number, rest), 71);
        CHECK_U64(run(exact[i].stack, exact[i].number, rest + 1), E2BIG);
    }
    CHECK_U64(run(64 * KIB, 0, 70000), E2BIG);
    return finish("exec_room");
}
