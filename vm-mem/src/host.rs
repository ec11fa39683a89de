//! [`Ground`]: host mappings kept in step with the map of guest regions; the only calls that change host mappings.
//!
//! Invariants, which every method keeps:
//!
//! * Each region is a host mapping made here, at the region's address plus the base.
//! * In a reservation, every page without a region is an inaccessible page made here, but for the ranges in
//!   `foreign`, which are somebody else's. Without a reservation, pages without a region belong to somebody else.
//! * Calls that replace or remove host mappings are made for pages that are ours by these two rules.
//! * No page is mapped executable: what the guest may execute is mapped readable, or, with `hides_code`, where the guest
//!   may do nothing else with it, inaccessible but while it is fetched from.

mod room;
pub(crate) mod shm;

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::mm::{self, MapFlags, MprotectFlags, MremapFlags, MsyncFlags, ProtFlags};
use vm_core::{GuestRange, PAGE_SIZE, Perms};

use crate::advice::Advice;
use crate::error::MemError;
use crate::locking::Locking;
use crate::regions::{Backing, Region, RegionMap, Sharing, span};

/// Where guest memory lies in the host's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Guest addresses are host addresses. The guest's end at 2^46; the host process has to live above, as
    /// position-independent programs do.
    Direct,
    /// Guest addresses `0..size` are one reserved stretch of host addresses, wherever the host has room.
    Reserved {
        /// Bytes, a multiple of the page size.
        size: u64,
    },
}

/// First address that is not the guest's in [`Placement::Direct`].
const DIRECT_LIMIT: u64 = 1 << 46;

/// Inaccessible bytes kept behind a reservation, for accesses that begin below its end and reach over it.
const RESERVATION_GUARD: u64 = PAGE_SIZE;

/// How to make a host mapping, beyond what its region says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Making<'fd> {
    /// The file behind it; the region says at which offset.
    pub(crate) fd: Option<BorrowedFd<'fd>>,
    /// Whether no swap space is set aside.
    pub(crate) noreserve: bool,
    /// Whether its pages are locked in memory.
    pub(crate) locked: bool,
}

const fn refused(call: &'static str, errno: Errno) -> MemError {
    MemError::Host { call, errno: errno.raw_os_error() }
}

/// Host mappings and the regions that describe them.
#[derive(Debug)]
pub(crate) struct Ground {
    /// Host address of guest address 0.
    base: usize,
    /// First guest address that is not the guest's.
    limit: u64,
    /// Bytes of the reservation at `base`, if there is one.
    reservation: Option<usize>,
    regions: RegionMap,
    /// Number of regions from which on requests are refused that would make more.
    pub(crate) most_regions: usize,
    /// Ranges of others below the limit, in ascending order: all that are known without a reservation; with one, pages
    /// that somebody else's mapping took while one of ours was being moved.
    foreign: Vec<GuestRange>,
    /// Whether pages that may be executed and nothing else are kept from being read.
    pub(crate) hides_code: bool,
    /// Held by who has made such pages readable for a moment.
    revealing: Mutex<()>,
}

impl Ground {
    /// Empty ground.
    pub(crate) fn new(placement: Placement) -> Result<Self, MemError> {
        let page = rustix::param::page_size();
        if page as u64 != PAGE_SIZE {
            return Err(MemError::HostPageSize { bytes: page });
        }
        let (base, limit, reservation) = match placement {
            Placement::Direct => (0, DIRECT_LIMIT, None),
            Placement::Reserved { size } => {
                let total = size
                    .checked_add(RESERVATION_GUARD)
                    .and_then(|bytes| usize::try_from(bytes).ok())
                    .filter(|_| size != 0 && size % PAGE_SIZE == 0)
                    .ok_or(MemError::Invalid { reason: "a reservation is a positive number of pages" })?;
                let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
                // SAFETY: a new mapping, placed by the kernel where nothing is.
                let base = unsafe { mm::mmap_anonymous(std::ptr::null_mut(), total, ProtFlags::empty(), flags) }
                    .map_err(|errno| refused("mmap", errno))?;
                (base as usize, size, Some(total))
            }
        };
        Ok(Self {
            base,
            limit,
            reservation,
            regions: RegionMap::new(),
            most_regions: room::most_regions(reservation.is_some()),
            foreign: Vec::new(),
            hides_code: false,
            revealing: Mutex::new(()),
        })
    }

    /// Host address of guest address 0.
    pub(crate) const fn base(&self) -> usize {
        self.base
    }

    /// First guest address that is not the guest's.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// What is mapped.
    pub(crate) const fn regions(&self) -> &RegionMap {
        &self.regions
    }

    /// Whether pages with these permissions can be read. Hosts cannot refuse reads of writable pages.
    pub(crate) const fn is_readable(&self, perms: Perms) -> bool {
        let executable = perms.contains(Perms::EXECUTE) && !self.hides_code;
        perms.contains(Perms::READ) || perms.contains(Perms::WRITE) || executable
    }

    fn prot(&self, perms: Perms) -> ProtFlags {
        let mut flags = ProtFlags::empty();
        flags.set(ProtFlags::READ, self.is_readable(perms));
        flags.set(ProtFlags::WRITE, perms.contains(Perms::WRITE));
        flags
    }

    /// Ranges of others that no mapping can use.
    pub(crate) fn foreign(&self) -> &[GuestRange] {
        &self.foreign
    }

    fn host(&self, range: GuestRange) -> (*mut c_void, usize) {
        let addr = self.base + range.start().get() as usize;
        (std::ptr::with_exposed_provenance_mut(addr), range.len() as usize)
    }

    /// Refuses ranges that are not whole pages below the limit.
    fn check(&self, range: GuestRange) -> Result<(), MemError> {
        if range.is_empty() || !range.start().is_aligned(PAGE_SIZE) || !range.end().is_aligned(PAGE_SIZE) {
            return Err(MemError::Invalid { reason: "a mapping is a positive number of pages" });
        }
        if range.end().get() > self.limit {
            return Err(MemError::OutOfRange { addr: range.start(), len: range.len() });
        }
        if self.reservation.is_some() && self.foreign.iter().any(|foreign| foreign.overlaps(range)) {
            return Err(MemError::Occupied { addr: range.start(), len: range.len() });
        }
        Ok(())
    }

    /// One mmap call at the host address of `range`.
    ///
    /// # Safety
    /// `flags` holds `FIXED_NOREPLACE`, or `FIXED` and every page of `range` is ours.
    unsafe fn place(
        &self,
        range: GuestRange,
        prot: ProtFlags,
        flags: MapFlags,
        file: Option<(BorrowedFd<'_>, u64)>,
    ) -> Result<(), Errno> {
        let (addr, len) = self.host(range);
        // SAFETY: as the caller vouches, nothing that is not ours is replaced.
        let at = unsafe {
            match file {
                Some((fd, offset)) => mm::mmap(addr, len, prot, flags, fd, offset),
                None => mm::mmap_anonymous(addr, len, prot, flags),
            }
        }?;
        if at != addr {
            // SAFETY: the mapping was made just now by a kernel that does not know `FIXED_NOREPLACE`.
            unsafe { mm::munmap(at, len) }?;
            return Err(Errno::EXIST);
        }
        Ok(())
    }

    /// Makes an inaccessible mapping over `range`.
    ///
    /// # Safety
    /// As for [`Ground::place`].
    unsafe fn close(&self, range: GuestRange, fixed: MapFlags) -> Result<(), Errno> {
        // SAFETY: as the caller vouches.
        unsafe { self.place(range, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE | fixed, None) }
    }

    /// Gives up host pages of `range`, which are ours.
    ///
    /// # Safety
    /// Every page of `range` is ours.
    unsafe fn release(&self, range: GuestRange) -> Result<(), MemError> {
        let (addr, len) = self.host(range);
        if self.reservation.is_some() {
            // SAFETY: as the caller vouches.
            unsafe { self.close(range, MapFlags::FIXED) }.map_err(|errno| refused("mmap", errno))
        } else {
            // SAFETY: as the caller vouches.
            unsafe { mm::munmap(addr, len) }.map_err(|errno| refused("munmap", errno))
        }
    }

    /// Makes the stretches of `range` that hold no region ours, so that `range` may be replaced as a whole.
    /// Returns what has to be released if it is not.
    fn claim(&mut self, range: GuestRange) -> Result<Vec<GuestRange>, MemError> {
        if self.reservation.is_some() {
            return Ok(Vec::new());
        }
        let mut claimed = Vec::new();
        for hole in self.regions.holes(range) {
            // SAFETY: `FIXED_NOREPLACE`.
            match unsafe { self.close(hole, MapFlags::FIXED_NOREPLACE) } {
                Ok(()) => claimed.push(hole),
                Err(errno) => {
                    self.unclaim(&claimed);
                    return Err(self.in_the_way(range, "mmap", errno));
                }
            }
        }
        Ok(claimed)
    }

    fn unclaim(&self, claimed: &[GuestRange]) {
        for range in claimed {
            // SAFETY: `claim` mapped the range and nothing has used it since. A failure leaves inaccessible pages.
            let _ = unsafe { self.release(*range) };
        }
    }

    /// The error for a placement at `range` that the kernel refused with `errno`.
    fn in_the_way(&mut self, range: GuestRange, call: &'static str, errno: Errno) -> MemError {
        if errno != Errno::EXIST {
            return refused(call, errno);
        }
        self.look_for_foreign();
        MemError::Occupied { addr: range.start(), len: range.len() }
    }

    /// Reads what the process has mapped below the limit and is not a region.
    fn look_for_foreign(&mut self) {
        let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
        let mut foreign = Vec::new();
        for line in maps.lines() {
            let bounds = line.split(' ').next().and_then(|bounds| bounds.split_once('-'));
            let parse = |text| u64::from_str_radix(text, 16).ok();
            let Some((Some(start), Some(end))) = bounds.map(|(start, end)| (parse(start), parse(end))) else {
                continue;
            };
            if start < self.limit {
                foreign.extend(self.regions.holes(span(start, end.min(self.limit))));
            }
        }
        self.foreign = foreign;
    }

    /// Makes the mapping that `region` describes, in place of regions there if `replace`.
    pub(crate) fn map(&mut self, region: Region, making: Making<'_>, replace: bool) -> Result<(), MemError> {
        let range = region.range;
        self.check(range)?;
        let in_the_way = self.regions.touching(range).next().map(|other| other.range.start().max(range.start()));
        if let (Some(addr), false) = (in_the_way, replace) {
            return Err(MemError::Exists { addr });
        }
        self.check_room_for(&region, "mmap")?;
        let mut flags = match region.sharing {
            Sharing::Private => MapFlags::PRIVATE,
            Sharing::Shared => MapFlags::SHARED,
        };
        flags.set(MapFlags::NORESERVE, making.noreserve);
        flags.set(MapFlags::LOCKED, making.locked);
        let file = match (&region.backing, making.fd) {
            (Backing::Anonymous, None) => None,
            (Backing::File { offset, .. }, Some(fd)) => Some((fd, *offset)),
            (Backing::Anonymous, Some(_)) | (Backing::File { .. }, None) => {
                return Err(MemError::Invalid { reason: "a file mapping, and no other, has a descriptor" });
            }
        };
        let prot = self.prot(region.perms);
        if in_the_way.is_none() && self.reservation.is_none() {
            // SAFETY: `FIXED_NOREPLACE`.
            unsafe { self.place(range, prot, flags | MapFlags::FIXED_NOREPLACE, file) }
                .map_err(|errno| self.in_the_way(range, "mmap", errno))?;
        } else {
            let claimed = self.claim(range)?;
            // SAFETY: the pages of regions are ours, those between them were claimed or are of the reservation, and
            // `check` has seen that none of those is foreign.
            if let Err(errno) = unsafe { self.place(range, prot, flags | MapFlags::FIXED, file) } {
                self.unclaim(&claimed);
                self.drop_lost(range)?;
                return Err(refused("mmap", errno));
            }
        }
        self.regions.insert(region);
        Ok(())
    }

    /// Removes every mapping in `range` if the kernel, which has failed to replace them, removed some: it finds most mistakes
    /// before it does, and a few afterwards.
    fn drop_lost(&mut self, range: GuestRange) -> Result<(), MemError> {
        let is_there = |piece: Region| {
            let (addr, len) = self.host(piece.range);
            // SAFETY: nothing happens to memory: without waiting, the kernel only sees whether all of it is mapped.
            unsafe { mm::msync(addr, len, MsyncFlags::ASYNC) }.is_ok()
        };
        if self.regions.within(range).all(is_there) { Ok(()) } else { self.remove(range) }
    }

    /// Removes every mapping in `range`.
    pub(crate) fn unmap(&mut self, range: GuestRange) -> Result<(), MemError> {
        self.check_room_without(range, "munmap")?;
        self.remove(range)
    }

    /// The same, however many regions that makes.
    fn remove(&mut self, range: GuestRange) -> Result<(), MemError> {
        loop {
            let Some(region) = self.regions.touching(range).next().map(|region| region.range) else { return Ok(()) };
            let piece = span(region.start().max(range.start()).get(), region.end().min(range.end()).get());
            // SAFETY: the piece is of a region.
            unsafe { self.release(piece) }?;
            self.regions.clear(piece);
        }
    }

    /// Gives the pages of `range` other permissions, up to the first that is not mapped.
    pub(crate) fn protect(&mut self, range: GuestRange, perms: Perms) -> Result<(), MemError> {
        let hole = self.regions.holes(range).first().copied();
        let mapped = span(range.start().get(), hole.map_or(range.end(), GuestRange::start).get());
        let pieces: Vec<Region> = self.regions.within(mapped).collect();
        for piece in pieces {
            self.check_room_for_part(&piece, perms, "mprotect")?;
            let (addr, len) = self.host(piece.range);
            let flags = MprotectFlags::from_bits_retain(self.prot(perms).bits());
            // SAFETY: the piece is of a region, to which no Rust reference exists.
            unsafe { mm::mprotect(addr, len, flags) }.map_err(|errno| refused("mprotect", errno))?;
            self.regions.set_perms(piece.range, perms);
        }
        hole.map_or(Ok(()), |hole| Err(MemError::Unmapped { addr: hole.start() }))
    }

    /// Has `look` look at `range`, which lies in a region that cannot be read, while the host can read it. Gives 0 if the
    /// host does not let it be read.
    pub(crate) fn revealed(&self, range: GuestRange, look: impl FnOnce() -> usize) -> usize {
        let start = range.start().get() / PAGE_SIZE * PAGE_SIZE;
        let (addr, len) = self.host(span(start, range.end().get().next_multiple_of(PAGE_SIZE)));
        // Not through `/proc/self/mem`: a descriptor, however short its life, is one that the guest's threads see.
        let _one_at_a_time = self.revealing.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the pages are of a region, to which no Rust reference exists.
        if unsafe { mm::mprotect(addr, len, MprotectFlags::READ) }.is_err() {
            return 0;
        }
        let seen = look();
        // SAFETY: as above. A failure leaves pages that the guest can read.
        let _ = unsafe { mm::mprotect(addr, len, MprotectFlags::empty()) };
        seen
    }

    /// Passes advice on for every mapped page of `range`. Advice that changes what memory holds is not for a range of
    /// which somebody else may unmap a part meanwhile.
    pub(crate) fn advise(&self, range: GuestRange, advice: Advice) -> Result<(), MemError> {
        for piece in self.regions.within(range) {
            advise_host(self.base, piece.range, advice)?;
        }
        match self.regions.holes(range).first() {
            Some(hole) => Err(MemError::Unmapped { addr: hole.start() }),
            None => Ok(()),
        }
    }

    /// Says whether a forked child is to be without the mapped pages of `range`.
    pub(crate) fn omit(&mut self, range: GuestRange, omitted: bool) {
        self.regions.set_omitted(range, omitted);
    }

    /// Forgets what this process, just forked, was to be without. Gives the ranges.
    pub(crate) fn forget_omitted(&mut self) -> Vec<GuestRange> {
        let omitted: Vec<_> = self.regions.iter().filter(|region| region.omitted).map(|region| region.range).collect();
        for range in &omitted {
            self.regions.clear(*range);
            // SAFETY: `FIXED_NOREPLACE`.
            if self.reservation.is_some() && unsafe { self.close(*range, MapFlags::FIXED_NOREPLACE) }.is_err() {
                let at = self.foreign.partition_point(|other| other.start() < range.start());
                self.foreign.insert(at, *range);
            }
        }
        omitted
    }

    /// The region that holds all of `range`.
    fn whole(&self, range: GuestRange) -> Result<Region, MemError> {
        self.regions
            .within(range)
            .next()
            .filter(|region| region.range == range)
            .ok_or(MemError::NotOneMapping { addr: range.start() })
    }

    /// Grows the mapping that holds `old` and ends with it to `new_end`, where nothing is mapped, without moving it.
    pub(crate) fn extend(&mut self, old: GuestRange, new_end: u64) -> Result<(), MemError> {
        let region = self.whole(old)?;
        let tail = span(old.end().get(), new_end);
        self.check(tail)?;
        if let Some(other) = self.regions.touching(tail).next() {
            return Err(MemError::Exists { addr: other.range.start() });
        }
        if self.reservation.is_some() {
            // The pages behind it are mapped on the host, so the kernel would refuse; but zeros are zeros.
            if region.backing != Backing::Anonymous || region.sharing != Sharing::Private {
                return Err(MemError::NoGap { len: tail.len() });
            }
            return self.map(Region { range: tail, ..region }, Making::default(), false);
        }
        let (addr, len) = self.host(old);
        // SAFETY: `old` is of one region, and without MAYMOVE nothing else is touched.
        unsafe { mm::mremap(addr, len, len + tail.len() as usize, MremapFlags::empty()) }
            .map_err(|errno| refused("mremap", errno))?;
        self.regions.insert(Region { range: span(old.start().get(), new_end), ..region });
        Ok(())
    }

    /// Moves the mapping at `old`, part of one region, to `new` and grows or shrinks it to fit, in place of what `new`
    /// held. With `keep` the old place stays mapped, its private anonymous pages zeros again. An empty `old` makes a
    /// second mapping of what the shared region there shows.
    pub(crate) fn relocate(&mut self, old: GuestRange, new: GuestRange, keep: bool) -> Result<(), MemError> {
        self.check(new)?;
        if new.overlaps(old) {
            return Err(MemError::Invalid { reason: "the new place overlaps the old one" });
        }
        let region = if old.is_empty() {
            let page = span(old.start().get(), old.start().get() + PAGE_SIZE);
            self.whole(page).ok().filter(|region| region.sharing == Sharing::Shared)
        } else {
            self.whole(old).ok()
        };
        let region = region.ok_or(MemError::NotOneMapping { addr: old.start() })?;
        self.check_room_for(&Region { range: new, ..region.clone() }, "mremap")?;
        let claimed = self.claim(new)?;
        if let Err(error) = self.relocate_host(&region, old, new, keep) {
            self.unclaim(&claimed);
            self.drop_lost(new)?;
            return Err(error);
        }
        if !keep {
            self.regions.clear(old);
        }
        self.regions.insert(Region { range: new, ..region });
        Ok(())
    }

    fn relocate_host(&mut self, region: &Region, old: GuestRange, new: GuestRange, keep: bool) -> Result<(), MemError> {
        let failed = |errno| refused("mremap", errno);
        let ((from, old_len), (to, new_len)) = (self.host(old), self.host(new));
        let keeping = MremapFlags::MAYMOVE | MremapFlags::DONTUNMAP;
        if keep {
            // SAFETY: `old` is of one region; the pages of `new` are ours.
            return unsafe { mm::mremap_fixed(from, old_len, new_len, keeping, to) }.map(drop).map_err(failed);
        }
        if self.reservation.is_some() && !old.is_empty() {
            // Keep the old pages mapped until they are closed, so that no mapping of another thread gets in between.
            let zeros = region.backing == Backing::Anonymous && region.sharing == Sharing::Private;
            let kept = old_len.min(new_len);
            // SAFETY: `old` is of one region; the pages of `new` are ours.
            if (zeros || old_len >= new_len) && unsafe { mm::mremap_fixed(from, kept, kept, keeping, to) }.is_ok() {
                // SAFETY: `old` is of a region, whose contents have moved.
                unsafe { self.close(old, MapFlags::FIXED) }.map_err(|errno| refused("mmap", errno))?;
                if new_len > kept {
                    let tail = span(new.start().get() + kept as u64, new.end().get());
                    let flags = MapFlags::PRIVATE | MapFlags::FIXED;
                    // SAFETY: the pages of `new` are ours.
                    unsafe { self.place(tail, self.prot(region.perms), flags, None) }.map_err(failed)?;
                }
                return Ok(());
            }
        }
        // SAFETY: `old` is of one region; the pages of `new` are ours.
        unsafe { mm::mremap_fixed(from, old_len, new_len, MremapFlags::MAYMOVE, to) }.map_err(failed)?;
        if self.reservation.is_some() && !old.is_empty() {
            // SAFETY: `FIXED_NOREPLACE`.
            if unsafe { self.close(old, MapFlags::FIXED_NOREPLACE) }.is_err() {
                let at = self.foreign.partition_point(|range| range.start() < old.start());
                self.foreign.insert(at, old);
            }
        }
        Ok(())
    }
}

/// Passes advice on for `range`, guest pages of an address space whose address 0 is at `base`.
pub(crate) fn advise_host(base: usize, range: GuestRange, advice: Advice) -> Result<(), MemError> {
    let addr = std::ptr::with_exposed_provenance_mut::<c_void>(base + range.start().get() as usize);
    // SAFETY: no Rust reference to guest memory exists, and the kernel checks what is mapped.
    let result = unsafe { libc::madvise(addr, range.len() as usize, advice.number()) };
    if result == 0 {
        return Ok(());
    }
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
    Err(MemError::Host { call: "madvise", errno })
}

/// Locks `range`, guest pages of an address space whose address 0 is at `base`.
pub(crate) fn lock_host(base: usize, range: GuestRange, how: Locking) -> Result<(), MemError> {
    let addr = std::ptr::with_exposed_provenance_mut::<c_void>(base + range.start().get() as usize);
    // SAFETY: locked pages stay what they are.
    let result = unsafe {
        match how {
            Locking::AtOnce => mm::mlock(addr, range.len() as usize),
            Locking::OnFault => mm::mlock_with(addr, range.len() as usize, mm::MlockFlags::ONFAULT),
        }
    };
    result.map_err(|errno| refused("mlock", errno))
}

/// Unlocks `range`, guest pages of an address space whose address 0 is at `base`.
pub(crate) fn unlock_host(base: usize, range: GuestRange) {
    let addr = std::ptr::with_exposed_provenance_mut::<c_void>(base + range.start().get() as usize);
    // SAFETY: unlocked pages stay what they are. What is not mapped any more is not locked either.
    let _ = unsafe { mm::munlock(addr, range.len() as usize) };
}

impl Drop for Ground {
    fn drop(&mut self) {
        let ours = match self.reservation {
            Some(len) => {
                let everything = span(0, len as u64);
                let mut ours = Vec::new();
                let mut at = 0;
                for foreign in &self.foreign {
                    ours.push(span(at, foreign.start().get()));
                    at = foreign.end().get();
                }
                ours.push(span(at, everything.end().get()));
                ours
            }
            None => self.regions.iter().map(|region| region.range).collect(),
        };
        for range in ours.into_iter().filter(|range| !range.is_empty()) {
            let (addr, len) = self.host(range);
            // SAFETY: the pages are ours, and with the ground goes every way to reach them. The kernel refuses only
            // when it runs out of memory for its own records; the pages then stay.
            let _ = unsafe { mm::munmap(addr, len) };
        }
    }
}
