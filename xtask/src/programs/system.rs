//! Programs that hold rules of the kernel, one subject each, under `guests/src/sys/`. Each is built twice: static and
//! dynamic, the latter with `.dyn` at the end of its name.

use super::{Build, Case, PLAIN, Program, check};

/// Rows of source names without `.c`; a text in `not_qemu` is why qemu-user is not asked.
macro_rules! system {
    ($($name:literal $(, not_qemu: $why:expr)?;)*) => {
        /// Every program under `guests/src/sys/`, static and dynamic.
        pub(crate) const SYSTEM: &[Program] = &[$(
            row(concat!("sys-", $name), concat!("sys/", $name, ".c"), Build::Static, system!(@cases $($why)?)),
            row(concat!("sys-", $name, ".dyn"), concat!("sys/", $name, ".c"), Build::Dynamic, system!(@cases $($why)?)),
        )*];
    };
    (@cases) => { PLAIN };
    (@cases $why:expr) => { &[Case { arguments: &[], not_qemu: Some($why) }] };
}

const fn row(name: &'static str, source: &'static str, build: Build, cases: &'static [Case]) -> Program {
    Program { build, cases, riscv64: UNWIND_TABLES, ..check(name, source) }
}

/// Other compilers write them unasked; cancellation and unwinding out of handlers need them.
const UNWIND_TABLES: &[&str] = &["-fasynchronous-unwind-tables"];

const OWN_THREAD: &str = "qemu-user has a thread of its own in the process, which /proc shows";
const NO_SHARED_MEMORY: &str = "qemu-user makes vfork and CLONE_VM without CLONE_THREAD a fork or refuses them";
const NO_EXEC: &str =
    "qemu-user hands what is executed to the kernel, which has no interpreter for it without binfmt_misc";

system! {
    // Threads and futexes.
    "thread_lives";
    "thread_sync";
    "thread_exits", not_qemu: "qemu-user does not know a first thread that has ended";
    "thread_clone", not_qemu: "qemu-user has no clone3";
    "thread_ids", not_qemu: OWN_THREAD;
    "thread_rseq", not_qemu: NO_SHARED_MEMORY;
    "thread_fork", not_qemu: OWN_THREAD;
    "thread_refused", not_qemu: "qemu-user makes CLONE_FILES without CLONE_THREAD a fork or refuses it";
    "thread_storm";
    "thread_churn";
    "thread_mix", not_qemu: NO_SHARED_MEMORY;
    "thread_setxid";
    "futex_wait";
    "futex_requeue";
    "futex_shared";
    "futex_waitv", not_qemu: "qemu-user has no futex_waitv";
    "robust_mutex", not_qemu: "qemu-user has no robust futex lists";
    "pi_mutex", not_qemu: "qemu-user has no robust futex lists";
    "vfork_shares", not_qemu: NO_SHARED_MEMORY;
    "vfork_storm", not_qemu: NO_SHARED_MEMORY;
    "clone_process", not_qemu: NO_SHARED_MEMORY;
    "clone_storm", not_qemu: "qemu-user refuses clone with flags that a fork has not";
    "clone_flags", not_qemu: "qemu-user refuses clone with flags that a fork has not";
    // Signals.
    "sig_info";
    "sig_masks";
    "sig_rtqueue";
    "sig_altstack", not_qemu: "qemu-user has no SS_AUTODISARM";
    "sig_restart";
    "sig_interrupts";
    "sig_suspend";
    "sig_wait";
    "sig_fd";
    "sig_flags";
    "sig_jump";
    "sig_context";
    "sig_fault";
    "sig_sent_fault", not_qemu: "qemu-user lets signals that are sent and ignored interrupt a read";
    "sig_trap";
    "sig_retry";
    "sig_unwind";
    "sig_storm";
    "sig_itimer";
    "sig_timers";
    "sig_default", not_qemu: "qemu-user writes core files whatever RLIMIT_CORE says";
    "sig_child", not_qemu: "qemu-user keeps SA_NOCLDWAIT, SA_NOCLDSTOP and an ignored SIGCHLD from the kernel";
    "sig_orphan";
    "sig_early";
    "sig_pipe";
    // Processes.
    "exec_self", not_qemu: NO_EXEC;
    "exec_script", not_qemu: NO_EXEC;
    "exec_errors", not_qemu: NO_EXEC;
    "exec_files", not_qemu: NO_EXEC;
    "exec_at", not_qemu: NO_EXEC;
    "exec_room", not_qemu: NO_EXEC;
    "exec_keeps", not_qemu: NO_EXEC;
    "exec_thread", not_qemu: NO_EXEC;
    "wait_options";
    "pidfd";
    "groups_sessions", not_qemu: NO_EXEC;
    "limit_cpu";
    "prctl_own";
    "privileges", not_qemu: "qemu-user refuses unshare without namespaces, and looks at the names for pivot_root first";
    "limits", not_qemu: "qemu-user does not hold RLIMIT_AS";
    "proc_self", not_qemu: "qemu-user shows its own comm and stat";
    "proc_links", not_qemu: "qemu-user goes by the text of a name";
    "proc_smaps", not_qemu: "qemu-user writes the text when the file is opened, and has no numbers of pages";
    "proc_other", not_qemu: "qemu-user shows its own arguments";
    // Memory.
    "map_shared";
    "map_errors", not_qemu: "qemu-user finds a hole before the bad vector of mincore";
    "map_remap", not_qemu: "qemu-user has no MREMAP_DONTUNMAP";
    "map_advice", not_qemu: "qemu-user ignores most advice";
    "map_stack", not_qemu: NO_EXEC;
    "map_memfd";
    "check_order", not_qemu: "qemu-user looks at names, times and masks in an order of its own";
    "efault", not_qemu: "qemu-user looks at some buffers before descriptors";
    "map_code", not_qemu: "qemu-user lets code be read";
    "code_rewrite";
    "code_aliases", not_qemu: "qemu-user does not see code that is written through another mapping";
    "code_threads";
    "map_storm";
    "map_count", not_qemu: "qemu-user has as many mappings of its own as the program, and no room for them";
    // Files, and waiting for input and output.
    "file_open", not_qemu: "qemu-user does not know F_GET_RW_HINT";
    "file_locks";
    "file_stat";
    "file_names";
    "file_dents";
    "file_xattr", not_qemu: "qemu-user refuses rooms for attributes beyond the stack's end";
    "file_large";
    "file_vectors";
    "file_copy";
    "file_events";
    "io_eventfd";
    "io_epoll", not_qemu: "qemu-user looks at an array of events that nothing is written to";
    "io_poll";
    "io_pipes";
    "io_uring";
    "tty_pair";
    // Sockets, communication between processes, clocks, scheduling.
    "net_tcp";
    "net_udp";
    "net_unix";
    "net_link", not_qemu: "qemu-user passes on only the netlink messages that it knows";
    "ipc_sysv", not_qemu: "qemu-user refuses rooms for messages beyond the stack's end";
    "ipc_posix", not_qemu: "qemu-user has no mq_notify";
    "time_calls";
    "sched_calls";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/src/sys");
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let name = format!("sys/{}", entry.expect("it can be listed").file_name().to_string_lossy());
            assert_eq!(SYSTEM.iter().filter(|program| program.source == name).count(), 2, "{name}");
        }
    }
}
