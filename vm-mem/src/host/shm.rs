//! Segments of System V shared memory: a mapping that is made by `shmat` in place of `mmap`.

use rustix::io::Errno;
use vm_core::Perms;

use super::{Ground, refused};
use crate::error::MemError;
use crate::regions::Region;

/// What the host knows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its key; zero for a private one.
    pub(crate) key: i32,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// Asks the host for the segment `id`.
pub(crate) fn segment(id: i32) -> Result<Segment, MemError> {
    // SAFETY: all-zero bits are a valid record.
    let mut record: libc::shmid_ds = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one record, which lives for the call.
    if unsafe { libc::shmctl(id, libc::IPC_STAT, &raw mut record) } == 0 {
        return Ok(Segment { key: record.shm_perm.__key, size: record.shm_segsz as u64 });
    }
    match std::io::Error::last_os_error().raw_os_error() {
        // Attaching asks for other permissions than looking; the caller's attempt tells.
        Some(errno) => Err(MemError::Host { call: "shmctl", errno }),
        None => Err(MemError::Invalid { reason: "no such segment" }),
    }
}

impl Ground {
    /// Attaches the segment `id` where `region`, which is as long as the segment, says; in place of regions there if
    /// `replace`.
    pub(crate) fn attach(&mut self, region: Region, id: i32, replace: bool) -> Result<(), MemError> {
        let range = region.range;
        self.check(range)?;
        let in_the_way = self.regions.touching(range).next().map(|other| other.range.start().max(range.start()));
        if let (Some(addr), false) = (in_the_way, replace) {
            return Err(MemError::Exists { addr });
        }
        self.check_room_for(&region, "shmat")?;
        let claimed = self.claim(range)?;
        let (addr, _) = self.host(range);
        // Never executable: what the guest executes is read.
        let read_only = if region.perms.contains(Perms::WRITE) { 0 } else { libc::SHM_RDONLY };
        // SAFETY: the pages of regions are ours, those between them were claimed or are of the reservation, and `check`
        // has seen that none of those is foreign.
        let at = unsafe { libc::shmat(id, addr, libc::SHM_REMAP | read_only) };
        if at != addr {
            let errno = std::io::Error::last_os_error().raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error);
            self.unclaim(&claimed);
            return Err(refused("shmat", errno));
        }
        self.regions.insert(region);
        Ok(())
    }
}
