//! Scheduling, placement of memory, and what processes know of each other.

use vm_linux::Errno;

use crate::{CWD, Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["sched_setscheduler", "sched_setparam", "sched_rr_get_interval", "sched_setaffinity"], policies),
    (&["sched_setattr", "sched_getattr", "ioprio_set", "ioprio_get", "setpriority"], attributes),
    (&["personality", "unshare", "capget", "capset"], execution),
    (&["membarrier", "kcmp"], barriers),
    (&["process_vm_readv", "process_vm_writev"], memory_of_processes),
    (&["mbind", "set_mempolicy", "get_mempolicy", "migrate_pages", "move_pages"], nodes),
    (&["mlockall", "munlockall"], locking),
    (&["pidfd_open", "pidfd_send_signal", "pidfd_getfd", "waitid", "process_mrelease"], process_descriptors),
    (&["clock_adjtime", "adjtimex", "syslog"], kernel_state),
    (&["clock_settime", "settimeofday", "sethostname", "setdomainname"], privileged),
];

fn policies(g: &mut Guest) {
    let zero = g.put(&[0; 4]);
    // SCHED_BATCH and back; a real-time policy with a bad priority.
    g.ok("sched_setscheduler", &[0, 3, zero]);
    assert_eq!(g.ok("sched_getscheduler", &[0]), 3);
    g.ok("sched_setparam", &[0, zero]);
    g.ok("sched_setscheduler", &[0, 0, zero]);
    g.fails("sched_setscheduler", &[0, 1, zero], Errno::EINVAL);
    g.fails("sched_setscheduler", &[0, 0, WILD], Errno::EFAULT);
    g.fails("sched_setparam", &[0, 0], Errno::EINVAL);
    let time = g.room(16);
    g.ok("sched_rr_get_interval", &[0, time]);
    assert!(g.get64(time) == 0 && g.get64(time + 8) < 1_000_000_000);
    g.fails("sched_rr_get_interval", &[u64::MAX, time], Errno::EINVAL);
    let set = g.room(128);
    let bytes = g.ok("sched_getaffinity", &[0, 128, set]);
    assert_eq!(g.ok("sched_setaffinity", &[0, bytes, set]), 0);
    let none = g.put(&[0; 128]);
    g.fails("sched_setaffinity", &[0, bytes, none], Errno::EINVAL);
    g.fails("sched_setaffinity", &[0, bytes, WILD], Errno::EFAULT);
}

fn attributes(g: &mut Guest) {
    // struct sched_attr: size, policy, flags (8), nice, priority.
    let attr = g.room(64);
    g.ok("sched_getattr", &[0, attr, 48, 0]);
    assert_eq!((g.get32(attr), g.get32(attr + 4)), (48, 0));
    let nice = g.get32(attr + 16);
    let set = g.put64(&[48 | 3 << 32, 0, u64::from(nice), 0, 0, 0]);
    g.ok("sched_setattr", &[0, set, 0]);
    assert_eq!(g.ok("sched_getscheduler", &[0]), 3);
    let back = g.put64(&[48, 0, u64::from(nice), 0, 0, 0]);
    g.ok("sched_setattr", &[0, back, 0]);
    g.fails("sched_getattr", &[0, attr, 8, 0], Errno::EINVAL);
    g.fails("sched_setattr", &[0, WILD, 0], Errno::EFAULT);
    g.fails("sched_setattr", &[0, 0, 0], Errno::EINVAL);
    let short = g.put64(&[8, 0, 0, 0, 0, 0]);
    g.fails("sched_setattr", &[0, short, 0], Errno::E2BIG);
    assert!(g.get32(short) >= 48, "the size that the kernel knows");
    // ioprio: IOPRIO_WHO_PROCESS, best effort 4.
    g.in_child(|g| {
        g.ok("ioprio_set", &[1, 0, 2 << 13 | 4]);
        assert_eq!(g.ok("ioprio_get", &[1, 0]), 2 << 13 | 4);
        g.fails("ioprio_set", &[9, 0, 0], Errno::EINVAL);
        let priority = g.ok("getpriority", &[0, 0]);
        g.ok("setpriority", &[0, 0, 20_u64.wrapping_sub(priority - 1)]);
        assert_eq!(g.ok("getpriority", &[0, 0]), priority - 1);
        g.fails("setpriority", &[9, 0, 0], Errno::EINVAL);
    });
    for (name, args) in [("ioprio_set", vec![9, 0, 0]), ("ioprio_get", vec![9, 0]), ("setpriority", vec![9, 0, 0])] {
        g.fails(name, &args, Errno::EINVAL);
    }
}

fn execution(g: &mut Guest) {
    assert_eq!(g.ok("personality", &[0xffff_ffff]), 0);
    assert_eq!(g.ok("personality", &[0x4_0000]), 0);
    assert_eq!(g.ok("personality", &[0]), 0x4_0000);
    // READ_IMPLIES_EXEC.
    g.fails("personality", &[0x40_0000], Errno::EINVAL);
    g.in_child(|g| {
        // CLONE_FILES, CLONE_FS.
        g.ok("unshare", &[0x600]);
    });
    g.fails("unshare", &[0x100_0000], Errno::EINVAL);
    // CLONE_NEWNS.
    g.fails("unshare", &[0x2_0000], Errno::EPERM);
    // Version 3 and this process; the effective set is that of the status file.
    let (header, sets) = (g.put64(&[0x2008_0522]), g.room(24));
    g.ok("capget", &[header, sets]);
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let shown = u64::from_str_radix(line.trim(), 16).unwrap();
    assert_eq!(u64::from(g.get32(sets)) | u64::from(g.get32(sets + 12)) << 32, shown);
    assert_eq!(g.ok("capset", &[header, sets]), 0);
    // An unknown version: the kernel says which one it likes.
    let odd = g.put64(&[1]);
    g.fails("capget", &[odd, sets], Errno::EINVAL);
    assert_eq!(g.get32(odd), 0x2008_0522);
    g.fails("capget", &[WILD, sets], Errno::EFAULT);
}

fn barriers(g: &mut Guest) {
    let commands = g.ok("membarrier", &[0, 0, 0]);
    // Those for restartable sequences are not offered.
    assert_eq!(commands & 0x180, 0);
    if commands & 0x18 == 0x18 {
        g.ok("membarrier", &[0x10, 0, 0]);
        assert_eq!(g.ok("membarrier", &[8, 0, 0]), 0);
    }
    g.fails("membarrier", &[0x80, 0, 0], Errno::EINVAL);
    g.fails("membarrier", &[0, 1, 0], Errno::EINVAL);
    let pid = g.ok("getpid", &[]);
    let fd = g.file("same", b"");
    let copy = g.ok("dup", &[fd]);
    let path = g.name("same");
    let other = g.ok("openat", &[CWD, path, 0, 0]);
    // KCMP_FILE; where the kernel has the call.
    if g.host("kcmp", &[pid, pid, 0, fd, copy]) != Err(Errno::ENOSYS) {
        assert_eq!(g.ok("kcmp", &[pid, pid, 0, fd, copy]), 0);
        assert_ne!(g.ok("kcmp", &[pid, pid, 0, fd, other]), 0);
        assert_eq!(g.ok("kcmp", &[pid, pid, 1, 0, 0]), 0);
    }
    g.same("kcmp", &[pid, pid, 77, 0, 0]);
    g.same("kcmp", &[pid, pid, 7, fd, WILD]);
}

fn memory_of_processes(g: &mut Guest) {
    let pid = g.ok("getpid", &[]);
    let (text, buf) = (g.put(b"from a process"), g.room(32));
    let (local, remote) = (g.put64(&[buf, 4, buf + 8, 6]), g.put64(&[text, 10]));
    assert_eq!(g.ok("process_vm_readv", &[pid, local, 2, remote, 1, 0]), 10);
    assert_eq!((g.get(buf, 4), g.get(buf + 8, 6)), (b"from".to_vec(), b" a pro".to_vec()));
    assert_eq!(g.ok("process_vm_writev", &[pid, remote, 1, local, 2, 0]), 10);
    let astray = g.put64(&[WILD, 8]);
    g.fails("process_vm_readv", &[pid, local, 2, astray, 1, 0], Errno::EFAULT);
    g.fails("process_vm_readv", &[pid, WILD, 2, remote, 1, 0], Errno::EFAULT);
    g.fails("process_vm_readv", &[pid, local, 2, remote, 1025, 0], Errno::EINVAL);
    g.fails("process_vm_readv", &[pid, local, 2, remote, 1, 1], Errno::EINVAL);
    if g.is_direct() {
        // A child sees its parent's memory at the same address as its own.
        g.in_child(|g| {
            let own = g.room(16);
            let (local, remote) = (g.put64(&[own, 4]), g.put64(&[text, 4]));
            assert_eq!(g.ok("process_vm_readv", &[pid, local, 1, remote, 1, 0]), 4);
            assert_eq!(g.get(own, 4), b"from");
        });
    }
}

fn nodes(g: &mut Guest) {
    let page = g.ok("mmap", &[0, 4096, 3, 0x22, u64::MAX, 0]);
    let file = g.file("touch", b"x");
    g.ok("read", &[file, page, 1]);
    let (mode, mask) = (g.room(4), g.room(128));
    if g.host("get_mempolicy", &[0, 0, 0, 0, 0]) == Err(Errno::ENOSYS) {
        for name in ["mbind", "set_mempolicy", "get_mempolicy", "migrate_pages"] {
            g.fails(name, &[0; 6], Errno::ENOSYS);
        }
        g.same("move_pages", &[0, 0, 0, 0, 0, 0]);
        return;
    }
    g.ok("get_mempolicy", &[mode, mask, 1024, 0, 0]);
    assert_eq!(g.get32(mode), 0);
    g.ok("set_mempolicy", &[0, 0, 0]);
    let first = g.put64(&[1]);
    // MPOL_BIND to node 0.
    g.ok("mbind", &[page, 4096, 2, first, 64, 0]);
    // MPOL_F_ADDR: the policy of the page, not of the thread.
    g.ok("get_mempolicy", &[mode, mask, 1024, page, 2]);
    assert_eq!((g.get32(mode), g.get64(mask)), (2, 1));
    g.same("mbind", &[page + 1, 4096, 2, first, 64, 0]);
    g.same("mbind", &[page, 4096, 2, WILD, 64, 0]);
    g.same("migrate_pages", &[0, 64, WILD, first]);
    let (pages, status) = (g.put64(&[page]), g.put(&[0xff; 4]));
    // Without nodes it tells where pages are.
    g.ok("move_pages", &[0, 1, pages, 0, status, 0]);
    assert_eq!(g.get32(status), 0);
    g.fails("move_pages", &[0, 1, WILD, 0, status, 0], Errno::EFAULT);
}

fn locking(g: &mut Guest) {
    g.fails("mlockall", &[0], Errno::EINVAL);
    g.fails("mlockall", &[4], Errno::EINVAL);
    g.fails("mlockall", &[8], Errno::EINVAL);
    g.in_child(|g| {
        let page = g.ok("mmap", &[0, 1 << 16, 3, 0x22, u64::MAX, 0]);
        let vector = g.room(16);
        g.ok("mlockall", &[1]);
        g.ok("mincore", &[page, 1 << 16, vector]);
        assert_eq!(g.get(vector, 16), [1; 16]);
        g.ok("munlockall", &[]);
    });
    assert_eq!(g.ok("munlockall", &[]), 0);
}

fn process_descriptors(g: &mut Guest) {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = u64::from(child.id());
    let fd = g.ok("pidfd_open", &[pid, 0]);
    g.fails("pidfd_open", &[pid, 1], Errno::EINVAL);
    g.fails("pidfd_open", &[i32::MAX as u64, 0], Errno::ESRCH);
    let own = g.ok("getpid", &[]);
    let mine = g.ok("pidfd_open", &[own, 0]);
    let file = g.file("theirs", b"abc");
    let taken = g.ok("pidfd_getfd", &[mine, file, 0]);
    let buf = g.room(4);
    assert_eq!((g.ok("pread64", &[taken, buf, 3, 0]), g.get(buf, 3)), (3, b"abc".to_vec()));
    g.fails("pidfd_getfd", &[mine, 9999, 0], Errno::EBADF);
    // WEXITED | WNOHANG: it still runs, and the record says so by zeros.
    let info = g.put(&[0xff; 128]);
    assert_eq!(g.ok("waitid", &[3, fd, info, 5, 0]), 0);
    assert_eq!((g.get32(info), g.get32(info + 16)), (0, 0));
    g.ok("pidfd_send_signal", &[fd, libc::SIGTERM as u64, 0, 0]);
    g.fails("pidfd_send_signal", &[fd, 99, 0, 0], Errno::EINVAL);
    g.fails("pidfd_send_signal", &[file, 0, 0, 0], Errno::EBADF);
    // WEXITED | WNOWAIT, by number: SIGCHLD, CLD_KILLED, process, user, signal.
    let usage = g.room(144);
    g.ok("waitid", &[1, pid, info, 0x0100_0004, usage]);
    assert_eq!((g.get32(info), g.get32(info + 8)), (libc::SIGCHLD as u32, 2));
    assert_eq!((u64::from(g.get32(info + 16)), g.get32(info + 24)), (pid, libc::SIGTERM as u32));
    g.same("process_mrelease", &[fd, 1]);
    g.ok("waitid", &[3, fd, info, 4, 0]);
    g.fails("waitid", &[1, pid, info, 4, 0], Errno::ECHILD);
    g.fails("waitid", &[77, pid, info, 4, 0], Errno::EINVAL);
    // It has been waited for.
    assert!(child.try_wait().is_err());
}

fn kernel_state(g: &mut Guest) {
    let timex = g.put(&[0; 208]);
    let state = g.ok("adjtimex", &[timex]);
    assert!(state <= 5);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // struct timex: the time at 72.
    assert!(now.abs_diff(g.get64(timex + 72)) <= 2);
    assert_eq!(g.ok("clock_adjtime", &[0, timex]), state);
    g.same("clock_adjtime", &[1, timex]);
    g.fails("adjtimex", &[WILD], Errno::EFAULT);
    // SYSLOG_ACTION_SIZE_BUFFER, an unknown action, a missing buffer.
    g.same("syslog", &[10, 0, 0]);
    g.same("syslog", &[77, 0, 0]);
    g.same("syslog", &[3, 0, 0]);
}

/// What would change the machine: only its errors.
fn privileged(g: &mut Guest) {
    let bad = g.put64(&[0, 1_000_000_000]);
    g.same("clock_settime", &[0, bad]);
    g.same("clock_settime", &[1, bad]);
    g.same("clock_settime", &[0, WILD]);
    g.same("settimeofday", &[WILD, 0]);
    for name in ["sethostname", "setdomainname"] {
        g.same(name, &[WILD, 5]);
        g.same(name, &[bad, 65]);
        g.same(name, &[bad, u64::MAX]);
    }
}
