/* mremap grows in place where there is room, moves with its contents, replaces a fixed target, leaves the old range empty
 * with MREMAP_DONTUNMAP, and duplicates shared mappings for an old size of 0. mremap(2). */
#include "../lib/sys.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static size_t page;

static char *area(size_t pages) {
    char *p = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < pages; i++) memset(p + i * page, (int)('a' + i), page);
    return p;
}

static int is_mapped(char *p) {
    unsigned char vector;
    return mincore(p, page, &vector) == 0;
}

int main(void) {
    begin();
    page = PAGE;
    char *p = area(8);
    CHECK(mremap(p, 8 * page, 4 * page, 0) == p && is_mapped(p + 3 * page) && !is_mapped(p + 4 * page));
    CHECK(mremap(p, 4 * page, 8 * page, 0) == p && p[4 * page] == 0 && p[3 * page] == 'd'); /* grown: zeros */
    CHECK(mprotect(p + 4 * page, page, PROT_READ) == 0);
    CHECK(MAP_FAILS(mremap(p + 3 * page, 2 * page, 3 * page, MREMAP_MAYMOVE), EFAULT)); /* two mappings in one */
    CHECK(mprotect(p + 4 * page, page, PROT_READ | PROT_WRITE) == 0);
    CHECK(MAP_FAILS(mremap(p, 2 * page, 3 * page, 0), ENOMEM)); /* the next page is taken */
    char *q = mremap(p, 2 * page, 20 * page, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q != p && q[0] == 'a' && q[page] == 'b' && q[2 * page] == 0 && !is_mapped(p) && !is_mapped(p + page));
    CHECK(MAP_FAILS(mremap(p, page, 2 * page, MREMAP_MAYMOVE), EFAULT)); /* nothing there */
    CHECK(p[2 * page] == 'c');
    char *target = area(4);
    CHECK(mremap(q, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target + page) == target + page);
    CHECK(target[0] == 'a' && target[page] == 'a' && target[2 * page] == 'b' && target[3 * page] == 'd' && !is_mapped(q));
    CHECK(q[2 * page] == 0);
    char *r = mremap(target, page, page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    CHECK(r != MAP_FAILED && r != target && r[0] == 'a' && is_mapped(target) && target[0] == 0);
    char *shared = shared_memory(2 * page);
    strcpy(shared, "shared");
    char *twin = mremap(shared, 0, page, MREMAP_MAYMOVE);
    CHECK(twin != MAP_FAILED && twin != shared && strcmp(twin, "shared") == 0);
    twin[0] = 'S';
    CHECK(shared[0] == 'S');

    CHECK(MAP_FAILS(mremap(p + 2 * page, 0, page, MREMAP_MAYMOVE), EINVAL)); /* only for shared ones */
    CHECK(MAP_FAILS(mremap(p + 1, page, page, 0), EINVAL));
    CHECK(MAP_FAILS(mremap(target, page, 0, 0), EINVAL));
    CHECK(MAP_FAILS(mremap(target, page, page, 0x100), EINVAL));
    CHECK(MAP_FAILS(mremap(target, page, page, MREMAP_FIXED, q), EINVAL)); /* needs MREMAP_MAYMOVE */
    CHECK(MAP_FAILS(mremap(target, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target + page), EINVAL)); /* overlap */
    CHECK(MAP_FAILS(mremap(target, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, target + 1), EINVAL));
    /* Numbers are looked at before what is mapped: there are but four pages. */
    void *last = (void *)(UINTPTR_MAX - page + 1);
    CHECK(MAP_FAILS(mremap(target, 99 * page, 99 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target + 98 * page), EINVAL));
    CHECK(MAP_FAILS(mremap(target, 99 * page, 99 * page, MREMAP_MAYMOVE | MREMAP_FIXED, last), EINVAL));
    for (int i = 0; i < 2; i++) { /* C libraries may keep this address to themselves */
        CHECK(FAILS(syscall(SYS_mremap, target, page, page, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, target + i), EINVAL));
    }
    CHECK(MAP_FAILS(mremap(target, page, SIZE_MAX, MREMAP_MAYMOVE), EINVAL)); /* rounded up it is none */
    CHECK(target[0] == 0 && target[3 * page] == 'd');
    CHECK(mremap(target + 3 * page, 100, 200, 0) == target + 3 * page && target[3 * page] == 'd'); /* rounded up */
    int fd = memfd_create("file", MFD_CLOEXEC);
    CHECK(ftruncate(fd, (off_t)(4 * page)) == 0 && pwrite(fd, "three", 5, (off_t)(3 * page)) == 5);
    char *file = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, (off_t)page);
    file = mremap(file, 2 * page, 3 * page, MREMAP_MAYMOVE); /* a file's mapping grows along the file */
    CHECK(file != MAP_FAILED && memcmp(file + 2 * page, "three", 5) == 0);
    /* realloc of something large moves pages, and none is lost. */
    size_t size = 1 << 20;
    unsigned char *block = malloc(size);
    for (size_t i = 0; i < size; i += 512) block[i] = (unsigned char)(i / 512);
    unsigned wrong = 0;
    while (size < (64u << 20) && (block = realloc(block, size * 2)) != NULL) size *= 2;
    for (size_t i = 0; block && i < (1 << 20); i += 512) wrong += block[i] != (unsigned char)(i / 512);
    CHECK(block != NULL && wrong == 0);
    free(block);
    return finish("map_remap");
}
