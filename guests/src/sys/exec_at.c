/* execveat runs the file of a descriptor with AT_EMPTY_PATH or a name below a folder; AT_SYMLINK_NOFOLLOW refuses links;
 * what is marked close-on-exec is closed, and a script through such a descriptor cannot be found. execveat(2). */
#include "../lib/sys.h"

extern char **environ;

static int folder, fd, flags;
static const char *name;
static char *words[4];

static int executed(int argc, char **argv) {
    if (strcmp(argv[1], "descriptors") != 0 || argc != 3) return 81;
    int kept = atoi(argv[2]);
    struct stat about;
    return fstat(kept, &about) == 0 && fcntl(kept + 1, F_GETFD) == -1 && fcntl(kept + 2, F_GETFD) == -1 ? 82 : 83;
}

static void executes(void) {
    syscall(SYS_execveat, fd, name, words, environ, flags);
    _exit(errno);
}

static int run(int at, const char *path, int with) {
    fd = at;
    name = path;
    flags = with;
    int status = status_of(child(executes));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv) {
    if (argc > 1) return executed(argc, argv);
    begin();
    char self[600];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length > 0 ? length : 0] = 0;
    scratch();
    words[0] = argv[0];
    words[1] = "plain";
    int program = open(self, O_RDONLY | O_CLOEXEC), path_only = open(self, O_PATH | O_CLOEXEC);
    folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(symlink(self, "link") == 0);
    CHECK_U64(run(program, "", AT_EMPTY_PATH), 81);
    CHECK_U64(run(path_only, "", AT_EMPTY_PATH), 81);
    CHECK_U64(run(folder, "link", 0), 81);
    CHECK_U64(run(-1, self, 0), 81);
    CHECK_U64(run(AT_FDCWD, "link", 0), 81);
    CHECK_U64(run(program, "", 0), ENOENT);
    CHECK_U64(run(folder, "link", AT_SYMLINK_NOFOLLOW), ELOOP);
    CHECK_U64(run(folder, "missing", 0), ENOENT);
    CHECK_U64(run(-1, "link", 0), EBADF);
    CHECK_U64(run(program, "link", 0), ENOTDIR);
    CHECK_U64(run(folder, "", AT_EMPTY_PATH), EACCES);
    CHECK_U64(run(AT_FDCWD, "", AT_EMPTY_PATH), EACCES);
    CHECK_U64(run(folder, "link", 0x10), EINVAL);
    CHECK(fexecve(-1, words, environ) == -1);
    CHECK(write_file("script", "#!./link\n", 0755) == 0);
    int script = open("script", O_RDONLY), closing = open("script", O_RDONLY | O_CLOEXEC);
    CHECK_U64(run(script, "", AT_EMPTY_PATH), 81);     /* as /dev/fd/N */
    CHECK_U64(run(closing, "", AT_EMPTY_PATH), ENOENT); /* which would be gone */
    CHECK(close(script) == 0);

    char text[16];
    int kept = 400;
    CHECK(dup2(1, kept) == kept && dup3(1, kept + 1, O_CLOEXEC) == kept + 1 && dup2(1, kept + 2) == kept + 2);
    CHECK(fcntl(kept + 2, F_SETFD, FD_CLOEXEC) == 0);
    snprintf(text, sizeof text, "%d", kept);
    words[1] = "descriptors";
    words[2] = text;
    CHECK_U64(run(program, "", AT_EMPTY_PATH), 82);
    CHECK(fcntl(kept + 1, F_GETFD) == FD_CLOEXEC); /* the parent's are its own */
    CHECK(close_range((unsigned)kept, (unsigned)kept + 1, 0) == 0 && FAILS(fcntl(kept, F_GETFD), EBADF));
    CHECK(close_range((unsigned)kept + 2, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */) == 0 && fcntl(kept + 2, F_GETFD) == FD_CLOEXEC);
    CHECK(FAILS(close_range(5, 4, 0), EINVAL));
    return finish("exec_at");
}
