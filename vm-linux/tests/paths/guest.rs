//! A process whose system calls are made by a test.

use std::path::Path;

use vm_core::{GuestAddr, GuestMemory};
use vm_linux::{Errno, Options, Process, table};

use crate::common;

/// `AT_FDCWD`.
pub(crate) const CWD: u64 = -100i64 as u64;

pub(crate) struct Guest {
    process: Process,
    memory: u64,
    next: u64,
}

const MEMORY: u64 = 1 << 20;

impl Guest {
    /// A guest with `root` as its root directory; a program is put there for it.
    pub(crate) fn in_root(root: &Path) -> Self {
        std::fs::copy(common::repository("guests/bin/riscv64/hello"), root.join("hello")).unwrap();
        Self::with(Options { program: "/hello".into(), root: Some(root.into()), ..Options::default() })
    }

    /// A guest that is not confined.
    pub(crate) fn free() -> Self {
        Self::with(Options { program: common::repository("guests/bin/riscv64/hello"), ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        let process = Process::load(&options).unwrap();
        let mut guest = Self { process, memory: 0, next: 0 };
        guest.memory = guest.call("mmap", &[0, MEMORY, 3, 0x22, u64::MAX, 0]).unwrap();
        guest.next = guest.memory;
        guest
    }

    /// Makes a call.
    pub(crate) fn call(&mut self, name: &str, args: &[u64]) -> Result<u64, Errno> {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        let number = table::by_name(name).unwrap().generic.into();
        let result = self.process.system_call(number, all).unwrap();
        if (result as i64) < 0 && (result as i64) >= -4095 {
            return Err(Errno::new(-(result as i64) as i32));
        }
        Ok(result)
    }

    /// Forgets what was put into the guest's memory.
    pub(crate) fn clear(&mut self) {
        self.next = self.memory;
    }

    /// Guest memory for `len` bytes.
    pub(crate) fn room(&mut self, len: u64) -> u64 {
        let addr = self.next;
        self.next += len.next_multiple_of(16);
        assert!(self.next < self.memory + MEMORY);
        addr
    }

    /// A string in guest memory.
    pub(crate) fn text(&mut self, text: &str) -> u64 {
        let addr = self.room(text.len() as u64 + 1);
        self.process.memory().write(GuestAddr::new(addr), &[text.as_bytes(), b"\0"].concat()).unwrap();
        addr
    }

    pub(crate) fn bytes(&self, addr: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.process.memory().read(GuestAddr::new(addr), &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn word(&self, addr: u64) -> u64 {
        u64::from_le_bytes(self.bytes(addr, 8).try_into().unwrap())
    }

    /// Writes to guest memory.
    pub(crate) fn put(&mut self, addr: u64, bytes: &[u8]) {
        self.process.memory().write(GuestAddr::new(addr), bytes).unwrap();
    }

    /// Opens a file.
    pub(crate) fn open(&mut self, dirfd: u64, path: &str, flags: i32) -> Result<u64, Errno> {
        let path = self.text(path);
        self.call("openat", &[dirfd, path, guest_flags(flags), 0o644])
    }

    /// A file's content, from its beginning.
    pub(crate) fn read(&mut self, dirfd: u64, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(dirfd, path, libc::O_RDONLY)?;
        let bytes = self.content(fd);
        self.call("close", &[fd]).unwrap();
        Ok(bytes)
    }

    /// What is left to read of an open file.
    pub(crate) fn content(&mut self, fd: u64) -> Vec<u8> {
        let room = self.room(1 << 16);
        let mut out = Vec::new();
        loop {
            let len = self.call("read", &[fd, room, 1 << 16]).unwrap();
            if len == 0 {
                return out;
            }
            out.extend(self.bytes(room, len));
        }
    }

    /// The text of a link.
    pub(crate) fn link(&mut self, dirfd: u64, path: &str) -> Result<String, Errno> {
        let (path, room) = (self.text(path), self.room(4096));
        let len = self.call("readlinkat", &[dirfd, path, room, 4096])?;
        Ok(String::from_utf8(self.bytes(room, len)).unwrap())
    }

    /// The directory that the guest is in.
    pub(crate) fn directory(&mut self) -> Result<String, Errno> {
        let room = self.room(4096);
        let len = self.call("getcwd", &[room, 4096])?;
        Ok(String::from_utf8(self.bytes(room, len - 1)).unwrap())
    }

    /// Device, inode and mode of a file.
    pub(crate) fn status(&mut self, dirfd: u64, path: &str, flags: i32) -> Result<(u64, u64, u32), Errno> {
        let (path, room) = (self.text(path), self.room(128));
        self.call("newfstatat", &[dirfd, path, room, flags as u64])?;
        Ok((self.word(room), self.word(room + 8), self.word(room + 16) as u32))
    }

    /// Names in an open directory.
    pub(crate) fn names(&mut self, fd: u64) -> Vec<String> {
        let room = self.room(4096);
        let mut out = Vec::new();
        loop {
            let len = self.call("getdents64", &[fd, room, 4096]).unwrap();
            if len == 0 {
                out.sort();
                return out;
            }
            let bytes = self.bytes(room, len);
            let mut rest = bytes.as_slice();
            while rest.len() > 19 {
                let name = rest[19..].split(|byte| *byte == 0).next().unwrap();
                out.push(String::from_utf8(name.to_vec()).unwrap());
                rest = &rest[usize::from(u16::from_le_bytes([rest[16], rest[17]]))..];
            }
        }
    }
}

/// The guest's numbers for the host's flags of `open` (`asm-generic/fcntl.h`).
pub(crate) fn guest_flags(flags: i32) -> u64 {
    let pairs = [(libc::O_DIRECT, 0o40000), (libc::O_DIRECTORY, 0o200_000), (libc::O_NOFOLLOW, 0o400_000)];
    let host = pairs.iter().fold(0, |all, (host, _)| all | host);
    pairs.iter().filter(|(host, _)| flags & host != 0).fold((flags & !host) as u64, |all, (_, guest)| all | guest)
}
