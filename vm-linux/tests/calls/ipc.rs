//! System V and POSIX interprocess communication.

use std::time::{Duration, Instant};

use vm_linux::Errno;

use crate::{Case, Guest, WILD};

pub(crate) const CASES: &[Case] = &[
    (&["msgget", "msgsnd", "msgrcv", "msgctl"], messages),
    (&["semget", "semop", "semtimedop", "semctl"], semaphores),
    (&["shmget", "shmat", "shmdt", "shmctl"], shared_memory),
    (&["mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr"], queues),
];

const PRIVATE: u64 = 0;
const CREATE: u64 = libc::IPC_CREAT as u64 | 0o600;
const NOWAIT: u64 = libc::IPC_NOWAIT as u64;

fn messages(g: &mut Guest) {
    let queue = g.ok("msgget", &[PRIVATE, CREATE]);
    let message = g.put(b"\x07\0\0\0\0\0\0\0payload");
    g.ok("msgsnd", &[queue, message, 7, 0]);
    let info = g.room(120);
    g.ok("msgctl", &[queue, libc::IPC_STAT as u64, info]);
    // struct msqid64_ds: the mode at 20, bytes at 72, messages at 80.
    assert_eq!((g.get32(info + 20), g.get64(info + 72), g.get64(info + 80)), (0o600, 7, 1));
    let buf = g.room(32);
    g.fails("msgrcv", &[queue, buf, 3, 0, 0], Errno::E2BIG);
    assert_eq!(g.ok("msgrcv", &[queue, buf, 16, 7, 0]), 7);
    assert_eq!((g.get64(buf), g.get(buf + 8, 7)), (7, b"payload".to_vec()));
    g.fails("msgrcv", &[queue, buf, 16, 0, NOWAIT], Errno::ENOMSG);
    g.fails("msgsnd", &[queue, WILD, 7, 0], Errno::EFAULT);
    let untyped = g.put64(&[0, 0]);
    g.fails("msgsnd", &[queue, untyped, 1, 0], Errno::EINVAL);
    g.fails("msgctl", &[queue, 77, 0], Errno::EINVAL);
    g.ok("msgctl", &[queue, libc::IPC_RMID as u64, 0]);
    g.same("msgsnd", &[queue, message, 7, 0]);
}

fn semaphores(g: &mut Guest) {
    const GETVAL: u64 = 12;
    const GETALL: u64 = 13;
    const SETVAL: u64 = 16;
    const SETALL: u64 = 17;
    let set = g.ok("semget", &[PRIVATE, 3, CREATE]);
    g.ok("semctl", &[set, 1, SETVAL, 5]);
    assert_eq!(g.ok("semctl", &[set, 1, GETVAL, 0]), 5);
    // Two operations at once: one more, three fewer.
    let operations = g.put(&[0, 0, 1, 0, 0, 0, 1, 0, 0xfd, 0xff, 0, 0]);
    g.ok("semop", &[set, operations, 2]);
    let all = g.room(8);
    g.ok("semctl", &[set, 0, GETALL, all]);
    assert_eq!(g.get(all, 8), [1, 0, 2, 0, 0, 0, 0, 0]);
    let new = g.put(&[9, 0, 8, 0, 7, 0]);
    g.ok("semctl", &[set, 0, SETALL, new]);
    assert_eq!(g.ok("semctl", &[set, 2, GETVAL, 0]), 7);
    g.fails("semctl", &[set, 0, GETALL, WILD], Errno::EFAULT);
    // struct semid64_ds as riscv64 has it: the mode at 20, number of semaphores at 64.
    let info = g.put(&[0xaa; 96]);
    g.ok("semctl", &[set, 0, libc::IPC_STAT as u64, info]);
    assert_eq!((g.get32(info + 20), g.get64(info + 64), g.get64(info + 88)), (0o600, 3, 0xaaaa_aaaa_aaaa_aaaa));
    let time = g.get64(info + 56);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(time) < 60, "the time of the last change");
    let mut bytes = g.get(info, 88);
    bytes[20..22].copy_from_slice(&0o640u16.to_le_bytes());
    let changed = g.put(&bytes);
    g.ok("semctl", &[set, 0, libc::IPC_SET as u64, changed]);
    g.ok("semctl", &[set, 0, libc::IPC_STAT as u64, info]);
    assert_eq!(g.get32(info + 20), 0o640);
    let down = g.put(&[0, 0, 0x9c, 0xff, 0, 0]);
    let short = g.put64(&[0, 20_000_000]);
    let before = Instant::now();
    g.fails("semtimedop", &[set, down, 1, short], Errno::EAGAIN);
    assert!(before.elapsed() >= Duration::from_millis(20));
    g.fails("semtimedop", &[set, WILD, 1, 0], Errno::EFAULT);
    let out_of_range = g.put(&[9, 0, 1, 0, 0, 0]);
    g.fails("semop", &[set, out_of_range, 1], Errno::EFBIG);
    g.fails("semop", &[set, down, 0], Errno::EINVAL);
    g.fails("semctl", &[set, 0, 77, 0], Errno::EINVAL);
    g.ok("semctl", &[set, 0, libc::IPC_RMID as u64, 0]);
}

fn shared_memory(g: &mut Guest) {
    let segment = g.ok("shmget", &[PRIVATE, 5000, CREATE]);
    let first = g.ok("shmat", &[segment, 0, 0]);
    let second = g.ok("shmat", &[segment, 0, libc::SHM_RDONLY as u64]);
    assert!(first.is_multiple_of(4096) && second.is_multiple_of(4096) && first != second);
    let fd = g.file("into", b"shared by all");
    assert_eq!(g.ok("read", &[fd, first + 4990, 10]), 10);
    assert_eq!(g.get(second + 4990, 10), b"shared by ");
    g.fails("read", &[fd, second, 3], Errno::EFAULT);
    let info = g.room(112);
    g.ok("shmctl", &[segment, libc::IPC_STAT as u64, info]);
    // struct shmid64_ds: size at 48, attachments at 88.
    assert_eq!((g.get64(info + 48), g.get64(info + 88)), (5000, 2));
    // A child has them too, and a write of its is seen.
    g.in_child(|g| {
        let text = g.put(b"/proc/self/maps\0");
        let maps = g.ok("openat", &[crate::CWD, text, 0, 0]);
        let buf = g.room(8192);
        let len = g.ok("read", &[maps, buf, 8192]) as usize;
        let shown = String::from_utf8(g.get(buf, len)).unwrap();
        assert!(shown.contains("/SYSV00000000 (deleted)"), "{shown}");
        let fd = g.file("child", b"!");
        assert_eq!(g.ok("read", &[fd, first, 1]), 1);
    });
    assert_eq!(g.get(second, 1), b"!");
    g.fails("shmat", &[segment, first, 0], Errno::EINVAL);
    g.fails("shmat", &[segment, first + 1, 0], Errno::EINVAL);
    g.fails("shmat", &[u64::MAX, 0, 0], Errno::EINVAL);
    g.fails("shmdt", &[first + 4096], Errno::EINVAL);
    g.ok("shmdt", &[first]);
    g.fails("shmdt", &[first], Errno::EINVAL);
    g.fails("read", &[fd, first, 3], Errno::EFAULT);
    // At an address of its choice, in place of what is there, rounded down.
    let page = g.ok("mmap", &[0, 8192, 3, 0x22, u64::MAX, 0]);
    let flags = (libc::SHM_REMAP | libc::SHM_RND) as u64;
    assert_eq!(g.ok("shmat", &[segment, page + 5, flags]), page);
    assert_eq!(g.get(page, 1), b"!");
    // Removed, it stays until the last one has left it, and says so (SHM_DEST).
    g.ok("shmctl", &[segment, libc::IPC_RMID as u64, 0]);
    g.ok("shmctl", &[segment, libc::IPC_STAT as u64, info]);
    assert_eq!(g.get32(info + 20), 0o1600);
    g.ok("shmdt", &[page]);
    g.ok("munmap", &[second, 8192]);
}

fn queues(g: &mut Guest) {
    let name = g.put(format!("tradux-test-{}\0", std::process::id()).as_bytes());
    // struct mq_attr: flags, messages, bytes a message.
    let attributes = g.put64(&[0, 4, 32, 0, 0, 0, 0, 0]);
    let flags = (libc::O_CREAT | libc::O_RDWR | libc::O_EXCL) as u64;
    let host = g.host("mq_open", &[0, 0, 0, 0]);
    if host == Err(Errno::ENOSYS) {
        for call in ["mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr"] {
            g.fails(call, &[0; 6], Errno::ENOSYS);
        }
        return;
    }
    let queue = g.ok("mq_open", &[name, flags, 0o600, attributes]);
    g.fails("mq_open", &[name, flags, 0o600, attributes], Errno::EEXIST);
    let (low, high) = (g.put(b"low"), g.put(b"highest"));
    g.ok("mq_timedsend", &[queue, low, 3, 1, 0]);
    g.ok("mq_timedsend", &[queue, high, 7, 9, 0]);
    let got = g.room(64);
    g.ok("mq_getsetattr", &[queue, 0, got]);
    assert_eq!((g.get64(got + 8), g.get64(got + 16), g.get64(got + 24)), (4, 32, 2));
    let (buf, priority) = (g.room(32), g.room(4));
    g.fails("mq_timedreceive", &[queue, buf, 31, priority, 0], Errno::EMSGSIZE);
    assert_eq!(g.ok("mq_timedreceive", &[queue, buf, 32, priority, 0]), 7);
    assert_eq!((g.get(buf, 7), g.get32(priority)), (b"highest".to_vec(), 9));
    g.ok("mq_timedreceive", &[queue, buf, 32, 0, 0]);
    let past = g.put64(&[1, 0]);
    g.fails("mq_timedreceive", &[queue, buf, 32, 0, past], Errno::ETIMEDOUT);
    // SIGEV_NONE: one process may be registered.
    let none = g.put64(&[0, 1 << 32, 0, 0, 0, 0, 0, 0]);
    g.ok("mq_notify", &[queue, none]);
    g.fails("mq_notify", &[queue, none], Errno::EBUSY);
    g.ok("mq_notify", &[queue, 0]);
    g.fails("mq_notify", &[queue, WILD], Errno::EFAULT);
    g.fails("mq_timedsend", &[queue, WILD, 3, 1, 0], Errno::EFAULT);
    g.ok("mq_unlink", &[name]);
    g.fails("mq_unlink", &[name], Errno::ENOENT);
}
