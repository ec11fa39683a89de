/* A file that begins with #! is run by the named interpreter with at most one further argument, then the file's name, then
 * the caller's arguments; interpreters may be scripts, to a depth. execve(2), "Interpreter scripts". */
#include "../lib/sys.h"

/* As the interpreter: prints what it was given into the file `out`. */
static int interpreter(int argc, char **argv) {
    FILE *out = fopen("out", "w");
    for (int i = 1; out && i < argc; i++) fprintf(out, "[%s]", argv[i]);
    return out && fclose(out) == 0 ? 71 : 1;
}

static const char *script;
static char *words[] = {"ignored", "one", "two words", NULL};

static void executes(void) {
    execv(script, words);
    _exit(errno == ENOENT ? 101 : errno == ENOEXEC ? 102 : errno == ELOOP ? 103 : errno == EACCES ? 104 : 100);
}

static int run(const char *path, char *text, size_t size) {
    script = path;
    unlink("out");
    text[0] = 0;
    int status = status_of(child(executes));
    read_file("out", text, size);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int script_file(const char *name, const char *first, const char *second, const char *rest) {
    char text[2000];
    snprintf(text, sizeof text, "%s%s%s", first, second, rest);
    return write_file(name, text, 0755) == 0;
}

int main(int argc, char **argv) {
    if (argc > 1) return interpreter(argc, argv);
    begin();
    char self[400], text[2000], folder[600];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length > 0 ? length : 0] = 0;
    scratch();
    CHECK(symlink(self, "i") == 0); /* a short name, since older kernels cut the line at 127 bytes */
    CHECK(getcwd(folder, sizeof folder) != NULL);
    CHECK(script_file("plain", "#!", "./i", "\nrest\n"));
    CHECK(run("./plain", text, sizeof text) == 71 && strcmp(text, "[./plain][one][two words]") == 0);
    CHECK(script_file("argument", "#!", "./i", " -a  b c\t \nrest\n"));
    CHECK(run("./argument", text, sizeof text) == 71);
    CHECK(strcmp(text, "[-a  b c][./argument][one][two words]") == 0); /* one argument, trimmed at its end */
    CHECK(script_file("spaces", "#! \t ", "./i", "\t-x\n"));
    CHECK(run("./spaces", text, sizeof text) == 71 && strcmp(text, "[-x][./spaces][one][two words]") == 0);
    CHECK(script_file("no-newline", "#!", "./i", " end"));
    CHECK(run("./no-newline", text, sizeof text) == 71 && strcmp(text, "[end][./no-newline][one][two words]") == 0);
    CHECK(script_file("nested", "#!", "./argument", " inner\n"));
    CHECK(run("./nested", text, sizeof text) == 71);
    CHECK(strcmp(text, "[-a  b c][./argument][inner][./nested][one][two words]") == 0);
    /* Five scripts may lead to a program, and no more. */
    CHECK(script_file("deep3", "#!", "./nested", "\n") && script_file("deep4", "#!", "./deep3", "\n"));
    CHECK(script_file("deep5", "#!", "./deep4", "\n") && run("./deep5", text, sizeof text) == 71);
    CHECK(script_file("deep6", "#!", "./deep5", "\n") && run("./deep6", text, sizeof text) == 103);
    CHECK(script_file("loop", "#!", "./loop", "\n") && run("./loop", text, sizeof text) == 103);
    CHECK(script_file("missing", "#!", "/nowhere/at-all", "\n") && run("./missing", text, sizeof text) == 101);
    CHECK(script_file("nothing", "#!", "", "\n") && run("./nothing", text, sizeof text) == 102);
    CHECK(script_file("blank", "#! \t", "", " \n") && run("./blank", text, sizeof text) == 102);
    CHECK(script_file("bare", "#!", "", "") && run("./bare", text, sizeof text) == 104); /* an empty name, which is a folder's */
    CHECK(script_file("text", "no ", "script", "\n") && run("./text", text, sizeof text) == 102);
    CHECK(script_file("locked", "#!", "./i", "\n") && chmod("locked", 0644) == 0 && run("./locked", text, sizeof text) == 104);
    CHECK(script_file("data", "#!", "./locked", "\n") && run("./data", text, sizeof text) == 104);
    char path[700];
    snprintf(path, sizeof path, "%s/plain", folder);
    CHECK(run(path, text, sizeof text) == 71 && strncmp(text + 1, path, strlen(path)) == 0);
    return finish("exec_script");
}
