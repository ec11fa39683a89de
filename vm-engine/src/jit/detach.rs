//! Threads that have given up the process's descriptors and write to its sealed pages.
//!
//! The kernel writes for a process into private pages of its own whatever their protection, by way of the file of its
//! memory (proc(5), `/proc/pid/mem`): no page becomes writable, and its entry in the page table seldom changes. But every open
//! file has a number, and a guest whose descriptors are the process's counts on getting the lowest that is free. A thread
//! that is to use the file therefore has a table of descriptors of its own (close_range(2)).

use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;

use rustix::fs::MemfdFlags;

/// What a detached thread has in place of the process's descriptors.
struct Detached {
    memory: Option<File>,
    /// What the thread prints: its standard output and error.
    output: File,
}

thread_local! {
    static DETACHED: OnceCell<Detached> = const { OnceCell::new() };
}

/// Gives the calling thread a table of descriptors of its own, without any of the process's.
///
/// For a moment it has copies of some. To close them flushes those files: what is written on to a server is, and a message
/// queue forgets whom the process wanted to be notified.
///
/// # Errors
/// The host's error. The thread may have lost its descriptors all the same.
pub(crate) fn detach() -> io::Result<()> {
    // SAFETY: the call has no pointers, and the descriptors of other threads stay open. This one has only begun, and is given
    // nothing that owns a descriptor.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // First of all, so that nothing else gets the numbers that are printed to.
    let output = File::from(rustix::fs::memfd_create("tradux-output", MemfdFlags::CLOEXEC)?);
    rustix::stdio::dup2_stdout(&output)?;
    rustix::stdio::dup2_stderr(&output)?;
    let memory = OpenOptions::new().write(true).open("/proc/self/mem").ok();
    DETACHED.with(|detached| drop(detached.set(Detached { memory, output })));
    Ok(())
}

/// Writes `code` to pages at `address` that the process may not write, if the calling thread is detached and the host
/// lets it. Says whether all of it was written.
///
/// # Safety
/// The pages are private ones of this process, and nobody reads or runs those bytes meanwhile.
pub(crate) unsafe fn write_sealed(address: usize, code: &[u8]) -> bool {
    let write = |memory: &File| memory.write_all_at(code, address as u64).is_ok();
    DETACHED.with(|detached| detached.get().and_then(|detached| detached.memory.as_ref()).is_some_and(write))
}

/// What the calling thread has printed since it was detached, or since the last call.
pub(crate) fn take_output() -> String {
    let take = |detached: &Detached| {
        let (mut output, mut text) = (&detached.output, Vec::new());
        let taken = output.rewind().and_then(|()| output.read_to_end(&mut text));
        let _ = taken.and_then(|_| output.set_len(0)).and_then(|()| output.rewind());
        String::from_utf8_lossy(&text).into_owned()
    };
    DETACHED.with(|detached| detached.get().map(take).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;
    use std::ptr;
    use std::thread;

    use rustix::mm::{MapFlags, ProtFlags};

    use super::*;

    #[test]
    fn a_detached_thread_writes_to_sealed_pages() {
        // SAFETY: a new private mapping, which stays.
        let page = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), 4096, ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE)
        };
        let page = page.unwrap() as usize;
        // SAFETY: nobody else knows the page.
        assert!(!unsafe { write_sealed(page, &[1, 2]) }, "this thread is as it was");
        // SAFETY: as above.
        thread::spawn(move || detach().map(|()| assert!(unsafe { write_sealed(page + 4094, &[1, 2]) })))
            .join()
            .unwrap()
            .unwrap();
        // SAFETY: the page is readable and whole.
        assert_eq!(unsafe { ptr::read((page + 4094) as *const [u8; 2]) }, [1, 2]);
    }

    #[test]
    fn a_detached_thread_has_no_descriptors_of_the_process() {
        let program = std::env::current_exe().unwrap();
        let file = File::open(&program).unwrap();
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert_eq!(std::fs::read_link(own).unwrap(), program, "a name that the test would see");
        let seen = thread::spawn(move || {
            detach().unwrap();
            let links = std::fs::read_dir("/proc/thread-self/fd").unwrap();
            links.map(|link| std::fs::read_link(link.unwrap().path()).unwrap_or_default()).collect::<Vec<_>>()
        });
        let seen = seen.join().unwrap();
        let prints = |link: &&PathBuf| link.to_string_lossy().contains("tradux-output");
        assert_eq!(seen.iter().filter(prints).count(), 3, "{seen:?}");
        assert!(!seen.contains(&program), "{seen:?}");
        assert!(file.metadata().unwrap().is_file(), "the process keeps its own");
    }

    #[test]
    fn what_a_detached_thread_prints_is_kept() {
        let print = || {
            detach().unwrap();
            io::Write::write_all(&mut io::stderr(), b"one\n").unwrap();
            let first = take_output();
            io::Write::write_all(&mut io::stderr(), b"two").unwrap();
            (first, take_output(), take_output())
        };
        let printed = thread::spawn(print).join().unwrap();
        assert_eq!(printed, ("one\n".to_owned(), "two".to_owned(), String::new()));
        assert_eq!(take_output(), "");
    }
}
