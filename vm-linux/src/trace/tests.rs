//! Lines of single calls against those that strace prints of the same calls.

use vm_core::{GuestAddr, Perms};
use vm_mem::{AddressSpace, MapRequest, Place, Placement};

use super::call::Call;
use crate::errno::Errno;
use crate::kernel::{Stop, SysResult};
use crate::table;
use crate::user::User;

/// Where a case's memory is, and a text in it.
const AT: u64 = 0x10000;
const TEXT: u64 = AT + 0x800;

/// A call, what is at [`AT`] in 32-bit words, its result, and the line.
type Case = (&'static str, &'static [u64], &'static [u32], Result<u64, Errno>, &'static str);

const NONE: Result<u64, Errno> = Err(Errno::ENOSYS);
const DENIED: Result<u64, Errno> = Err(Errno::EPERM);
const INVALID: Result<u64, Errno> = Err(Errno::EINVAL);
const MINUS: u64 = u64::MAX;

/// As strace 6.1 has printed these calls, but for their addresses.
#[rustfmt::skip]
const CASES: &[Case] = &[
    // Calls that are refused have their arguments.
    ("rseq", &[AT, 0x20, 0, 0x5305_3053], &[], NONE, "rseq(0x10000, 0x20, 0, 0x53053053) = -1"),
    ("acct", &[TEXT], &[], NONE, "acct(\"text\") = -1"),
    ("delete_module", &[TEXT, 0o5000], &[], DENIED, "delete_module(\"text\", O_NONBLOCK|O_TRUNC) = -1"),
    ("ptrace", &[1, 99, 16, AT], &[], DENIED, "ptrace(PTRACE_PEEKTEXT, 99, 0x10, 0x10000) = -1"),
    ("ptrace", &[16, 99, 1, 9], &[], DENIED, "ptrace(PTRACE_ATTACH, 99) = -1"),
    ("reboot", &[0xfee1_dead, 672_274_793, 0x0123_4567], &[], DENIED, "reboot(LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART) = -1"),
    ("reboot", &[1, 2, 3, 4], &[], DENIED, "reboot(0x1 /* LINUX_REBOOT_MAGIC_??? */, 0x2 /* LINUX_REBOOT_MAGIC_??? */, 0x3 /* LINUX_REBOOT_CMD_??? */) = -1"),
    ("reboot", &[0xfee1_dead, 85_072_278, 0xa1b2_c3d4, TEXT], &[], DENIED, "reboot(LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_CMD_RESTART2, \"text\") = -1"),
    ("add_key", &[TEXT, TEXT, TEXT, 3, MINUS - 2], &[], NONE, "add_key(\"text\", \"text\", \"tex\", 3, KEY_SPEC_SESSION_KEYRING) = -1"),
    ("keyctl", &[99, 1, 2, 3, 4], &[], NONE, "keyctl(0x63 /* KEYCTL_??? */, 0x1, 0x2, 0x3, 0x4) = -1"),
    ("seccomp", &[0, 0, 0], &[], NONE, "seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL) = -1"),
    ("bpf", &[99, 8, 10], &[], NONE, "bpf(0x63 /* BPF_??? */, 0x8, 10) = -1"),
    ("userfaultfd", &[0o2_000_001], &[], NONE, "userfaultfd(UFFD_USER_MODE_ONLY|O_CLOEXEC) = -1"),
    ("perf_event_open", &[8, 0, MINUS, MINUS, 8], &[], NONE, "perf_event_open(0x8, 0, -1, -1, PERF_FLAG_FD_CLOEXEC) = -1"),
    ("io_uring_enter", &[MINUS, 1, 2, 3, 0, 8], &[], NONE, "io_uring_enter(-1, 1, 2, IORING_ENTER_GETEVENTS|IORING_ENTER_SQ_WAKEUP, NULL, 8) = -1"),
    ("fsmount", &[MINUS, 1, 3], &[], DENIED, "fsmount(-1, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID) = -1"),
    ("pkey_alloc", &[0, 3], &[], NONE, "pkey_alloc(0, PKEY_DISABLE_ACCESS|PKEY_DISABLE_WRITE) = -1"),
    // What the kernel writes.
    ("getcwd", &[TEXT, 4096], &[], Ok(5), "getcwd(\"text\", 4096) = 5"),
    ("getcwd", &[AT, 2], &[], Err(Errno::ERANGE), "getcwd(0x10000, 2) = -1"),
    ("getdents64", &[3, AT, 4096], &[1, 0, 1, 0, 24 | 4 << 16, 0, 2, 0, 2, 0, 32 | 8 << 16, 0, 0, 0], Ok(56), "getdents64(3, 0x10000 /* 2 entries */, 4096) = 56"),
    ("getdents64", &[3, AT, 4096], &[], Ok(0), "getdents64(3, 0x10000 /* 0 entries */, 4096) = 0"),
    ("rt_sigreturn", &[1 << 9], &[], Ok(3), "rt_sigreturn({mask=[USR1]}) = 3"),
    ("getgroups", &[10, AT], &[0, 65534], Ok(2), "getgroups(10, [0, 65534]) = 2"),
    ("setgroups", &[2, AT], &[56, 6], DENIED, "setgroups(2, [56, 6]) = -1"),
    ("setgroups", &[0, 0], &[], DENIED, "setgroups(0, NULL) = -1"),
    ("get_mempolicy", &[AT, AT + 64, 64, 0, 0], &[], Ok(0), "get_mempolicy([MPOL_DEFAULT], [0000000000000000], 64, NULL, 0) = 0"),
    ("set_mempolicy", &[0x8002, AT, 64], &[1], Ok(0), "set_mempolicy(MPOL_BIND|MPOL_F_STATIC_NODES, [0x00000000000001], 64) = 0"),
    // One offset in two words is one argument.
    ("preadv", &[MINUS, AT, 0, 5, 0], &[], INVALID, "preadv(-1, [], 0, 5) = -1"),
    ("preadv", &[MINUS, AT, 1, 5, 0], &[0x20000, 0, 3, 0], INVALID, "preadv(-1, [{iov_base=0x20000, iov_len=3}], 1, 5) = -1"),
    ("pwritev2", &[MINUS, AT, 1, MINUS, MINUS, 8], &[TEXT as u32, 0, 3, 0], INVALID, "pwritev2(-1, [{iov_base=\"tex\", iov_len=3}], 1, -1, RWF_NOWAIT) = -1"),
    ("sendmmsg", &[7, AT, 2, 0], &[0, 0, 0, 0, AT as u32 + 128, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0,
        0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, TEXT as u32, 0, 3, 0], Ok(1),
        "sendmmsg(7, [{msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"tex\", iov_len=3}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, msg_len=3}, {msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=0x8, msg_iovlen=1, msg_controllen=0, msg_flags=0}}], 2, 0) = 1"),
    ("sendmmsg", &[7, 8, 2, 0], &[], Err(Errno::EFAULT), "sendmmsg(7, 0x8, 2, 0) = -1"),
    // Scheduling.
    ("sched_getattr", &[0, AT, 48, 0], &[48, 3, 1, 0, 5, 0, 1_400_000, 0, 0, 0, 0, 0], Ok(0),
        "sched_getattr(0, {size=48, sched_policy=SCHED_BATCH, sched_flags=SCHED_FLAG_RESET_ON_FORK, sched_nice=5, sched_priority=0, sched_runtime=1400000, sched_deadline=0, sched_period=0}, 48, 0) = 0"),
    ("sched_getattr", &[0, AT, 10, 0], &[], INVALID, "sched_getattr(0, 0x10000, 10, 0) = -1"),
    ("sched_setattr", &[0, AT, 3], &[56, 6, 0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], INVALID,
        "sched_setattr(0, {size=56, sched_policy=SCHED_DEADLINE, sched_flags=SCHED_FLAG_RESET_ON_FORK|SCHED_FLAG_UTIL_CLAMP_MAX, sched_nice=0, sched_priority=0, sched_runtime=0, sched_deadline=0, sched_period=0, sched_util_min=7, sched_util_max=0}, 3) = -1"),
    ("sched_setattr", &[0, 8, 0], &[], Err(Errno::EFAULT), "sched_setattr(0, 0x8, 0) = -1"),
    // Options of prctl.
    ("prctl", &[1, 15, 1, 2, 3], &[], Ok(0), "prctl(PR_SET_PDEATHSIG, SIGTERM) = 0"),
    ("prctl", &[2, AT, 1, 2, 3], &[15], Ok(0), "prctl(PR_GET_PDEATHSIG, [SIGTERM]) = 0"),
    ("prctl", &[3, 1, 2, 3, 4], &[], Ok(1), "prctl(PR_GET_DUMPABLE) = 1 (SUID_DUMP_USER)"),
    ("prctl", &[4, 77], &[], INVALID, "prctl(PR_SET_DUMPABLE, 0x4d /* SUID_DUMP_??? */) = -1"),
    ("prctl", &[23, 21, 2], &[], Ok(1), "prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) = 1"),
    ("prctl", &[24, 99, 2], &[], DENIED, "prctl(PR_CAPBSET_DROP, 0x63 /* CAP_??? */) = -1"),
    ("prctl", &[27, 1, 2], &[], Ok(0x10), "prctl(PR_GET_SECUREBITS) = 0x10 (SECBIT_KEEP_CAPS)"),
    ("prctl", &[27, 1, 2], &[], Ok(0), "prctl(PR_GET_SECUREBITS) = 0"),
    ("prctl", &[33, 1, 2, 0, 0], &[], Ok(0), "prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_DEFAULT, 0, 0) = 0"),
    ("prctl", &[34, 0, 0, 0, 0], &[], Ok(2), "prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) = 2 (PR_MCE_KILL_DEFAULT)"),
    ("prctl", &[37, AT, 2], &[1], Ok(0), "prctl(PR_GET_CHILD_SUBREAPER, [1]) = 0"),
    ("prctl", &[40, AT, 2], &[0x20000, 0], Ok(0), "prctl(PR_GET_TID_ADDRESS, [0x20000]) = 0"),
    ("prctl", &[47, 1, 12, 0, 0], &[], Ok(0), "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_ADMIN, 0, 0) = 0"),
    ("prctl", &[47, 4, 0, 0, 0], &[], Ok(0), "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) = 0"),
    ("prctl", &[0x5356_4d41, 0, AT, 4096, TEXT], &[], INVALID, "prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x10000, 4096, \"text\") = -1"),
    ("prctl", &[0x5961_6d61, MINUS, 2], &[], INVALID, "prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY) = -1"),
    ("prctl", &[9999, 1, 2, 3, 4], &[], INVALID, "prctl(0x270f /* PR_??? */, 0x1, 0x2, 0x3, 0x4) = -1"),
    // Requests of ioctl.
    ("ioctl", &[4, 0x5451, 5], &[], Ok(0), "ioctl(4, FIOCLEX) = 0"),
    ("ioctl", &[4, 0x540c, 5], &[], Ok(0), "ioctl(4, TIOCEXCL) = 0"),
    ("ioctl", &[4, 0x540b, 2], &[], Ok(0), "ioctl(4, TCFLSH, TCIOFLUSH) = 0"),
    ("ioctl", &[4, 0x540b, 77], &[], INVALID, "ioctl(4, TCFLSH, 0x4d /* TC??? */) = -1"),
    ("ioctl", &[4, 0x5409, 1], &[], Ok(0), "ioctl(4, TCSBRK, 1) = 0"),
    ("ioctl", &[4, 0x540a, 1], &[], Ok(0), "ioctl(4, TCXONC, TCOON) = 0"),
    ("ioctl", &[3, 0x5420, AT], &[1], Ok(0), "ioctl(3, TIOCPKT, [1]) = 0"),
    ("ioctl", &[3, 0x5412, TEXT], &[], Ok(0), "ioctl(3, TIOCSTI, \"t\") = 0"),
    ("ioctl", &[3, 0x5418, AT], &[6], INVALID, "ioctl(3, TIOCMSET, [TIOCM_DTR|TIOCM_RTS]) = -1"),
    ("ioctl", &[4, 0x5401, AT], &[0x500, 5, 0xbf, 0x8a3b], Ok(0),
        "ioctl(4, TCGETS, {c_iflag=ICRNL|IXON, c_oflag=NL0|CR0|TAB0|BS0|VT0|FF0|OPOST|ONLCR, c_cflag=B38400|CS8|CREAD, c_lflag=ISIG|ICANON|ECHO|ECHOE|ECHOK|IEXTEN|ECHOCTL|ECHOKE, ...}) = 0"),
    ("ioctl", &[4, 0x5401, AT], &[u32::MAX, u32::MAX, u32::MAX, u32::MAX], Ok(0),
        "ioctl(4, TCGETS, {c_iflag=IGNBRK|BRKINT|IGNPAR|PARMRK|INPCK|ISTRIP|INLCR|IGNCR|ICRNL|IUCLC|IXON|IXANY|IXOFF|IMAXBEL|IUTF8|0xffff8000, c_oflag=NL1|CR3|XTABS|BS1|VT1|FF1|OPOST|OLCUC|ONLCR|OCRNL|ONOCR|ONLRET|OFILL|OFDEL|0xffff0000, c_cflag=B4000000|B4000000<<IBSHIFT|CS8|CSTOPB|CREAD|PARENB|PARODD|HUPCL|CLOCAL|CMSPAR|CRTSCTS|0x2ff0e000, c_lflag=ISIG|ICANON|XCASE|ECHO|ECHOE|ECHOK|ECHONL|NOFLSH|IEXTEN|ECHOCTL|ECHOPRT|ECHOKE|FLUSHO|PENDIN|TOSTOP|EXTPROC|0xfffe2000, ...}) = 0"),
    ("ioctl", &[6, 0x8913, AT], &[0x6f6c, 0, 0, 0, 0x49], Ok(0), "ioctl(6, SIOCGIFFLAGS, {ifr_name=\"lo\", ifr_flags=IFF_UP|IFF_LOOPBACK|IFF_RUNNING}) = 0"),
    ("ioctl", &[6, 0x8933, AT], &[0x6f6c, 0, 0, 0, 1], Ok(0), "ioctl(6, SIOCGIFINDEX, {ifr_name=\"lo\", ifr_ifindex=1}) = 0"),
    ("ioctl", &[6, 0x8915, AT], &[0x6f6c, 0, 0, 0, 2, 0x0100_007f], Ok(0), "ioctl(6, SIOCGIFADDR, {ifr_name=\"lo\", ifr_addr={sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr(\"127.0.0.1\")}}) = 0"),
    ("ioctl", &[6, 0x8927, AT], &[0x6f6c, 0, 0, 0, 772], Ok(0), "ioctl(6, SIOCGIFHWADDR, {ifr_name=\"lo\", ifr_hwaddr={sa_family=ARPHRD_LOOPBACK, sa_data=00:00:00:00:00:00}}) = 0"),
    ("ioctl", &[6, 0x8970, AT], &[0x6f6c], Ok(0), "ioctl(6, SIOCGIFMAP, {ifr_name=\"lo\", ifr_map={mem_start=0, mem_end=0, base_addr=0, irq=0, dma=0, port=0}}) = 0"),
    ("ioctl", &[6, 0x8910, AT], &[0x6f6c, 0, 0, 0, 1], Ok(0), "ioctl(6, SIOCGIFNAME, {ifr_ifindex=1, ifr_name=\"lo\"}) = 0"),
    ("ioctl", &[6, 0x8921, AT], &[0x6f6c], Err(Errno::ENODEV), "ioctl(6, SIOCGIFMTU, {ifr_name=\"lo\"}) = -1"),
    ("ioctl", &[6, 0x8921, 8], &[], Err(Errno::EFAULT), "ioctl(6, SIOCGIFMTU, 0x8) = -1"),
    ("ioctl", &[6, 0x8922, AT], &[0x6f6c, 0, 0, 0, 65], DENIED, "ioctl(6, SIOCSIFMTU, {ifr_name=\"lo\", ifr_mtu=65}) = -1"),
    ("ioctl", &[6, 0x8912, AT], &[80], Ok(0), "ioctl(6, SIOCGIFCONF, {ifc_len=80 /* 2 * sizeof(struct ifreq) */, ifc_buf=NULL}) = 0"),
    ("ioctl", &[6, 0x8912, AT], &[40, 0, AT as u32 + 16, 0, 0x6f6c, 0, 0, 0, 2, 0x0100_007f], Ok(0), "ioctl(6, SIOCGIFCONF, {ifc_len=40 /* 1 * sizeof(struct ifreq) */, ifc_buf=[{ifr_name=\"lo\", ifr_addr={sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr(\"127.0.0.1\")}}]}) = 0"),
    // Beginnings of processes.
    ("clone3", &[AT, 88], &[0x0110_1000, 0, AT as u32 + 96, 0, 8, 0, AT as u32 + 100, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 99], Ok(99),
        "clone3({flags=CLONE_PIDFD|CLONE_PARENT_SETTID|CLONE_CHILD_SETTID, pidfd=0x10060, child_tid=0x8, parent_tid=0x10064, exit_signal=SIGCHLD, stack=NULL, stack_size=0} => {pidfd=[11], parent_tid=[99]}, 88) = 99"),
    ("clone3", &[AT, 64], &[0, 0, 0, 0, 0, 0, 0, 0, 17], Ok(99), "clone3({flags=0, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 64) = 99"),
    ("clone3", &[AT, 10], &[], INVALID, "clone3(0x10000, 10) = -1"),
    ("clone3", &[8, 88], &[], Err(Errno::EFAULT), "clone3(0x8, 88) = -1"),
    ("clone", &[0x10_0011, 0, AT], &[99], Ok(99), "clone(child_stack=NULL, flags=CLONE_PARENT_SETTID|SIGCHLD, parent_tid=[99]) = 99"),
    ("clone", &[0x1_0000], &[], INVALID, "clone(child_stack=NULL, flags=CLONE_THREAD) = -1"),
    // Names, and what has none.
    ("openat", &[MINUS - 99, TEXT, 3], &[], INVALID, "openat(AT_FDCWD, \"text\", O_ACCMODE) = -1"),
    ("openat", &[MINUS - 99, TEXT, 0x2000_0000], &[], INVALID, "openat(AT_FDCWD, \"text\", O_RDONLY|0x20000000) = -1"),
    ("epoll_create1", &[0x40], &[], INVALID, "epoll_create1(0x40 /* EPOLL_??? */) = -1"),
    ("mq_open", &[TEXT, 0, 0o77, 8], &[], INVALID, "mq_open(\"text\", O_RDONLY) = -1"),
    ("mq_open", &[TEXT, 0o102, 0o600, AT], &[0, 0, 4, 0, 32], Ok(3), "mq_open(\"text\", O_RDWR|O_CREAT, 0600, {mq_flags=0, mq_maxmsg=4, mq_msgsize=32, mq_curmsgs=0}) = 3"),
    ("mq_getsetattr", &[MINUS, AT, 8], &[0o4000], INVALID, "mq_getsetattr(-1, {mq_flags=O_NONBLOCK, mq_maxmsg=0, mq_msgsize=0, mq_curmsgs=0}, 0x8) = -1"),
    ("mmap", &[0, 0, 3, 2 | 0x40000 | 21 << 26 | 1 << 22, 5, 0], &[], INVALID, "mmap(NULL, 0, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_HUGETLB|0x400000|21<<MAP_HUGE_SHIFT, 5, 0) = -1"),
    ("memfd_create", &[TEXT, 4 | 21 << 26], &[], Ok(3), "memfd_create(\"text\", MFD_HUGETLB|21<<MFD_HUGE_SHIFT) = 3"),
    // Operations of futex.
    ("futex", &[AT, 6, 0, 0, 1, 2], &[], Ok(0), "futex(0x10000, FUTEX_LOCK_PI, NULL) = 0"),
    ("futex", &[AT, 0x87], &[], Ok(0), "futex(0x10000, FUTEX_UNLOCK_PI_PRIVATE) = 0"),
    ("futex", &[AT, 3, 1, 2, AT + 4, 3], &[], Ok(0), "futex(0x10000, FUTEX_REQUEUE, 1, 2, 0x10004) = 0"),
    ("futex", &[AT, 4, 1, 2, AT + 4, 3], &[], INVALID, "futex(0x10000, FUTEX_CMP_REQUEUE, 1, 2, 0x10004, 3) = -1"),
    ("futex", &[AT, 10, 1, 0, 0, 5], &[], Ok(0), "futex(0x10000, FUTEX_WAKE_BITSET, 1, 0x5) = 0"),
    ("futex", &[AT, 9, 1, 0, 0, 0xffff_ffff], &[], INVALID, "futex(0x10000, FUTEX_WAIT_BITSET, 1, NULL, FUTEX_BITSET_MATCH_ANY) = -1"),
    ("futex", &[AT, 5, 1, 1, AT + 4, 0x0300_5001], &[], Ok(0), "futex(0x10000, FUTEX_WAKE_OP, 1, 1, 0x10004, FUTEX_OP_SET<<28|0x5<<12|FUTEX_OP_CMP_LE<<24|0x1) = 0"),
    ("futex", &[AT, 5, 1, MINUS, AT + 4, 0xc100_5001], &[], Ok(0), "futex(0x10000, FUTEX_WAKE_OP, 1, 4294967295, 0x10004, FUTEX_OP_OPARG_SHIFT<<28|FUTEX_OP_XOR<<28|0x5<<12|FUTEX_OP_CMP_NE<<24|0x1) = 0"),
    ("futex", &[AT, 5, 1, 1, AT + 4, 0x7900_5001], &[], NONE, "futex(0x10000, FUTEX_WAKE_OP, 1, 1, 0x10004, 0x7<<28 /* FUTEX_OP_??? */|0x5<<12|0x9<<24 /* FUTEX_OP_CMP_??? */|0x1) = -1"),
    ("futex", &[AT, 99, 1, 2, 3, 4], &[], NONE, "futex(0x10000, 0x63 /* FUTEX_??? */, 1, 0x2, 0x3, 0x4) = -1"),
    // Commands of fcntl.
    ("fcntl", &[4, 5, AT], &[2, 0, 0, 0, 10, 0, 77], Ok(0), "fcntl(4, F_GETLK, {l_type=F_UNLCK, l_whence=SEEK_SET, l_start=0, l_len=10, l_pid=77}) = 0"),
    ("fcntl", &[MINUS, 5, AT], &[], INVALID, "fcntl(-1, F_GETLK, 0x10000) = -1"),
    ("fcntl", &[9, 1025], &[], Ok(2), "fcntl(9, F_GETLEASE) = 0x2 (F_UNLCK)"),
    ("fcntl", &[9, 11], &[], Ok(29), "fcntl(9, F_GETSIG) = 29 (SIGIO)"),
    ("fcntl", &[9, 11], &[], Ok(0), "fcntl(9, F_GETSIG) = 0"),
    ("fcntl", &[9, 10, 0], &[], Ok(0), "fcntl(9, F_SETSIG, 0) = 0"),
    ("fcntl", &[9, 1026, 0x4f], &[], INVALID, "fcntl(9, F_NOTIFY, DN_ACCESS|DN_MODIFY|DN_CREATE|DN_DELETE|0x40) = -1"),
    ("fcntl", &[9, 1026, 0x8000_0001], &[], Ok(0), "fcntl(9, F_NOTIFY, DN_ACCESS|DN_MULTISHOT) = 0"),
    // Sockets.
    ("setsockopt", &[6, 1, 13, AT, 8], &[1, 5], Ok(0), "setsockopt(6, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}, 8) = 0"),
    ("getsockopt", &[6, 1, 17, AT, AT + 12], &[7, MINUS as u32, MINUS as u32, 12], Ok(0), "getsockopt(6, SOL_SOCKET, SO_PEERCRED, {pid=7, uid=-1, gid=-1}, [12]) = 0"),
    ("getsockopt", &[6, 1, 17, AT, AT + 12], &[7, MINUS as u32, 0, 8], Ok(0), "getsockopt(6, SOL_SOCKET, SO_PEERCRED, {pid=7, uid=-1}, [8]) = 0"),
    ("setsockopt", &[6, 1, 26, AT, 16], &[1, 0, 0x20000, 0], Ok(0), "setsockopt(6, SOL_SOCKET, SO_ATTACH_FILTER, {len=1, filter=0x20000}, 16) = 0"),
    ("setsockopt", &[6, 1, 2, AT, MINUS], &[], INVALID, "setsockopt(6, SOL_SOCKET, SO_REUSEADDR, 0x10000, -1) = -1"),
    ("socket", &[17, 2, 8], &[], DENIED, "socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)) = -1"),
    ("socket", &[17, 3, 0x300], &[], DENIED, "socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) = -1"),
    ("socket", &[17, 3, 0x1234], &[], DENIED, "socket(AF_PACKET, SOCK_RAW, htons(0x3412 /* ETH_P_??? */)) = -1"),
    ("bind", &[7, AT, 12], &[16, 0, 3], Ok(0), "bind(7, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=0x000003}, 12) = 0"),
    ("recvmmsg", &[8, AT, 0, 0x40, AT], &[1, 0, 2, 0], Ok(1), "recvmmsg(8, [], 0, MSG_DONTWAIT, {tv_sec=1, tv_nsec=2}) = 1 (left {tv_sec=1, tv_nsec=2})"),
    ("ppoll", &[AT, 1, 0, 0, 8], &[MINUS as u32, 0], Ok(0), "ppoll([{fd=-1}], 1, NULL, NULL, 8) = 0 (Timeout)"),
    // The machine and its parts.
    ("mount", &[TEXT, TEXT, 0, 0x5000, 0], &[], DENIED, "mount(\"text\", \"text\", NULL, MS_BIND|MS_REC, NULL) = -1"),
    ("mount", &[TEXT, TEXT, 0, 0xc0ed_0020, 8], &[], DENIED, "mount(\"text\", \"text\", NULL, MS_MGC_VAL|MS_REMOUNT, 0x8) = -1"),
    ("mount", &[TEXT, TEXT, TEXT, 2, TEXT], &[], DENIED, "mount(\"text\", \"text\", \"text\", MS_NOSUID, \"text\") = -1"),
    ("umount2", &[TEXT, 10], &[], DENIED, "umount2(\"text\", MNT_DETACH|UMOUNT_NOFOLLOW) = -1"),
    ("umount2", &[TEXT, 0], &[], DENIED, "umount2(\"text\", 0) = -1"),
    ("syslog", &[3, AT, 10], &[], DENIED, "syslog(3 /* SYSLOG_ACTION_READ_ALL */, 0x10000, 10) = -1"),
    ("syslog", &[10, 0, 0], &[], DENIED, "syslog(10 /* SYSLOG_ACTION_SIZE_BUFFER */) = -1"),
    ("membarrier", &[0, 0, 7], &[], Ok(9), "membarrier(MEMBARRIER_CMD_QUERY, 0) = 0x9 (MEMBARRIER_CMD_GLOBAL|MEMBARRIER_CMD_PRIVATE_EXPEDITED)"),
    ("membarrier", &[1, 3, 5], &[], INVALID, "membarrier(MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_FLAG_CPU|0x2, 5) = -1"),
    ("ioprio_set", &[1, 0, 3 << 13 | 7], &[], Ok(0), "ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 7)) = 0"),
    ("ioprio_set", &[1, 0, 5 << 13 | 7], &[], INVALID, "ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(0x5 /* IOPRIO_CLASS_??? */, 7)) = -1"),
    ("ioprio_get", &[1, 0], &[], Ok(24583), "ioprio_get(IOPRIO_WHO_PROCESS, 0) = 24583 (IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 7))"),
    ("capget", &[AT, AT + 8], &[0x2008_0522, 0], Ok(0), "capget({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0, permitted=0, inheritable=0}) = 0"),
    ("capget", &[AT, AT + 8], &[], INVALID, "capget({version=0 /* _LINUX_CAPABILITY_VERSION_??? */, pid=0}, 0x10008) = -1"),
    ("capset", &[AT, AT + 8], &[0x2008_0522, 0, 1, 2, 3, 0x100, 0x8000_0000, 0], DENIED,
        "capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=1<<CAP_CHOWN|1<<CAP_CHECKPOINT_RESTORE, permitted=1<<CAP_DAC_OVERRIDE|0x80000000 /* CAP_??? */, inheritable=1<<CAP_CHOWN|1<<CAP_DAC_OVERRIDE}) = -1"),
    ("capset", &[AT, AT + 8], &[0x1998_0330, 0, 1, 2, 0x8000_0000], DENIED,
        "capset({version=_LINUX_CAPABILITY_VERSION_1, pid=0}, {effective=1<<CAP_CHOWN, permitted=1<<CAP_DAC_OVERRIDE, inheritable=1<<CAP_SETFCAP}) = -1"),
    ("statfs", &[TEXT, AT], &[0x9fa0, 0, 4096, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x15, 0, 255, 0, 4096, 0, 0x1020, 0], Ok(0),
        "statfs(\"text\", {f_type=PROC_SUPER_MAGIC, f_bsize=4096, f_blocks=0, f_bfree=0, f_bavail=0, f_files=0, f_ffree=0, f_fsid={val=[0x15, 0]}, f_namelen=255, f_frsize=4096, f_flags=ST_VALID|ST_RELATIME}) = 0"),
    ("adjtimex", &[AT], &[0, 0, 0, 0, 0, 0, 16_000_000, 0, 16_000_000, 0, 0x40, 0, 2, 0, 1, 0, 32_768_000, 0, 1, 0, 5, 0, 10000], Ok(5),
        "adjtimex({modes=0, offset=0, freq=0, maxerror=16000000, esterror=16000000, status=STA_UNSYNC, constant=2, precision=1, tolerance=32768000, time={tv_sec=1, tv_usec=5}, tick=10000, ppsfreq=0, jitter=0, shift=0, stabil=0, jitcnt=0, calcnt=0, errcnt=0, stbcnt=0, tai=0}) = 5 (TIME_ERROR)"),
    ("msgctl", &[23, 2, AT], &[0, 0, 0, 0, 0, 0o600, 0, 0, 0, 0, 0, 0, 7, 0, 8, 0, 9, 0, 0, 0, 0, 0, 16384, 0, 5, 6], Ok(0),
        "msgctl(23, IPC_STAT, {msg_perm={uid=0, gid=0, mode=0600, key=0, cuid=0, cgid=0}, msg_stime=7, msg_rtime=8, msg_ctime=9, msg_qnum=0, msg_qbytes=16384, msg_lspid=5, msg_lrpid=6}) = 0"),
    ("semctl", &[46, 0, 2, AT], &[0x1234_abcd, 0, 0, 0, 0, 0o600, 0, 0, 0, 0, 0, 0, 7, 0, 8, 0, 2], Ok(0),
        "semctl(46, 0, IPC_STAT, {sem_perm={uid=0, gid=0, mode=0600, key=305441741, cuid=0, cgid=0}, sem_otime=7, sem_ctime=8, sem_nsems=2}) = 0"),
    ("semctl", &[46, 0, 16, 5], &[], Ok(0), "semctl(46, 0, SETVAL, 0x5) = 0"),
    ("shmctl", &[0, 2, AT], &[0, 0, 0, 0, 0, 0o666, 0, 0, 0, 0, 0, 0, 4096, 0, 7, 0, 0, 0, 9, 0, 5, 6, 1], Ok(0),
        "shmctl(0, IPC_STAT, {shm_perm={uid=0, gid=0, mode=0666, key=0, cuid=0, cgid=0}, shm_segsz=4096, shm_cpid=5, shm_lpid=6, shm_nattch=1, shm_atime=7, shm_dtime=0, shm_ctime=9}) = 0"),
    ("shmctl", &[0, 0, 0], &[], Ok(0), "shmctl(0, IPC_RMID, NULL) = 0"),
];

/// What a test needs of a guest's memory.
fn memory() -> AddressSpace {
    let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 }).unwrap();
    let place = Place::Fixed(GuestAddr::new(AT));
    space.map(MapRequest { place, ..MapRequest::anonymous(4096, Perms::READ | Perms::WRITE) }).unwrap();
    User(&space).put_bytes(TEXT, b"text\0").unwrap();
    space
}

fn call(name: &str, args: &[u64]) -> Call {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    Call { row: Some(table::by_name(name).unwrap()), number: 0, args: all }
}

#[test]
fn calls_read_as_strace_writes_them() {
    let space = memory();
    let user = User(&space);
    let mut wrong = Vec::new();
    for (name, args, words, result, expected) in CASES {
        user.put_bytes(AT, &[0; 0x400]).unwrap();
        user.put_bytes(AT, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>()).unwrap();
        let call = call(name, args);
        let entered = call.enter(user);
        let made: SysResult = result.map_err(Stop::Error);
        let outcome = result.map_or_else(|_| "-1".to_owned(), |value| call.outcome(value, user));
        let line = call.finish(&entered, Some(made), user);
        let found = format!("{line} = {outcome}");
        if found != *expected {
            wrong.push(format!("{found}\n{expected}"));
        }
        assert!(line.starts_with(&call.begun(&entered)), "{line} does not begin with {}", call.begun(&entered));
    }
    assert!(wrong.is_empty(), "found and expected:\n{}", wrong.join("\n\n"));
}

/// What is shown of a call while it lasts.
#[test]
fn calls_are_begun_as_strace_begins_them() {
    let space = memory();
    for (name, args, expected) in [
        (
            "clone",
            &[0x120_0011, 0, 0, 0, 8][..],
            "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD",
        ),
        ("wait4", &[5, AT, 0, 0], "wait4(5, "),
        ("read", &[5, AT, 1], "read(5, "),
        ("nanosleep", &[8, AT], "nanosleep(0x8, "),
        ("clone3", &[AT, 88], "clone3({flags=0, exit_signal=0, stack=NULL, stack_size=0}, 88"),
    ] {
        let call = call(name, args);
        assert_eq!(call.begun(&call.enter(User(&space))), expected);
    }
}

/// `signal(7)`, "Interruption of system calls", in the kernel's own names.
#[test]
fn interrupted_calls_say_how_they_go_on() {
    for (name, args, expected) in [
        ("read", &[][..], Some("? ERESTARTSYS (To be restarted if SA_RESTART is set)")),
        ("wait4", &[], Some("? ERESTARTSYS (To be restarted if SA_RESTART is set)")),
        ("ppoll", &[], Some("? ERESTARTNOHAND (To be restarted if no handler)")),
        ("rt_sigsuspend", &[], Some("? ERESTARTNOHAND (To be restarted if no handler)")),
        ("nanosleep", &[], Some("? ERESTART_RESTARTBLOCK (Interrupted by signal)")),
        ("clock_nanosleep", &[0, 1], Some("? ERESTARTNOHAND (To be restarted if no handler)")),
        ("futex", &[AT, 0, 1, AT], Some("? ERESTART_RESTARTBLOCK (Interrupted by signal)")),
        ("futex", &[AT, 0, 1, 0], Some("? ERESTARTSYS (To be restarted if SA_RESTART is set)")),
        ("epoll_pwait", &[], None),
        ("semop", &[], None),
        ("rt_sigreturn", &[], None),
    ] {
        assert_eq!(super::result::interrupted(&call(name, args), false), expected, "{name}");
    }
    // A socket with a timeout, as its signal's action would have made it again otherwise.
    assert_eq!(super::result::interrupted(&call("recvfrom", &[]), true), None);
    assert_eq!(super::result::repeated(&call("futex", &[AT, 6])), "? ERESTARTNOINTR (To be restarted)");
}
