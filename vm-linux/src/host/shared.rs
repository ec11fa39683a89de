//! Words of memory that this process has in common with those that it forks and with the programs they execute.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::atomic::AtomicU32;

use crate::errno::Errno;

/// Bytes of the mapping.
const SIZE: usize = 4096;

/// The words, mapped for the life of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedWords(&'static [AtomicU32; 4]);

impl SharedWords {
    /// The words in `file`, which is extended to hold them if need be.
    ///
    /// # Errors
    /// The kernel's error number.
    pub(crate) fn of(file: &File) -> Result<Self, Errno> {
        if file.metadata()?.len() < SIZE as u64 {
            file.set_len(SIZE as u64)?;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever the kernel likes.
        let at = unsafe { libc::mmap(null_mut(), SIZE, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        // SAFETY: the mapping is as long as the file, aligned and never unmapped; everyone accesses the words atomically.
        Ok(Self(unsafe { &*at.cast() }))
    }

    /// Word number `index`, 0 to 3; zero before anybody has written it.
    pub(crate) fn word(&self, index: usize) -> &AtomicU32 {
        &self.0[index]
    }
}
