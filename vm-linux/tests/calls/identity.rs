//! Users, groups, process groups and sessions. What cannot be undone happens in a child.

use vm_linux::Errno;

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid"], users),
    (&["setgroups"], groups),
    (&["setpgid", "setsid"], sessions),
];

/// The fields of a line of this thread's status.
fn status(name: &str) -> Vec<u64> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    line.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

fn users(g: &mut Guest) {
    let (uid, gid) = (g.ok("getuid", &[]), g.ok("getgid", &[]));
    const SAME: u64 = u32::MAX as u64;
    for (names, id) in
        [(["setuid", "setreuid", "setresuid", "setfsuid"], uid), (["setgid", "setregid", "setresgid", "setfsgid"], gid)]
    {
        let [set, set_both, set_all, set_file] = names;
        assert_eq!(g.ok(set, &[id]), 0);
        assert_eq!(g.ok(set_both, &[SAME, id]), 0);
        assert_eq!(g.ok(set_all, &[SAME, id, SAME]), 0);
        // It gives the id before, whatever becomes of it.
        assert_eq!(g.ok(set_file, &[id]), id);
        assert_eq!(g.try_call(set, &[SAME]), Ok(Errno::EINVAL.as_return()));
    }
    if g.ok("geteuid", &[]) != 0 {
        g.fails("setuid", &[uid + 1], Errno::EPERM);
        return;
    }
    g.in_child(|g| {
        g.ok("setresgid", &[1000, 1001, 1002]);
        g.ok("setfsgid", &[1000]);
        assert_eq!(status("Gid:"), [1000, 1001, 1002, 1000]);
        g.ok("setregid", &[1001, 1000]);
        assert_eq!(status("Gid:")[..2], [1001, 1000]);
        g.ok("setreuid", &[2000, 2001]);
        assert_eq!(status("Uid:"), [2000, 2001, 2001, 2001]);
        g.ok("setresuid", &[SAME, 2000, SAME]);
        assert_eq!(g.ok("setfsuid", &[2001]), 2000);
        assert_eq!(status("Uid:"), [2000, 2000, 2001, 2001]);
        g.ok("setuid", &[2001]);
        g.fails("setuid", &[0], Errno::EPERM);
        g.fails("setgid", &[0], Errno::EPERM);
        assert_eq!(g.ok("geteuid", &[]), 2001);
    });
}

fn groups(g: &mut Guest) {
    g.same("setgroups", &[65_537, 0]);
    g.same("setgroups", &[2, WILD]);
    if g.ok("geteuid", &[]) == 0 {
        g.in_child(|g| {
            let list = g.put64(&[7 | 3000 << 32]);
            g.ok("setgroups", &[2, list]);
            assert_eq!(status("Groups:"), [7, 3000]);
        });
    }
}

fn sessions(g: &mut Guest) {
    g.in_child(|g| {
        let pid = g.ok("getpid", &[]);
        g.ok("setpgid", &[0, 0]);
        assert_eq!(g.ok("getpgid", &[0]), pid);
        // Leaders of groups cannot begin a session.
        g.fails("setsid", &[], Errno::EPERM);
        g.in_child(|g| {
            let pid = g.ok("getpid", &[]);
            assert_eq!(g.ok("setsid", &[]), pid);
            assert_eq!((g.ok("getsid", &[0]), g.ok("getpgid", &[0])), (pid, pid));
            g.fails("setpgid", &[0, 0], Errno::EPERM);
        });
    });
    g.fails("setpgid", &[0, u64::MAX], Errno::EINVAL);
    g.fails("setpgid", &[i32::MAX as u64, 0], Errno::ESRCH);
}
