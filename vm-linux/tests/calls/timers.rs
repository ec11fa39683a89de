//! Timers and the signals that they send.

use vm_linux::{Errno, Status};

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete"], interval_timers),
    (&["rt_sigtimedwait", "rt_sigqueueinfo", "rt_tgsigqueueinfo"], queued_signals),
    (&["rt_sigsuspend", "rt_sigreturn"], suspension),
];

const RT: u64 = 40;
const BIT: u64 = 1 << (RT - 1);

/// Blocks `RT`, so that it waits to be asked for.
fn block(g: &mut Guest) {
    let set = g.put64(&[BIT]);
    g.ok("rt_sigprocmask", &[0, set, 0, 8]);
}

fn interval_timers(g: &mut Guest) {
    // In a process with one thread: no other one may take the signals.
    g.in_child(timers_and_signals);
}

fn timers_and_signals(g: &mut Guest) {
    block(g);
    let id = g.room(4);
    // struct sigevent: a value, then the signal and SIGEV_SIGNAL.
    let event = g.put64(&[0x1122_3344_5566_7788, RT, 0, 0, 0, 0, 0, 0]);
    g.ok("timer_create", &[1, event, id]);
    let timer = u64::from(g.get32(id));
    let soon = g.put64(&[0, 0, 0, 5_000_000]);
    g.ok("timer_settime", &[timer, 0, soon, 0]);
    let (set, info, second) = (g.put64(&[BIT]), g.room(128), g.put64(&[5, 0]));
    assert_eq!(g.ok("rt_sigtimedwait", &[set, info, second, 8]), RT);
    // siginfo: signal, SI_TIMER, the value at 24.
    assert_eq!((u64::from(g.get32(info)), g.get32(info + 8) as i32), (RT, libc::SI_TIMER));
    assert_eq!(g.get64(info + 24), 0x1122_3344_5566_7788);
    assert_eq!(g.ok("timer_getoverrun", &[timer]), 0);
    let far = g.put64(&[7, 0, 1000, 0]);
    let old = g.put(&[0xff; 32]);
    g.ok("timer_settime", &[timer, 0, far, old]);
    assert_eq!(g.get(old, 32), [0; 32]);
    g.ok("timer_gettime", &[timer, old]);
    assert_eq!(g.get64(old), 7);
    assert!((998..=1000).contains(&g.get64(old + 16)));
    // SIGEV_THREAD_ID: to this thread, and to none.
    let tid = g.ok("gettid", &[]);
    let event = g.put64(&[9, RT | 4 << 32, tid, 0, 0, 0, 0, 0]);
    g.ok("timer_create", &[0, event, id]);
    let second_timer = u64::from(g.get32(id));
    g.ok("timer_settime", &[second_timer, 0, soon, 0]);
    assert_eq!(g.ok("rt_sigtimedwait", &[set, info, second, 8]), RT);
    assert_eq!(g.get64(info + 24), 9);
    let astray = g.put64(&[9, RT | 4 << 32, 1, 0, 0, 0, 0, 0]);
    g.fails("timer_create", &[0, astray, id], Errno::EINVAL);
    g.fails("timer_create", &[77, event, id], Errno::EINVAL);
    g.fails("timer_create", &[0, WILD, id], Errno::EFAULT);
    g.fails("timer_settime", &[timer, 0, WILD, 0], Errno::EFAULT);
    for timer in [timer, second_timer] {
        g.ok("timer_delete", &[timer]);
        g.fails("timer_delete", &[timer], Errno::EINVAL);
    }
    g.fails("timer_gettime", &[timer, old], Errno::EINVAL);
}

fn queued_signals(g: &mut Guest) {
    block(g);
    let (pid, tid) = (g.ok("getpid", &[]), g.ok("gettid", &[]));
    // siginfo: signal, errno, SI_QUEUE, process and user, value.
    let mut record = vec![0; 128];
    record[..4].copy_from_slice(&(RT as u32).to_le_bytes());
    record[8..12].copy_from_slice(&libc::SI_QUEUE.to_le_bytes());
    record[16..20].copy_from_slice(&(pid as u32).to_le_bytes());
    record[24..32].copy_from_slice(&77u64.to_le_bytes());
    let sent = g.put(&record);
    let (set, info, zero) = (g.put64(&[BIT]), g.room(128), g.put64(&[0, 0]));
    // Each by its own way; they arrive in order.
    g.ok("rt_tgsigqueueinfo", &[pid, tid, RT, sent]);
    assert_eq!(g.ok("rt_sigtimedwait", &[set, info, zero, 8]), RT);
    assert_eq!((g.get32(info + 8) as i32, g.get64(info + 24)), (libc::SI_QUEUE, 77));
    g.in_child(|g| {
        let own = g.ok("getpid", &[]);
        g.ok("rt_sigqueueinfo", &[own, RT, sent]);
        assert_eq!(g.ok("rt_sigtimedwait", &[set, info, zero, 8]), RT);
        assert_eq!(g.get64(info + 24), 77);
    });
    g.fails("rt_sigtimedwait", &[set, info, zero, 8], Errno::EAGAIN);
    g.fails("rt_sigtimedwait", &[set, info, zero, 4], Errno::EINVAL);
    g.fails("rt_sigtimedwait", &[WILD, info, zero, 8], Errno::EFAULT);
    g.fails("rt_sigqueueinfo", &[pid, 99, sent], Errno::EINVAL);
    g.fails("rt_sigqueueinfo", &[pid, RT, WILD], Errno::EFAULT);
    // Nobody speaks for the kernel to another process.
    record[8..12].copy_from_slice(&libc::SI_KERNEL.to_le_bytes());
    let forged = g.put(&record);
    g.fails("rt_sigqueueinfo", &[1, RT, forged], Errno::EPERM);
}

fn suspension(g: &mut Guest) {
    g.fails("rt_sigsuspend", &[WILD, 8], Errno::EFAULT);
    g.fails("rt_sigsuspend", &[0, 4], Errno::EINVAL);
    // A new program's stack ends before a frame would: as with a kernel, that is a fault. Guest programs return from
    // frames that are there.
    assert_eq!(g.try_call("rt_sigreturn", &[]), Err(Status::Killed(libc::SIGSEGV)));
}
