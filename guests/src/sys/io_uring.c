/* io_uring either works, here for reading, writing and a no-operation, or its setup says that there is none. io_uring(7),
 * io_uring_setup(2), io_uring_enter(2). */
#include "../lib/sys.h"
#include <linux/io_uring.h>

static struct io_uring_params about;
static char *rings;
static struct io_uring_sqe *entries;
static int ring;

static atomic_uint *word(unsigned offset) {
    return (atomic_uint *)(void *)(rings + offset);
}

/* Submits one request and waits for its result. */
static int one(struct io_uring_sqe request, uint64_t data) {
    unsigned tail = *word(about.sq_off.tail), index = tail & *word(about.sq_off.ring_mask);
    request.user_data = data;
    entries[index] = request;
    *word(about.sq_off.array + index * (unsigned)sizeof(unsigned)) = index;
    atomic_store_explicit(word(about.sq_off.tail), tail + 1, memory_order_release);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) return -9999;
    unsigned head = *word(about.cq_off.head);
    if (head == atomic_load_explicit(word(about.cq_off.tail), memory_order_acquire)) return -9998;
    struct io_uring_cqe done = ((struct io_uring_cqe *)(void *)(rings + about.cq_off.cqes))[head & *word(about.cq_off.ring_mask)];
    atomic_store_explicit(word(about.cq_off.head), head + 1, memory_order_release);
    return done.user_data == data ? done.res : -9997;
}

/* What a caller can rely on, with or without it. */
static void works(void) {
    size_t size = about.cq_off.cqes + about.cq_entries * sizeof(struct io_uring_cqe);
    rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    entries = mmap(NULL, about.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    if (rings == MAP_FAILED || entries == MAP_FAILED) {
        CHECK(!"the rings can be mapped");
        return;
    }
    char text[16] = "";
    int ends[2], wrong = pipe(ends) != 0;
    for (uint64_t i = 0; i < 50; i++) wrong += one((struct io_uring_sqe){.opcode = IORING_OP_NOP}, i) != 0;
    wrong += one((struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = ends[1], .addr = (uintptr_t)"ring", .len = 4}, 77) != 4;
    wrong += one((struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = ends[0], .addr = (uintptr_t)text, .len = 16}, 78) != 4;
    wrong += memcmp(text, "ring", 4) != 0;
    wrong += one((struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = 999, .addr = (uintptr_t)text, .len = 16}, 79) != -EBADF;
    wrong += one((struct io_uring_sqe){.opcode = 255}, 80) != -EINVAL;
    if (wrong) CHECK(!"every request has its result");
}

int main(void) {
    begin();
    ring = (int)syscall(SYS_io_uring_setup, 8, &about);
    int error = errno;
    CHECK(ring >= 0 || error == ENOSYS || error == EPERM);
    if (ring >= 0) works();
    return finish("io_uring");
}
