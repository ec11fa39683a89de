//! Waiting for descriptors, and sockets.

use std::time::{Duration, Instant};

use vm_linux::Errno;

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["ppoll", "pselect6", "eventfd2"], polling),
    (&["epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2"], epoll),
    (&["timerfd_create", "timerfd_settime", "timerfd_gettime"], timers),
    (&["futex", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue"], futexes),
    (&["inotify_init1", "inotify_add_watch", "inotify_rm_watch"], notification),
];

fn polling(g: &mut Guest) {
    let event = g.ok("eventfd2", &[0, 0]);
    let fds = g.put64(&[event | 1 << 32]);
    let zero = g.put64(&[0, 0]);
    assert_eq!(g.ok("ppoll", &[fds, 1, zero, 0, 8]), 0);
    let set = g.put64(&[1 << event, 0]);
    assert_eq!(g.ok("pselect6", &[event + 1, set, 0, 0, zero, 0]), 0);
    assert_eq!(g.get64(set), 0);
    let one = g.put64(&[1]);
    g.ok("write", &[event, one, 8]);
    assert_eq!(g.ok("ppoll", &[fds, 1, 0, 0, 8]), 1);
    // Revents are the last two bytes: POLLIN.
    assert_eq!(g.get(fds + 6, 2), [1, 0]);
    let set = g.put64(&[1 << event, 0]);
    let mask = g.put64(&[0]);
    let mask = g.put64(&[mask, 8]);
    assert_eq!(g.ok("pselect6", &[event + 1, set, 0, 0, 0, mask]), 1);
    assert_eq!(g.get64(set), 1 << event);
    g.fails("ppoll", &[WILD, 1, zero, 0, 8], Errno::EFAULT);
    g.fails("pselect6", &[u64::MAX, 0, 0, 0, zero, 0], Errno::EINVAL);
    let bad = g.put64(&[60]);
    g.fails("pselect6", &[10, bad, 0, 0, zero, WILD], Errno::EFAULT);
    g.fails("eventfd2", &[0, 0x1234], Errno::EINVAL);
}

fn epoll(g: &mut Guest) {
    let (queue, event) = (g.ok("epoll_create1", &[0]), g.ok("eventfd2", &[1, 0]));
    // The guest's `struct epoll_event` has padding between events and data.
    let want = g.put64(&[1, 0x1122_3344_5566_7788]);
    g.ok("epoll_ctl", &[queue, 1, event, want]);
    g.fails("epoll_ctl", &[queue, 1, event, want], Errno::EEXIST);
    let got = g.room(64);
    assert_eq!(g.ok("epoll_pwait", &[queue, got, 4, 0, 0, 8]), 1);
    assert_eq!((g.get32(got), g.get64(got + 8)), (1, 0x1122_3344_5566_7788));
    let (short, zero) = (g.put64(&[0, 1_000_000]), g.put64(&[0, 0]));
    assert_eq!(g.ok("epoll_pwait2", &[queue, got + 16, 4, 0, 0, 8]), 1);
    assert_eq!(g.get64(got + 24), 0x1122_3344_5566_7788);
    g.fails("epoll_pwait2", &[queue, got, 4, WILD, 0, 8], Errno::EFAULT);
    g.ok("epoll_ctl", &[queue, 2, event, 0]);
    assert_eq!(g.ok("epoll_pwait2", &[queue, got, 4, zero, 0, 8]), 0);
    assert_eq!(g.ok("epoll_pwait2", &[queue, got, 4, short, 0, 8]), 0);
    assert_eq!(g.ok("epoll_pwait", &[queue, got, 4, 0, 0, 8]), 0);
    g.fails("epoll_pwait", &[queue, got, 0, 0, 0, 8], Errno::EINVAL);
    g.fails("epoll_ctl", &[queue, 1, event, WILD], Errno::EFAULT);
    g.fails("epoll_create1", &[1], Errno::EINVAL);
}

fn timers(g: &mut Guest) {
    let timer = g.ok("timerfd_create", &[1, 0]);
    let setting = g.put64(&[0, 0, 0, 10_000_000]);
    let before = Instant::now();
    g.ok("timerfd_settime", &[timer, 0, setting, 0]);
    let buf = g.room(32);
    assert_eq!(g.ok("read", &[timer, buf, 8]), 8);
    assert!(g.get64(buf) == 1 && before.elapsed() >= Duration::from_millis(10));
    g.ok("timerfd_gettime", &[timer, buf]);
    assert_eq!(g.get(buf, 32), [0; 32]);
    g.fails("timerfd_create", &[99, 0], Errno::EINVAL);
}

fn futexes(g: &mut Guest) {
    let word = g.put64(&[5]);
    let short = g.put64(&[0, 5_000_000]);
    g.fails("futex", &[word, 128, 4, short, 0, 0], Errno::EAGAIN);
    g.fails("futex", &[word, 128, 5, short, 0, 0], Errno::ETIMEDOUT);
    assert_eq!(g.ok("futex", &[word, 129, 1, 0, 0, 0]), 0);
    g.fails("futex", &[WILD, 128, 5, short, 0, 0], Errno::EFAULT);
    g.fails("futex", &[word, 99, 0, 0, 0, 0], Errno::ENOSYS);
    // Waits without a limit, so often that short ones are expected by then: WAIT, WAIT_BITSET by either clock.
    for _ in 0..8 {
        for operation in [0, 128, 9, 137, 0x109] {
            g.fails("futex", &[word, operation, 4, 0, 0, 1], Errno::EAGAIN);
            g.fails("futex", &[WILD, operation, 5, 0, 0, 1], Errno::EFAULT);
            g.fails("futex", &[word + 1, operation, 4, 0, 0, 1], Errno::EINVAL);
        }
        g.fails("futex", &[word, 9, 4, 0, 0, 0], Errno::EINVAL);
        g.fails("futex", &[word, 0x100, 4, 0, 0, 1], Errno::ENOSYS);
    }
    let lock = g.room(4);
    assert_eq!(g.ok("futex", &[lock, 6, 0, 0, 0, 0]), 0); // FUTEX_LOCK_PI
    assert_eq!(u64::from(g.get32(lock)), g.ok("gettid", &[]));
    assert_eq!(g.ok("futex", &[lock, 7, 0, 0, 0, 0]), 0); // FUTEX_UNLOCK_PI
    assert_eq!(g.get32(lock), 0);
    // The same word, each flag of futex2: a 32-bit one.
    let at_once = g.put64(&[0, 0]);
    let host_knows = g.host("futex_wake", &[word, 1, 0, 0x82]);
    if host_knows == Err(Errno::ENOSYS) {
        for name in ["futex_wake", "futex_wait", "futex_requeue"] {
            g.fails(name, &[word, 4, 1, 0x82, at_once, 1], Errno::ENOSYS);
        }
    } else {
        assert_eq!(g.ok("futex_wake", &[word, u32::MAX.into(), 1, 0x82]), 0);
        g.fails("futex_wait", &[word, 4, u32::MAX.into(), 0x82, 0, 1], Errno::EAGAIN);
        g.fails("futex_wait", &[word, 5, u32::MAX.into(), 0x82, at_once, 1], Errno::ETIMEDOUT);
        let two = g.put64(&[5, word, 0x82, 0, word, 0x82]);
        assert_eq!(g.ok("futex_requeue", &[two, 0, 1, 1]), 0);
        g.fails("futex_requeue", &[WILD, 0, 1, 1], Errno::EFAULT);
    }
    let waiter = g.put64(&[4, word, 0x82]);
    g.fails("futex_waitv", &[waiter, 1, 0, 0, 1], Errno::EAGAIN);
    g.fails("futex_waitv", &[waiter, 0, 0, 0, 1], Errno::EINVAL);
}

fn notification(g: &mut Guest) {
    let queue = g.ok("inotify_init1", &[libc::O_NONBLOCK as u64]);
    let dir = g.name("");
    let watch = g.ok("inotify_add_watch", &[queue, dir, 0x100]);
    std::fs::write(g.path("made"), "").unwrap();
    let buf = g.room(64);
    assert!(g.ok("read", &[queue, buf, 64]) >= 16);
    assert_eq!((u64::from(g.get32(buf)), g.get32(buf + 4), g.get(buf + 16, 5)), (watch, 0x100, b"made\0".to_vec()));
    g.ok("inotify_rm_watch", &[queue, watch]);
    g.fails("inotify_rm_watch", &[queue, 99], Errno::EINVAL);
}
