//! Processes, time, limits, signals and information.

use std::time::{Duration, Instant, SystemTime};

use vm_linux::{Errno, Status};

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getpgid", "getsid"], identities),
    (&["getresuid", "getresgid", "getgroups", "getpriority", "set_tid_address"], more_identities),
    (&["exit", "exit_group"], endings),
    (&["clock_gettime", "clock_getres", "gettimeofday", "times"], clocks),
    (&["nanosleep", "clock_nanosleep", "getitimer", "setitimer"], sleeping),
    (&["uname", "sysinfo", "getrandom", "getcpu", "getrusage"], information),
    (&["wait4"], waiting_for_children),
    (&["sched_getscheduler", "sched_getparam", "sched_get_priority_max", "sched_get_priority_min"], priorities),
    (&["sched_yield", "sched_getaffinity", "prctl"], scheduling),
    (&["prlimit64", "getrlimit", "setrlimit"], limits),
    (&["riscv_hwprobe", "riscv_flush_icache"], processor),
    (&["rt_sigaction", "rt_sigprocmask", "rt_sigpending", "sigaltstack", "kill", "tkill", "tgkill"], signals),
    (&["get_robust_list", "set_robust_list"], robust_lists),
];

fn identities(g: &mut Guest) {
    let pid = u64::from(std::process::id());
    assert_eq!(g.ok("getpid", &[]), pid);
    assert_eq!(g.ok("getppid", &[]), u64::from(std::os::unix::process::parent_id()));
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let field = |name: &str| -> Vec<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(|word| word.parse().unwrap()).collect()
    };
    assert_eq!(g.ok("gettid", &[]), field("Pid:")[0]);
    assert_eq!((g.ok("getuid", &[]), g.ok("geteuid", &[])), (field("Uid:")[0], field("Uid:")[1]));
    assert_eq!((g.ok("getgid", &[]), g.ok("getegid", &[])), (field("Gid:")[0], field("Gid:")[1]));
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(g.ok("getpgid", &[0]).to_string(), after[2]);
    assert_eq!(g.ok("getsid", &[0]).to_string(), after[3]);
    g.fails("getpgid", &[i32::MAX as u64], Errno::ESRCH);
}

fn more_identities(g: &mut Guest) {
    let ids = g.room(12);
    for (three, one) in [("getresuid", "getuid"), ("getresgid", "getgid")] {
        g.ok(three, &[ids, ids + 4, ids + 8]);
        assert_eq!(u64::from(g.get32(ids)), g.ok(one, &[]));
        g.fails(three, &[ids, WILD, ids], Errno::EFAULT);
    }
    let count = g.ok("getgroups", &[0, 0]);
    let list = g.room(4 * count);
    assert_eq!(g.ok("getgroups", &[count, list]), count);
    g.fails("getgroups", &[u64::MAX, list], Errno::EINVAL);
    // The system call gives 20 minus the nice value.
    assert!((1..=40).contains(&g.ok("getpriority", &[0, 0])));
    let tid = g.ok("gettid", &[]);
    assert_eq!(g.ok("set_tid_address", &[ids]), tid);
}

fn endings(g: &mut Guest) {
    assert_eq!(g.try_call("exit", &[3]), Err(Status::Exited(3)));
    assert_eq!(g.try_call("exit_group", &[0x1ff]), Err(Status::Exited(255)));
}

fn clocks(g: &mut Guest) {
    let buf = g.room(32);
    let near = |seconds: u64| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        now.abs_diff(seconds) <= 2
    };
    g.ok("clock_gettime", &[0, buf]);
    assert!(near(g.get64(buf)) && g.get64(buf + 8) < 1_000_000_000);
    g.fails("clock_gettime", &[99, buf], Errno::EINVAL);
    g.fails("clock_gettime", &[0, WILD], Errno::EFAULT);
    g.ok("clock_getres", &[1, buf]);
    assert_eq!(g.get64(buf), 0);
    g.ok("gettimeofday", &[buf, 0]);
    assert!(near(g.get64(buf)) && g.get64(buf + 8) < 1_000_000);
    let ticks = g.ok("times", &[buf]);
    assert!(g.ok("times", &[buf]) >= ticks);
}

fn sleeping(g: &mut Guest) {
    let short = g.put64(&[0, 20_000_000]);
    for (name, args) in [("nanosleep", vec![short, 0]), ("clock_nanosleep", vec![1, 0, short, 0])] {
        let before = Instant::now();
        assert_eq!(g.ok(name, &args), 0);
        assert!(before.elapsed() >= Duration::from_millis(20), "{name}");
    }
    let bad = g.put64(&[0, 1_000_000_000]);
    g.fails("nanosleep", &[bad, 0], Errno::EINVAL);
    let timer = g.put64(&[0, 0, 1000, 0]);
    let old = g.room(32);
    g.ok("setitimer", &[1, timer, old]);
    g.ok("getitimer", &[1, old]);
    assert!((998..=1000).contains(&g.get64(old + 16)));
    let off = g.put64(&[0; 4]);
    g.ok("setitimer", &[1, off, 0]);
    g.fails("getitimer", &[9, old], Errno::EINVAL);
}

fn information(g: &mut Guest) {
    let buf = g.room(400);
    g.ok("uname", &[buf]);
    assert_eq!(g.get(buf, 6), b"Linux\0");
    assert_eq!(g.get(buf + 260, 8), b"riscv64\0");
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(g.get(buf + 130, release.trim().len()), release.trim().as_bytes());
    g.fails("uname", &[WILD], Errno::EFAULT);
    g.ok("sysinfo", &[buf]);
    let uptime: f64 = std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((g.get64(buf) as f64 - uptime).abs() < 3.0);
    assert_eq!(g.ok("getrandom", &[buf, 64, 0]), 64);
    let first = g.get(buf, 64);
    g.ok("getrandom", &[buf, 64, 0]);
    assert_ne!(g.get(buf, 64), first);
    g.fails("getrandom", &[buf, 64, 99], Errno::EINVAL);
    g.ok("getcpu", &[buf, 0, 0]);
    assert!((g.get32(buf) as usize) < 4096);
    g.ok("getrusage", &[0, buf]);
    // ru_maxrss in KiB: a process with this test in it is larger than a mebibyte.
    assert!(g.get64(buf + 32) > 1024);
    g.fails("getrusage", &[7, buf], Errno::EINVAL);
}

fn scheduling(g: &mut Guest) {
    assert_eq!(g.ok("sched_yield", &[]), 0);
    let set = g.room(128);
    let bytes = g.ok("sched_getaffinity", &[0, 128, set]);
    assert!(bytes >= 8 && g.get(set, bytes as usize).iter().any(|byte| *byte != 0));
    g.fails("sched_getaffinity", &[0, 1, set], Errno::EINVAL);
    let name = g.put(b"a-guest\0........");
    g.ok("prctl", &[15, name, 0, 0, 0]);
    let got = g.room(16);
    g.ok("prctl", &[16, got, 0, 0, 0]);
    assert_eq!(g.get(got, 8), b"a-guest\0");
    g.fails("prctl", &[0x1234, 0, 0, 0, 0], Errno::EINVAL);
}

fn waiting_for_children(g: &mut Guest) {
    let spawn = |script: &str| std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
    let (status, usage) = (g.room(4), g.room(144));
    let child = u64::from(spawn("exit 9").id());
    assert_eq!(g.ok("wait4", &[child, status, 0, usage]), child);
    assert_eq!(g.get32(status), 9 << 8);
    let child = u64::from(spawn("kill -TERM $$").id());
    assert_eq!(g.ok("wait4", &[child, status, 0, 0]), child);
    assert_eq!(g.get32(status), libc::SIGTERM as u32);
    g.fails("wait4", &[child, status, 0, 0], Errno::ECHILD);
    g.fails("wait4", &[child, status, 0x80, 0], Errno::EINVAL);
}

fn priorities(g: &mut Guest) {
    // sched(7): ordinary processes have policy 0 and priority 0, real-time ones 1 to 99.
    assert_eq!(g.ok("sched_getscheduler", &[0]), 0);
    let param = g.put(&[9; 4]);
    g.ok("sched_getparam", &[0, param]);
    assert_eq!(g.get32(param), 0);
    assert_eq!((g.ok("sched_get_priority_min", &[1]), g.ok("sched_get_priority_max", &[1])), (1, 99));
    assert_eq!((g.ok("sched_get_priority_min", &[0]), g.ok("sched_get_priority_max", &[0])), (0, 0));
    g.fails("sched_get_priority_max", &[99], Errno::EINVAL);
}

fn limits(g: &mut Guest) {
    const STACK: u64 = 3;
    const FILES: u64 = 7;
    let buf = g.room(16);
    g.ok("getrlimit", &[FILES, buf]);
    let (soft, hard) = (g.get64(buf), g.get64(buf + 8));
    let lower = g.put64(&[soft - 1, hard]);
    g.ok("setrlimit", &[FILES, lower]);
    let shown = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = shown.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(line.contains(&(soft - 1).to_string()), "{line}");
    let back = g.put64(&[soft, hard]);
    g.ok("prlimit64", &[0, FILES, back, buf]);
    assert_eq!(g.get64(buf), soft - 1);
    let stack = g.put64(&[1 << 20, 1 << 21]);
    g.ok("prlimit64", &[0, STACK, stack, buf]);
    g.ok("prlimit64", &[0, STACK, 0, buf]);
    assert_eq!((g.get64(buf), g.get64(buf + 8)), (1 << 20, 1 << 21));
    let wrong = g.put64(&[2, 1]);
    g.fails("setrlimit", &[FILES, wrong], Errno::EINVAL);
    g.fails("getrlimit", &[99, buf], Errno::EINVAL);
}

fn processor(g: &mut Guest) {
    // Base behaviour, extensions, an unknown key.
    let pairs = g.put64(&[3, 0, 4, 0, 12345, 7]);
    g.ok("riscv_hwprobe", &[pairs, 3, 0, 0, 0]);
    assert_eq!(g.get64(pairs + 8), 1);
    let extensions = g.get64(pairs + 24);
    // F and D, C, Zba, Zbb, Zbs are; the vectors (bit 2) and Zacas (bit 34) are not.
    assert_eq!(extensions & 0b11_1011, 0b11_1011);
    assert_eq!(extensions & (1 << 2 | 1 << 34), 0);
    assert_eq!((g.get64(pairs + 32), g.get64(pairs + 40)), (u64::MAX, 0));
    g.fails("riscv_hwprobe", &[pairs, 1, 0, 0, 1], Errno::EINVAL);
    g.fails("riscv_hwprobe", &[WILD, 1, 0, 0, 0], Errno::EFAULT);
    assert_eq!(g.ok("riscv_flush_icache", &[0, 4096, 0]), 0);
    g.fails("riscv_flush_icache", &[0, 4096, 2], Errno::EINVAL);
}

fn signals(g: &mut Guest) {
    let (usr1, kill) = (libc::SIGUSR1 as u64, libc::SIGKILL as u64);
    let old = g.room(24);
    let ignore = g.put64(&[1, 0, 0]);
    g.ok("rt_sigaction", &[usr1, ignore, old, 8]);
    assert_eq!(g.get64(old), 0);
    g.ok("rt_sigaction", &[usr1, 0, old, 8]);
    assert_eq!(g.get64(old), 1);
    g.fails("rt_sigaction", &[usr1, ignore, 0, 16], Errno::EINVAL);
    g.fails("rt_sigaction", &[kill, ignore, 0, 8], Errno::EINVAL);
    g.fails("rt_sigaction", &[65, 0, old, 8], Errno::EINVAL);
    g.fails("rt_sigaction", &[usr1, WILD, 0, 8], Errno::EFAULT);
    let (pid, tid) = (g.ok("getpid", &[]), g.ok("gettid", &[]));
    // Ignored: nothing happens.
    assert_eq!(g.ok("kill", &[pid, usr1]), 0);
    assert_eq!(g.ok("kill", &[pid, 0]), 0);
    g.fails("kill", &[pid, 65], Errno::EINVAL);
    g.fails("tgkill", &[pid, 0, usr1], Errno::EINVAL);
    let default = g.put64(&[0, 0, 0]);
    g.ok("rt_sigaction", &[usr1, default, 0, 8]);
    for (name, args) in [("kill", vec![pid, usr1]), ("tkill", vec![tid, usr1]), ("tgkill", vec![pid, tid, usr1])] {
        assert_eq!(g.try_call(name, &args), Err(Status::Killed(libc::SIGUSR1)), "{name}");
    }
    // Blocked: it waits, and is seen to.
    let set = g.put64(&[1 << (usr1 - 1)]);
    g.ok("rt_sigprocmask", &[0, set, old, 8]);
    assert_eq!(g.get64(old) & 1 << (usr1 - 1), 0);
    assert_eq!(g.ok("tgkill", &[pid, tid, usr1]), 0);
    g.ok("rt_sigpending", &[old, 8]);
    assert_eq!(g.get64(old), 1 << (usr1 - 1));
    g.ok("rt_sigaction", &[usr1, ignore, 0, 8]);
    g.ok("rt_sigpending", &[old, 8]);
    assert_eq!(g.get64(old), 0);
    g.ok("rt_sigprocmask", &[1, set, 0, 8]);
    g.ok("rt_sigaction", &[usr1, default, 0, 8]);
    g.fails("rt_sigprocmask", &[9, set, 0, 8], Errno::EINVAL);
    let stack = g.put64(&[0x1_0000, 0, 8192]);
    g.ok("sigaltstack", &[stack, old]);
    assert_eq!(g.get32(old + 8), 2);
    g.ok("sigaltstack", &[0, old]);
    assert_eq!((g.get64(old), g.get64(old + 16)), (0x1_0000, 8192));
    let small = g.put64(&[0x1_0000, 0, 100]);
    g.fails("sigaltstack", &[small, 0], Errno::ENOMEM);
}

fn robust_lists(g: &mut Guest) {
    let out = g.room(16);
    g.ok("set_robust_list", &[0x1234_5678, 24]);
    g.ok("get_robust_list", &[0, out, out + 8]);
    assert_eq!((g.get64(out), g.get64(out + 8)), (0x1234_5678, 24));
    g.fails("set_robust_list", &[0, 23], Errno::EINVAL);
}
