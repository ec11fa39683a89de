//! [`AddressSpace`]: a guest process's memory, with the calls that a kernel offers for it.
//!
//! Invariants:
//!
//! * Mappings change only under the write lock; every access through [`GuestMemory`](vm_core::GuestMemory) holds the
//!   read lock, so what it has checked stays true until it is done. Accesses of generated code hold no lock: the
//!   host's page protection checks them.
//! * Whatever changes under translated code is reported to the [`CodeWatch`].

use std::borrow::Cow;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use vm_core::{Access, FlatView, GuestAddr, GuestRange, MemFault, PAGE_SIZE, Perms};

use crate::access::GuardedCopy;
use crate::code_watch::CodeWatch;
use crate::error::MemError;
use crate::growth::Growth;
use crate::host::{Ground, Making, Placement, lock_host};
use crate::locking::Locking;
use crate::regions::{Backing, FileIdentity, Region, Sharing, span};

/// Lowest address that is given out unasked: the host's usual `vm.mmap_min_addr`.
const LOWEST: u64 = 0x1_0000;

/// Where a mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the highest gap below the address set by [`AddressSpace::set_mmap_top`], else anywhere.
    Any,
    /// At this address, rounded down to a page, if nothing is mapped there; else as [`Place::Any`].
    Hint(GuestAddr),
    /// At this address, a multiple of the page size, in place of whatever is there.
    Fixed(GuestAddr),
    /// At this address, a multiple of the page size, if nothing is mapped there.
    FixedNoReplace(GuestAddr),
}

/// What a mapping shows.
#[derive(Clone, Debug)]
pub enum MapSource<'fd> {
    /// Zeros.
    Anonymous,
    /// A file.
    File {
        /// Open descriptor; not needed after the call.
        fd: BorrowedFd<'fd>,
        /// Offset of the first byte, a multiple of the page size.
        offset: u64,
        /// Its name for the description of mappings.
        identity: Arc<FileIdentity>,
    },
}

/// A mapping to make.
#[derive(Clone, Debug)]
pub struct MapRequest<'fd> {
    /// Where.
    pub place: Place,
    /// Length in bytes, rounded up to whole pages; not zero.
    pub len: u64,
    /// What the guest may do.
    pub perms: Perms,
    /// Who sees writes.
    pub sharing: Sharing,
    /// What it shows.
    pub source: MapSource<'fd>,
    /// Its name where no file gives one.
    pub name: Option<Arc<str>>,
    /// Whether no swap space is set aside for it (`MAP_NORESERVE`).
    pub noreserve: bool,
    /// Whether its pages are touched at once (`MAP_POPULATE`).
    pub populate: bool,
    /// Whether its pages are locked in memory (`MAP_LOCKED`).
    pub locked: bool,
    /// Whether it grows downwards (`MAP_GROWSDOWN`).
    pub grows: bool,
}

impl MapRequest<'static> {
    /// Private zeros, `len` bytes, anywhere.
    #[must_use]
    pub const fn anonymous(len: u64, perms: Perms) -> Self {
        Self {
            place: Place::Any,
            len,
            perms,
            sharing: Sharing::Private,
            source: MapSource::Anonymous,
            name: None,
            noreserve: false,
            populate: false,
            locked: false,
            grows: false,
        }
    }
}

impl<'fd> MapRequest<'fd> {
    /// The `len` bytes of a file from `offset`, private, anywhere.
    #[must_use]
    pub const fn file(fd: BorrowedFd<'fd>, offset: u64, identity: Arc<FileIdentity>, len: u64, perms: Perms) -> Self {
        Self {
            place: Place::Any,
            len,
            perms,
            sharing: Sharing::Private,
            source: MapSource::File { fd, offset, identity },
            name: None,
            noreserve: false,
            populate: false,
            locked: false,
            grows: false,
        }
    }

    /// The same at `place`.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// The same with its writes seen by all who map it.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { sharing: Sharing::Shared, ..self }
    }

    /// The same with a name, such as `[stack]`.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(Arc::from(name)), ..self }
    }
}

/// A mapping to move or to change in size, as `mremap(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemapRequest {
    /// Where it begins now.
    pub addr: GuestAddr,
    /// Its length now, rounded up to whole pages. Zero asks for a second mapping of a shared one.
    pub old_len: u64,
    /// Its new length, rounded up to whole pages.
    pub new_len: u64,
    /// Whether it may move (`MREMAP_MAYMOVE`).
    pub may_move: bool,
    /// Where it has to go, in place of whatever is there (`MREMAP_FIXED`).
    pub fixed: Option<GuestAddr>,
    /// Whether the old place stays mapped, without its contents (`MREMAP_DONTUNMAP`).
    pub keep_old: bool,
}

/// Where to look for a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The highest that ends at or below this address.
    Below(GuestAddr),
    /// The lowest that starts at or above this address.
    Above(GuestAddr),
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ground: Ground,
    /// Where unplaced mappings are sought downwards from.
    mmap_top: u64,
    /// First address of the heap and its current end; equal while there is none.
    heap: (u64, u64),
    /// Copies that survive faults, where the process has them.
    pub(crate) guarded_copy: Option<GuardedCopy>,
}

/// A guest process's memory.
///
/// Shared by all guest threads. Addresses are guest addresses throughout. Permissions are those of the guest; on the
/// host, pages that the guest may write or execute can be read too, and so they can by the guest, as on most
/// processors; [`AddressSpace::hide_code`] makes an exception.
///
/// Dropping it unmaps everything: no guest code may run on it then.
#[derive(Debug)]
pub struct AddressSpace {
    pub(crate) state: RwLock<State>,
    pub(crate) watch: CodeWatch,
    /// Copies of the ground's constants, for use without the lock.
    base: usize,
    limit: u64,
    pub(crate) growth: Growth,
    /// How new mappings are locked in memory: a `Locking`, or zero.
    pub(crate) lock_future: AtomicU8,
    /// Whether the guest has ever asked for memory that it can both write and execute.
    pub(crate) makes_code: AtomicBool,
}

impl AddressSpace {
    /// An empty address space.
    ///
    /// # Errors
    /// [`MemError::Host`] if the host has no room for the reservation, [`MemError::Invalid`] if its size is not a
    /// positive number of pages, [`MemError::HostPageSize`] on a host whose pages are not 4 KiB.
    pub fn new(placement: Placement) -> Result<Self, MemError> {
        let ground = Ground::new(placement)?;
        let (base, limit) = (ground.base(), ground.limit());
        let state = State { ground, mmap_top: limit, heap: (0, 0), guarded_copy: None };
        Ok(Self {
            state: RwLock::new(state),
            watch: CodeWatch::new(),
            base,
            limit,
            growth: Growth::new(),
            lock_future: AtomicU8::new(0),
            makes_code: AtomicBool::new(false),
        })
    }

    pub(crate) fn read_state(&self) -> RwLockReadGuard<'_, State> {
        // Ground and regions agree after every step, so a panic elsewhere leaves nothing half done.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        self.growth.forget();
        state
    }

    /// The address space as one stretch of host addresses.
    #[must_use]
    pub const fn view(&self) -> FlatView {
        FlatView { base: self.base, limit: self.limit }
    }

    /// First address that can never be mapped.
    #[must_use]
    pub const fn limit(&self) -> GuestAddr {
        GuestAddr::new(self.limit)
    }

    /// Which pages hold translated code, and what changed there.
    #[must_use]
    pub const fn code_watch(&self) -> &CodeWatch {
        &self.watch
    }

    /// Sets the address below which unplaced mappings are sought, at first the limit. A kernel puts it below the stack.
    pub fn set_mmap_top(&self, top: GuestAddr) {
        self.write_state().mmap_top = top.page_start().get().min(self.limit);
    }

    /// Makes a mapping and returns its first address.
    ///
    /// # Errors
    /// [`MemError::Invalid`] for a length of zero or for addresses or offsets within a page; [`MemError::OutOfRange`],
    /// [`MemError::NoGap`] and [`MemError::Occupied`] where the guest's addresses end or are taken by the host process;
    /// [`MemError::Exists`] for [`Place::FixedNoReplace`]; [`MemError::Host`] with the kernel's own refusal
    /// (a descriptor not open for writing, no memory). If the kernel runs out of memory while it replaces a mapping,
    /// the old one may be gone.
    pub fn map(&self, request: MapRequest<'_>) -> Result<GuestAddr, MemError> {
        let len = whole_pages(request.len)?;
        let (populate, perms, sharing) = (request.populate, request.perms, request.sharing);
        self.note(perms);
        let locking = self.future_locking();
        let request = MapRequest { locked: request.locked || locking == Some(Locking::AtOnce), ..request };
        let grows = request.grows;
        let addr = self.place(request, len)?;
        let range = span(addr.get(), addr.get() + len);
        if grows {
            self.expect_growth(range.end());
        }
        if populate {
            self.populate(range, perms, sharing);
        }
        if locking == Some(Locking::OnFault) {
            // A mapping that cannot be locked stands, as it does under a kernel whose limit is reached later.
            let _ = lock_host(self.base, range, Locking::OnFault);
        }
        Ok(addr)
    }

    /// Makes a mapping of `len` bytes.
    fn place(&self, request: MapRequest<'_>, len: u64) -> Result<GuestAddr, MemError> {
        let (backing, fd) = match request.source {
            MapSource::Anonymous => (Backing::Anonymous, None),
            MapSource::File { fd, offset, identity } => {
                if offset % PAGE_SIZE != 0 {
                    return Err(MemError::Invalid { reason: "a file offset is a multiple of the page size" });
                }
                if offset.checked_add(len).is_none() {
                    return Err(MemError::Host { call: "mmap", errno: libc::EOVERFLOW });
                }
                (Backing::File { file: identity, offset }, Some(fd))
            }
        };
        let making = Making { fd, noreserve: request.noreserve, locked: request.locked };
        let region = |range| Region {
            range,
            perms: request.perms,
            sharing: request.sharing,
            backing: backing.clone(),
            name: request.name.clone(),
            grows: request.grows,
            omitted: false,
        };
        let mut state = self.write_state();
        let hint = match request.place {
            Place::Fixed(addr) | Place::FixedNoReplace(addr) => {
                let range = self.fixed_pages(addr, len)?;
                let replace = matches!(request.place, Place::Fixed(_));
                self.watch.changed(range);
                return state.ground.map(region(range), making, replace).map(|()| addr);
            }
            Place::Hint(addr) if addr.get() >= PAGE_SIZE => Some(addr.page_start().max(GuestAddr::new(LOWEST))),
            Place::Hint(_) | Place::Any => None,
        };
        let guards = self.guards(&state);
        if let Some(addr) = hint
            && let Ok(range) = self.pages(addr, len)
            && !guards.iter().any(|guard| guard.overlaps(range))
        {
            match state.ground.map(region(range), making, false) {
                Ok(()) => return Ok(addr),
                Err(MemError::Exists { .. } | MemError::Occupied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        state.in_a_gap(len, &guards, |ground, range| ground.map(region(range), making, false))
    }

    /// Removes every mapping of the `len` bytes at `addr`, rounded up to whole pages.
    ///
    /// # Errors
    /// [`MemError::Invalid`] for an address within a page, a length of zero or a range beyond the limit, as
    /// `munmap(2)`; [`MemError::Host`] if the kernel cannot split a mapping.
    pub fn unmap(&self, addr: GuestAddr, len: u64) -> Result<(), MemError> {
        let range = whole_pages(len)
            .and_then(|len| self.pages(addr, len))
            .map_err(|_| MemError::Invalid { reason: "munmap takes pages of the guest's address space" })?;
        let mut state = self.write_state();
        self.watch.changed(range);
        state.ground.unmap(range)
    }

    /// Why no mapping of `len` bytes could be made at `place`, whatever else it is: what [`AddressSpace::map`] says of
    /// the place.
    ///
    /// # Errors
    /// As [`AddressSpace::map`] for a length of zero and for places.
    pub fn check_place(&self, place: Place, len: u64) -> Result<(), MemError> {
        let len = whole_pages(len)?;
        match place {
            Place::Any | Place::Hint(_) => self.find_gap(len, PAGE_SIZE, Gap::Above(GuestAddr::new(LOWEST))).map(drop),
            Place::Fixed(addr) => self.fixed_pages(addr, len).map(drop),
            Place::FixedNoReplace(addr) => {
                let range = self.fixed_pages(addr, len)?;
                match self.read_state().ground.regions().touching(range).next() {
                    Some(other) => Err(MemError::Exists { addr: other.range.start().max(addr) }),
                    None => Ok(()),
                }
            }
        }
    }

    /// The bytes that are mapped in `range`.
    #[must_use]
    pub fn mapped_bytes(&self, range: GuestRange) -> u64 {
        self.read_state().ground.regions().within(range).map(|region| region.range.len()).sum()
    }

    /// The bytes of mappings that count as data: private, writable, and not a stack that grows.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        let state = self.read_state();
        let data = state.ground.regions().iter().filter(|region| {
            region.sharing == Sharing::Private && region.perms.contains(Perms::WRITE) && !region.grows
        });
        data.map(|region| region.range.len()).sum()
    }

    /// Gives the `len` bytes at `addr`, rounded up to whole pages, the permissions `perms`. A length of zero is
    /// accepted and does nothing.
    ///
    /// # Errors
    /// [`MemError::Invalid`] for an address within a page; [`MemError::Unmapped`] at the first page that is not mapped,
    /// those before it being changed; [`MemError::Host`] with the kernel's own refusal.
    pub fn protect(&self, addr: GuestAddr, len: u64, perms: Perms) -> Result<(), MemError> {
        if !addr.is_aligned(PAGE_SIZE) {
            return Err(MemError::Invalid { reason: "mprotect takes pages" });
        }
        if len == 0 {
            return Ok(());
        }
        let range = whole_pages(len).and_then(|len| self.pages(addr, len))?;
        self.note(perms);
        let mut state = self.write_state();
        self.watch.changed(range);
        state.ground.protect(range, perms)
    }

    /// Remembers that memory is to have `perms`, before it has.
    fn note(&self, perms: Perms) {
        if perms.contains(Perms::WRITE | Perms::EXECUTE) {
            self.makes_code.store(true, Ordering::Release);
        }
    }

    /// Moves a mapping or changes its size. Returns where it is then.
    ///
    /// # Errors
    /// As `mremap(2)`: [`MemError::Invalid`] for unaligned addresses, an empty new mapping, a new place that overlaps
    /// the old one or is beyond the limit, and contradictory flags; [`MemError::NotOneMapping`] if the old range is not
    /// part of one mapping; [`MemError::NoGap`] if it cannot grow; [`MemError::Host`] with the kernel's own refusal.
    pub fn remap(&self, request: RemapRequest) -> Result<GuestAddr, MemError> {
        let addr = self.resize(request)?;
        if let Some(region) = self.region_at(addr).filter(|region| region.grows) {
            self.expect_growth(region.range.end());
        }
        Ok(addr)
    }

    fn resize(&self, request: RemapRequest) -> Result<GuestAddr, MemError> {
        let RemapRequest { addr, may_move, fixed, keep_old, .. } = request;
        let invalid = |reason| Err(MemError::Invalid { reason });
        let outside = MemError::Invalid { reason: "the new place is not in the guest's address space" };
        if (fixed.is_some() || keep_old) && !may_move {
            return invalid("a mapping that has to move must be allowed to");
        }
        if keep_old && request.old_len != request.new_len {
            return invalid("a mapping that keeps its old place keeps its size");
        }
        if !addr.is_aligned(PAGE_SIZE) {
            return invalid("mremap takes pages");
        }
        let new_len = whole_pages(request.new_len)?;
        let mut old_len = if request.old_len == 0 { 0 } else { whole_pages(request.old_len)? };
        let not_mapped = MemError::NotOneMapping { addr };
        if addr.get().checked_add(old_len).is_none_or(|end| end > self.limit) {
            return Err(not_mapped);
        }
        let mut state = self.write_state();
        if state.ground.regions().get(addr).is_none() {
            return Err(not_mapped);
        }
        if let Some(to) = fixed {
            let new = self.pages(to, new_len).map_err(|_| outside)?;
            if new.overlaps(span(addr.get(), addr.get() + old_len)) {
                return invalid("the new place overlaps the old one");
            }
            let mapped = state.ground.regions().get(addr).ok_or(not_mapped)?;
            if old_len == 0 && mapped.sharing == Sharing::Private {
                return invalid("only a shared mapping can be mapped a second time");
            }
            old_len = state.shrink(&self.watch, addr, old_len, new_len)?;
            let old = span(addr.get(), addr.get() + old_len);
            self.watch.changed(old);
            self.watch.changed(new);
            return state.ground.relocate(old, new, keep_old).map(|()| to);
        }
        let Some(mapped) = state.ground.regions().get(addr) else { return Err(not_mapped) };
        let (region_end, sharing) = (mapped.range.end().get(), mapped.sharing);
        if old_len == 0 && sharing == Sharing::Private {
            return invalid("only a shared mapping can be mapped a second time");
        }
        if old_len >= new_len && !keep_old {
            state.shrink(&self.watch, addr, old_len, new_len)?;
            return Ok(addr);
        }
        let old = span(addr.get(), addr.get() + old_len);
        if old.end().get() > region_end {
            return Err(not_mapped);
        }
        if old_len != 0
            && !keep_old
            && let Some(new_end) = addr.get().checked_add(new_len).filter(|end| *end <= self.limit)
            && state.ground.regions().is_free(span(old.end().get(), new_end))
            && state.ground.extend(old, new_end).is_ok()
        {
            return Ok(addr);
        }
        if !may_move {
            return Err(MemError::NoGap { len: new_len });
        }
        self.watch.changed(old);
        let guards = self.guards(&state);
        state.in_a_gap(new_len, &guards, |ground, range| ground.relocate(old, range, keep_old))
    }

    /// The gap of `len` bytes that `gap` asks for, its start a multiple of `align` (a power of two, at least the page
    /// size). Another thread may take it before the caller does.
    ///
    /// # Errors
    /// [`MemError::Invalid`] for a length of zero or an `align` that is none; [`MemError::NoGap`].
    pub fn find_gap(&self, len: u64, align: u64, gap: Gap) -> Result<GuestAddr, MemError> {
        let len = whole_pages(len)?;
        if !align.is_power_of_two() || align < PAGE_SIZE {
            return Err(MemError::Invalid { reason: "an alignment is a power of two, at least the page size" });
        }
        let state = self.read_state();
        let (regions, foreign) = (state.ground.regions(), state.ground.foreign());
        match gap {
            Gap::Below(top) => regions.gap_below(top.page_start().get().min(self.limit), LOWEST, len, align, foreign),
            Gap::Above(bottom) => {
                let bottom = bottom.page_end().map_or(self.limit, GuestAddr::get).max(LOWEST);
                regions.gap_above(bottom, self.limit, len, align, foreign)
            }
        }
        .ok_or(MemError::NoGap { len })
    }

    /// Lets the heap begin at `start`, rounded up to a page, with no byte in it.
    pub fn set_heap(&self, start: GuestAddr) {
        let start = start.page_end().map_or(self.limit, GuestAddr::get).min(self.limit);
        self.write_state().heap = (start, start);
    }

    /// Moves the end of the heap to `end` if that is possible. Returns the end afterwards, as the kernel does.
    pub fn brk(&self, end: GuestAddr) -> GuestAddr {
        let mut state = self.write_state();
        let (start, old_end) = state.heap;
        let unchanged = GuestAddr::new(old_end);
        let Some(new_top) = end.page_end().map(GuestAddr::get) else { return unchanged };
        if end.get() < start || new_top > self.limit {
            return unchanged;
        }
        let old_top = old_end.next_multiple_of(PAGE_SIZE);
        if new_top < old_top {
            let range = span(new_top, old_top);
            self.watch.changed(range);
            if state.ground.unmap(range).is_err() {
                return unchanged;
            }
        } else if new_top > old_top {
            // As the kernel, keep a page between the heap and what is above it.
            let guarded = span(old_top, (new_top + PAGE_SIZE).min(self.limit));
            let region = Region {
                range: span(old_top, new_top),
                perms: Perms::READ | Perms::WRITE,
                sharing: Sharing::Private,
                backing: Backing::Anonymous,
                name: Some(Arc::from("[heap]")),
                grows: false,
                omitted: false,
            };
            let locked = self.future_locking() == Some(Locking::AtOnce);
            let making = Making { locked, ..Making::default() };
            if !state.ground.regions().is_free(guarded) || state.ground.map(region, making, false).is_err() {
                return unchanged;
            }
        }
        state.heap.1 = end.get();
        end
    }

    /// What is mapped now, in order of addresses, for a description such as `/proc/self/maps`.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        self.read_state().ground.regions().iter().cloned().collect()
    }

    /// What is mapped in `range`, cut to it, in order.
    #[must_use]
    pub fn regions_in(&self, range: GuestRange) -> Vec<Region> {
        self.read_state().ground.regions().within(range).collect()
    }

    /// Where the heap begins and ends.
    #[must_use]
    pub fn heap(&self) -> (GuestAddr, GuestAddr) {
        let (start, end) = self.read_state().heap;
        (GuestAddr::new(start), GuestAddr::new(end))
    }

    /// The region that holds `addr`.
    #[must_use]
    pub fn region_at(&self, addr: GuestAddr) -> Option<Region> {
        self.read_state().ground.regions().get(addr).cloned()
    }

    /// Whether every byte of `range` is mapped, whatever its permissions. True of an empty range.
    #[must_use]
    pub fn is_mapped(&self, range: GuestRange) -> bool {
        self.read_state().ground.regions().holes(range).is_empty()
    }

    /// How many bytes of `range` are mapped, from the first on.
    #[must_use]
    pub fn mapped_from(&self, range: GuestRange) -> u64 {
        let hole = self.read_state().ground.regions().holes(range).first().copied();
        hole.map_or(range.len(), |hole| hole.start().get() - range.start().get())
    }

    /// Host address of guest memory that is to be handed to the host's kernel, which checks mapping and permission
    /// itself and answers `EFAULT`. Here it is only made sure that nothing but guest addresses is named.
    ///
    /// # Errors
    /// [`MemFault::Unmapped`] naming the first byte of `len` at `addr` that is no guest address.
    pub fn host_ptr(&self, addr: GuestAddr, len: u64, access: Access) -> Result<*mut u8, MemFault> {
        if addr.get().checked_add(len).is_none_or(|end| end > self.limit) {
            let addr = GuestAddr::new(addr.get().max(self.limit));
            return Err(MemFault::Unmapped { addr, access });
        }
        Ok(std::ptr::with_exposed_provenance_mut(self.base + addr.get() as usize))
    }

    /// Holds off every change of mappings and every access through the address space until the guard is dropped.
    ///
    /// For a `fork` of the process: taken before it, dropped in parent and child, the child's copy is whole.
    #[must_use]
    pub fn freeze(&self) -> Frozen<'_> {
        let state = self.write_state();
        Frozen { _watch: Box::new(self.watch.freeze()), _state: state }
    }

    /// Makes the address space that of a forked child, which is without the mappings that were to be omitted. To be called
    /// in the child.
    pub fn after_fork(&self) {
        let mut state = self.write_state();
        self.lock_future.store(0, Ordering::Relaxed);
        state.ground.forget_omitted().into_iter().for_each(|range| self.watch.changed(range));
    }

    /// As [`AddressSpace::pages`] for `mmap`, which looks at the end before it looks at the start.
    fn fixed_pages(&self, addr: GuestAddr, len: u64) -> Result<GuestRange, MemError> {
        if addr.get().checked_add(len).is_none_or(|end| end > self.limit) {
            return Err(MemError::OutOfRange { addr, len });
        }
        self.pages(addr, len)
    }

    /// The `len` bytes at `addr`, whole pages of the guest's address space.
    pub(crate) fn pages(&self, addr: GuestAddr, len: u64) -> Result<GuestRange, MemError> {
        if !addr.is_aligned(PAGE_SIZE) {
            return Err(MemError::Invalid { reason: "an address is a multiple of the page size" });
        }
        match addr.get().checked_add(len) {
            Some(end) if end <= self.limit => Ok(span(addr.get(), end)),
            _ => Err(MemError::OutOfRange { addr, len }),
        }
    }
}

impl State {
    /// Runs `make` on a gap of `len` bytes. A gap that turns out to be the host's is passed over.
    pub(crate) fn in_a_gap(
        &mut self,
        len: u64,
        guards: &[GuestRange],
        mut make: impl FnMut(&mut Ground, GuestRange) -> Result<(), MemError>,
    ) -> Result<GuestAddr, MemError> {
        loop {
            let regions = self.ground.regions();
            let mut blocked = Cow::Borrowed(guards);
            if !self.ground.foreign().is_empty() {
                blocked.to_mut().extend(self.ground.foreign());
                blocked.to_mut().sort_unstable_by_key(|range| range.start());
            }
            let addr = regions
                .gap_below(self.mmap_top, LOWEST, len, PAGE_SIZE, &blocked)
                .or_else(|| regions.gap_above(LOWEST, self.ground.limit(), len, PAGE_SIZE, &blocked))
                .ok_or(MemError::NoGap { len })?;
            let range = span(addr.get(), addr.get() + len);
            match make(&mut self.ground, range) {
                Ok(()) => return Ok(addr),
                // What is in the way is known now, and the next round looks elsewhere.
                Err(MemError::Occupied { .. })
                    if self.ground.foreign().iter().any(|foreign| foreign.overlaps(range)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Unmaps what `old_len` has more than `new_len` at `addr`. Returns the length that is left.
    fn shrink(&mut self, watch: &CodeWatch, addr: GuestAddr, old_len: u64, new_len: u64) -> Result<u64, MemError> {
        if old_len <= new_len {
            return Ok(old_len);
        }
        let tail = span(addr.get() + new_len, addr.get() + old_len);
        watch.changed(tail);
        self.ground.unmap(tail)?;
        Ok(new_len)
    }
}

/// A guard that keeps an address space as it is; see [`AddressSpace::freeze`].
#[derive(Debug)]
pub struct Frozen<'a> {
    _watch: Box<dyn std::fmt::Debug + 'a>,
    _state: RwLockWriteGuard<'a, State>,
}

/// `len` rounded up to whole pages.
pub(crate) fn whole_pages(len: u64) -> Result<u64, MemError> {
    if len == 0 {
        return Err(MemError::Invalid { reason: "a length of zero" });
    }
    len.checked_next_multiple_of(PAGE_SIZE).ok_or(MemError::OutOfRange { addr: GuestAddr::new(0), len })
}
