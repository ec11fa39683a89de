/* getdents64 gives each name once with kind and inode, in records of multiples of eight bytes; a position is good to return
 * to; a buffer that is too small is refused. getdents(2), readdir(3), telldir(3). */
#include "../lib/sys.h"
#include <dirent.h>

#define FILES 150

struct record {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t kind;
    char name[];
};

static unsigned char seen[FILES];

static int note(const char *name) {
    int number = -1;
    if (sscanf(name, "file-%d", &number) != 1 || number < 0 || number >= FILES) return 0;
    seen[number]++;
    return 1;
}

int main(void) {
    begin();
    scratch();
    CHECK(mkdir("many", 0700) == 0 && chdir("many") == 0);
    char name[64];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%d-%.*s", i, i % 20, "xxxxxxxxxxxxxxxxxxxxxxx");
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || close(fd) != 0) CHECK(!"made a file");
    }
    CHECK(mkdir("folder", 0700) == 0 && symlink("x", "link") == 0 && mkfifo("fifo", 0600) == 0);
    static _Alignas(8) char buffer[1024];
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    unsigned wrong = 0, files = 0, others = 0, dots = 0;
    long n;
    while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < n;) {
            struct record *record = (struct record *)(void *)(buffer + at);
            wrong += record->length % 8 != 0 || record->inode == 0 || strlen(record->name) + 20 > record->length;
            struct stat about;
            wrong += fstatat(fd, record->name, &about, AT_SYMLINK_NOFOLLOW) != 0;
            if (strcmp(record->name, "..") != 0) wrong += about.st_ino != record->inode;
            wrong += record->kind != DT_UNKNOWN && record->kind != IFTODT(about.st_mode);
            if (note(record->name)) files++;
            else if (record->name[0] == '.') dots++;
            else others++;
            at += record->length;
        }
    }
    CHECK(n == 0 && syscall(SYS_getdents64, fd, buffer, sizeof buffer) == 0);
    CHECK_U64(wrong, 0);
    CHECK_U64(files, FILES);
    CHECK(dots == 2 && others == 3);
    for (int i = 0; i < FILES; i++) wrong += seen[i] != 1;
    CHECK_U64(wrong, 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0);
    CHECK(FAILS(syscall(SYS_getdents64, fd, buffer, 8), EINVAL));
    int file = open("fifo", O_RDWR);
    CHECK(FAILS(syscall(SYS_getdents64, file, buffer, sizeof buffer), ENOTDIR));
    CHECK(FAILS(syscall(SYS_getdents64, 999, buffer, sizeof buffer), EBADF));

    DIR *folder = opendir(".");
    char after[300];
    long place = -1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder)); count++) {
        if (count == 100) {
            place = telldir(folder);
            entry = readdir(folder);
            snprintf(after, sizeof after, "%s", entry->d_name);
            count++;
        }
    }
    CHECK_U64(count, FILES + 5);
    seekdir(folder, place);
    struct dirent *entry = readdir(folder);
    CHECK(entry && strcmp(entry->d_name, after) == 0);
    rewinddir(folder);
    for (count = 0; readdir(folder);) count++;
    CHECK_U64(count, FILES + 5);
    rewinddir(folder); /* removing while reading: every name is still met once */
    int removed = 0;
    while ((entry = readdir(folder))) removed += entry->d_name[0] == 'f' && entry->d_name[1] == 'i' && unlink(entry->d_name) == 0;
    CHECK(removed == FILES + 1 && closedir(folder) == 0 && close(fd) == 0);
    return finish("file_dents");
}
