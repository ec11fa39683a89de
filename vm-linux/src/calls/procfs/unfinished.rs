//! Files of the guest's whose text is written as it is read.
//!
//! A kernel makes the text of `smaps` as it is read, in pieces of whole mappings (`fs/seq_file.c`). Programs count on both:
//! they open the file often, read its beginning, and take a read that gives less than it could for the last one. So the
//! file in memory grows with what is asked of it, and a read gives as much as a kernel's. Before any call but a read that
//! shows the text, or lets somebody else see it, the rest is written ([`answer`]).
//!
//! A file that is not finished has one descriptor, in this process alone, since it is finished before the process has or
//! gives away another one. So it is known by that number.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, Kernel, SysResult};
use crate::paths::{lowest, raise};
use crate::shape::Shape;
use crate::table::Row;
use crate::thread::Thread;

use super::maps::{Smaps, smaps};
use super::{reopened, written};

/// Most files that are unfinished at a time: each takes two descriptors from the guest's limit.
const MOST: usize = 16;

/// The unfinished files of a process.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// Whether there are any.
    any: AtomicBool,
    /// Locked before anything that a fork holds still, and before a file's text.
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    files: Vec<Arc<Unread>>,
    /// For how many reasons files are finished when they are opened: somebody else sees the process's descriptors, or is
    /// about to.
    at_once: u32,
}

/// An open file of which the rest is not written yet.
#[derive(Debug)]
struct Unread {
    /// The guest's descriptor.
    fd: i32,
    inode: u64,
    /// Descriptors of the emulator.
    own: [i32; 2],
    /// `None` when it is finished, or closed.
    text: Mutex<Option<Text>>,
}

/// What a descriptor is that is no other file's.
enum Known {
    /// The guest's of an unfinished file.
    Unread(Arc<Unread>),
    /// The emulator's.
    Own,
}

/// The text of a file, as far as it is written, and what writes the rest.
#[derive(Debug)]
struct Text {
    memory: File,
    smaps: Smaps,
    pieces: Pieces,
}

/// Of what a text is made up that a kernel does not cut.
#[derive(Debug)]
struct Pieces {
    /// Where each of them ends.
    ends: Vec<u64>,
    /// Whether there are no more.
    ended: bool,
    /// Bytes of the kernel's buffer.
    buffer: u64,
}

impl Unfinished {
    /// Those of a process that shares its parent's memory: none ever, for what is left of such a process is dropped in its
    /// parent, where the numbers of descriptors mean others.
    pub(crate) fn of_sharing() -> Self {
        Self { any: AtomicBool::new(false), table: Mutex::new(Table { files: Vec::new(), at_once: 1 }) }
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Descriptors of the emulator that files are written by.
    pub(crate) fn descriptors(&self) -> Vec<i32> {
        if !self.any() {
            return Vec::new();
        }
        self.table().files.iter().flat_map(|file| file.own).collect()
    }

    /// Finishes all files, and keeps others from being opened as long as the result lives.
    pub(crate) fn finish(&self, k: &Kernel) -> impl Sized + '_ {
        let mut table = self.table();
        for file in table.files.drain(..) {
            let mut text = file.text();
            // Where the host's kernel has no more to say, the text ends.
            while text.as_mut().is_some_and(|text| !text.pieces.ended && text.write_more(k).is_ok()) {}
            drop(text.take());
        }
        self.any.store(false, Ordering::Relaxed);
        table
    }

    /// Finishes all files, and from now on each when it is opened: descriptors are somebody else's too, or not those of all
    /// threads.
    pub(crate) fn finish_for_good(&self, k: &Kernel) {
        std::mem::forget(self.finish_for_now(k));
    }

    /// Finishes all files, and each when it is opened as long as the result lives.
    pub(crate) fn finish_for_now(&self, k: &Kernel) -> AtOnce<'_> {
        self.table().at_once += 1;
        drop(self.finish(k));
        AtOnce(self)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, fd: i32) -> Option<Known> {
        let table = self.table();
        let unread = || table.files.iter().find(|file| file.fd == fd).map(|file| Known::Unread(Arc::clone(file)));
        let own = || table.files.iter().any(|file| file.own.contains(&fd)).then_some(Known::Own);
        unread().or_else(own)
    }

    fn has_inode(&self, inode: u64) -> bool {
        self.table().files.iter().any(|file| file.inode == inode)
    }

    /// Gives up a file that is finished or closed.
    fn forget(&self, file: &Arc<Unread>) {
        let mut table = self.table();
        table.forget(|known| Arc::ptr_eq(known, file));
        self.any.store(!table.files.is_empty(), Ordering::Relaxed);
    }
}

/// Has files finished when they are opened.
pub(crate) struct AtOnce<'a>(&'a Unfinished);

impl Drop for AtOnce<'_> {
    fn drop(&mut self) {
        self.0.table().at_once -= 1;
    }
}

impl Table {
    /// Gives up what is `unwanted`. Descriptors are closed before anybody can take them for the guest's.
    fn forget(&mut self, unwanted: impl Fn(&Arc<Unread>) -> bool) {
        self.files.retain(|file| {
            let goes = unwanted(file);
            if goes {
                drop(file.text().take());
            }
            !goes
        });
    }
}

impl Unread {
    fn text(&self) -> MutexGuard<'_, Option<Text>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Text {
    /// Writes the next pieces.
    fn write_more(&mut self, k: &Kernel) -> Result<(), Errno> {
        let pieces = self.smaps.next(k)?;
        let start = self.pieces.end();
        self.memory.write_all_at(&pieces.concat(), start)?;
        pieces.iter().for_each(|piece| self.pieces.ends.push(self.pieces.end() + piece.len() as u64));
        self.pieces.ended = self.smaps.ended();
        Ok(())
    }

    /// How many bytes a read of up to `count` gives at `start`; they are written.
    fn read_length(&mut self, k: &Kernel, start: u64, count: u64) -> Result<u64, Errno> {
        loop {
            match self.pieces.read_length(start, count) {
                Some(length) => return Ok(length),
                None => self.write_more(k)?,
            }
        }
    }
}

impl Pieces {
    /// Of a text of which nothing is known yet.
    const fn new() -> Self {
        Self { ends: Vec::new(), ended: false, buffer: vm_core::PAGE_SIZE }
    }

    /// Where the known ones end.
    fn end(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// How many bytes a kernel gives that is asked for up to `count` at `start` (`seq_read_iter`): the rest of the piece
    /// there, and then whole ones until it has enough or one more does not fit its buffer, which only grows for a large
    /// one. `None` if more pieces have to be known.
    fn read_length(&mut self, start: u64, count: u64) -> Option<u64> {
        let first = self.ends.partition_point(|end| *end <= start);
        let (mut last_end, ends) = (first.checked_sub(1).map_or(0, |before| self.ends[before]), &self.ends[first..]);
        if ends.is_empty() && start > last_end {
            return self.ended.then_some(0);
        }
        let mut ends = ends.iter();
        let rest = match start - last_end {
            0 => 0,
            _ => {
                last_end = *ends.next()?;
                last_end - start
            }
        };
        let mut filled = 0;
        while rest + filled < count {
            let Some(end) = ends.next() else { return self.ended.then_some(rest + filled) };
            let length = end - last_end;
            if filled == 0 {
                while length >= self.buffer {
                    self.buffer *= 2;
                }
            } else if filled + length >= self.buffer {
                return Some(rest + filled);
            }
            filled += length;
            last_end = *end;
        }
        Some(count)
    }
}

/// Copies of both files' descriptors that the guest is unlikely to look at; `None` if none are free.
fn raised(memory: &File, host: &File) -> Option<(File, File)> {
    let copy = |file: &File| raise(file.as_raw_fd() as u64).map(host::file_of);
    Some((copy(memory)?, copy(host)?))
}

/// Opens the file of inode `inode` that `memory` writes, to have the text of the host's `smaps`.
///
/// # Errors
/// The kernel's error number.
pub(super) fn open(k: &Kernel, memory: File, inode: u64, flags: u64) -> Result<u64, Errno> {
    let host = File::open("/proc/self/smaps")?;
    // Held until all is done: a child that is forked meanwhile would have the descriptors.
    let mut table = k.unfinished.table();
    let raised = if table.at_once > 0 || table.files.len() >= MOST { None } else { raised(&memory, &host) };
    let Some((high, high_host)) = raised else {
        drop((table, host));
        return written(memory, &smaps(k)?, flags);
    };
    let own = [high.as_raw_fd(), high_host.as_raw_fd()];
    let fd = reopened(&high, flags)?;
    drop((memory, host));
    let fd = lowest(fd, flags)?;
    let text = Text { memory: high, smaps: Smaps::new(high_host), pieces: Pieces::new() };
    // One that has had this number has been closed just now.
    table.forget(|known| known.fd == fd as i32);
    table.files.push(Arc::new(Unread { fd: fd as i32, inode, own, text: Mutex::new(Some(text)) }));
    k.unfinished.any.store(true, Ordering::Relaxed);
    Ok(fd)
}

/// Calls by which others come by descriptors that are in memory or not named, or that take numbers of descriptors.
const SHARING: [&str; 7] = ["close_range", "dup3", "execve", "execveat", "pidfd_getfd", "sendmsg", "sendmmsg"];

/// Makes a call while there are unfinished files, of which it sees no less than of finished ones.
#[cold]
pub(crate) fn answer(t: &mut Thread, row: &'static Row, a: &Args) -> SysResult {
    let kernel = Arc::clone(&t.kernel);
    let unfinished = &kernel.unfinished;
    if SHARING.contains(&row.name) {
        let _finished = unfinished.finish_for_now(&kernel);
        return t.make(row, a);
    }
    let descriptors = row.shapes().iter().enumerate().filter(|(_, shape)| matches!(shape, Shape::Fd | Shape::DirFd));
    let file = match descriptors.map(|(index, _)| a.int(index)).find_map(|fd| unfinished.known(fd)) {
        Some(Known::Own) => return Err(Errno::EBADF.into()),
        Some(Known::Unread(file)) => Some(file),
        None => None,
    };
    match (row.name, file) {
        ("openat" | "openat2", _) => {
            let fd = t.make(row, a)?;
            // A link to a descriptor makes another one.
            let leads_to_one = || host::status_of(fd as i32).is_ok_and(|status| unfinished.has_inode(status.st_ino));
            if unfinished.known(fd as i32).is_none() && leads_to_one() {
                drop(unfinished.finish(&kernel));
            }
            Ok(fd)
        }
        ("read" | "pread64", Some(file)) => read(t, row, a, &file),
        ("close", Some(file)) => {
            // Before another thread can be given the number.
            unfinished.forget(&file);
            t.make(row, a)
        }
        // The status is that of the file of `/proc`.
        ("fstat" | "newfstatat", _) => t.make(row, a),
        ("lseek", _) if matches!(a.int(2), libc::SEEK_SET | libc::SEEK_CUR) => t.make(row, a),
        (_, Some(_)) => {
            drop(unfinished.finish(&kernel));
            t.make(row, a)
        }
        (_, None) => t.make(row, a),
    }
}

/// Makes a call that reads up to as many bytes of `file` as its third argument says.
fn read(t: &mut Thread, row: &'static Row, a: &Args, file: &Arc<Unread>) -> SysResult {
    let kernel = Arc::clone(&t.kernel);
    // Held for the call: another thread does not read in its place.
    let mut text = file.text();
    let Some(unread) = &mut *text else { return t.make(row, a) };
    let start = match row.name {
        "pread64" => a.raw(3),
        _ => {
            let args = &mut [Arg::Int(a.raw(0)), Arg::Int(0), Arg::Int(libc::SEEK_CUR as u64)];
            host::call(&host::LSEEK, args).unwrap_or(0)
        }
    };
    let mut some = *a;
    // A negative place or length is the host's to refuse.
    if start <= i64::MAX as u64 && a.raw(2) <= i64::MAX as u64 {
        some.0[2] = unread.read_length(&kernel, start, a.raw(2))?;
    }
    let at_end = unread.pieces.ended && start >= unread.pieces.end();
    let result = t.make(row, &some);
    drop(text);
    // Nothing is left to be written, and the guest may keep the file for long.
    if at_end {
        kernel.unfinished.forget(file);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::by_name;

    #[test]
    fn calls_that_share_descriptors_are_in_the_table() {
        for name in SHARING.into_iter().chain(["read", "pread64", "close", "fstat", "newfstatat", "lseek"]) {
            assert!(by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn reads_end_where_pieces_do() {
        let mut pieces = Pieces { ends: vec![700, 1400, 4095, 5000, 9500], ended: false, buffer: 4096 };
        for (start, count, expected) in [
            (0, 100, Some(100)),
            (0, 1400, Some(1400)),
            (0, 4096, Some(4095)),
            (0, 1 << 40, Some(4095)),
            // The rest of a piece comes on top.
            (1, 4096, Some(4094)),
            (1, 700, Some(700)),
            (700, 1 << 40, Some(3395)),
            (4095, 4096, Some(905)),
            // The buffer grows for the one that is larger, and stays so.
            (5000, 4096, Some(4096)),
            (5000, 4500, Some(4500)),
            (5000, 4501, None),
            (0, 1 << 40, Some(5000)),
            (9500, 1, None),
            (9501, 1, None),
            (9500, 0, Some(0)),
        ] {
            assert_eq!(pieces.read_length(start, count), expected, "{count} at {start}");
        }
        pieces.ended = true;
        assert_eq!(pieces.read_length(5000, 4501), Some(4500));
        assert_eq!((pieces.read_length(9500, 1), pieces.read_length(9501, 1)), (Some(0), Some(0)));
    }
}
