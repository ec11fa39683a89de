//! Mappings that grow downwards (`MAP_GROWSDOWN`): where they may grow, and what is kept free for that.
//!
//! As a kernel does it, an access below such a mapping makes it longer, however far below it is, unless the next mapping
//! below is too near or the mapping would become larger than the limit on the stack. An access is the guest's own, or one
//! that a system call makes for it ([`AddressSpace::touch`]).

use std::sync::atomic::{AtomicU64, Ordering};

use vm_core::{GuestAddr, GuestRange, Perms};

use crate::host::Making;
use crate::regions::{Region, span};
use crate::space::{AddressSpace, State};

/// Bytes below a mapping that grows in which no other is placed unasked: the kernel's `stack_guard_gap`.
const GUARD: u64 = 256 << 12;

/// Where mappings may grow, for a look without the lock.
#[derive(Debug)]
pub(crate) struct Growth {
    /// How large a mapping may become, in bytes.
    limit: AtomicU64,
    /// First address to which a mapping may have grown or may grow, and the end of the topmost mapping that grows.
    low: AtomicU64,
    top: AtomicU64,
    /// All is mapped from here to `top`; the largest number if that is not known.
    mapped: AtomicU64,
}

impl Growth {
    pub(crate) const fn new() -> Self {
        let (limit, none) = (AtomicU64::new(8 << 20), AtomicU64::new(u64::MAX));
        Self { limit, low: none, top: AtomicU64::new(0), mapped: AtomicU64::new(u64::MAX) }
    }

    /// A mapping that ends at `end` grows from now on. Called while nobody reads the state, if that is a new end.
    fn expect(&self, end: u64) {
        self.low.fetch_min(end.saturating_sub(self.limit.load(Ordering::Relaxed)), Ordering::Relaxed);
        self.top.fetch_max(end, Ordering::Relaxed);
    }

    /// Mappings are about to change.
    pub(crate) fn forget(&self) {
        self.mapped.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether a mapping may grow to `addr`.
    fn reaches(&self, addr: GuestAddr) -> bool {
        (self.low.load(Ordering::Relaxed)..self.top.load(Ordering::Relaxed)).contains(&addr.get())
    }
}

impl AddressSpace {
    /// Sets how large a mapping may grow, in bytes: the limit on the stack. 8 MiB until then.
    pub fn set_growth_limit(&self, bytes: u64) {
        self.growth.limit.store(bytes, Ordering::Relaxed);
        let state = self.write_state();
        for region in state.ground.regions().iter().filter(|region| region.grows) {
            self.growth.expect(region.range.end().get());
        }
    }

    /// Takes down that a mapping which ends at `end` grows.
    pub(crate) fn expect_growth(&self, end: GuestAddr) {
        let _alone = self.write_state();
        self.growth.expect(end.get());
    }

    /// Lets a mapping grow to `addr` if an access there made it grow: for accesses that the host's kernel makes for the
    /// guest. Does nothing where something is mapped, and where nothing can be.
    pub fn touch(&self, addr: GuestAddr) {
        if !self.growth.reaches(addr) || addr.get() >= self.growth.mapped.load(Ordering::Relaxed) {
            return;
        }
        let state = self.read_state();
        let Some(region) = state.ground.regions().get(addr) else {
            drop(state);
            self.grow(addr);
            return;
        };
        // Nobody changes mappings meanwhile, so that it is known until somebody does.
        if region.range.end().get() == self.growth.top.load(Ordering::Relaxed) {
            self.growth.mapped.store(region.range.start().get(), Ordering::Relaxed);
        }
    }

    /// The stretches below growing mappings that are kept free, in ascending order.
    pub(crate) fn guards(&self, state: &State) -> Vec<GuestRange> {
        if self.growth.top.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        state.ground.regions().growing().map(|start| span(start.saturating_sub(GUARD), start)).collect()
    }

    /// Makes a mapping grow downwards to the page that holds `addr`, if the next mapping above does. Says whether the
    /// page is mapped then.
    pub(crate) fn grow(&self, addr: GuestAddr) -> bool {
        if !self.growth.reaches(addr) {
            return false;
        }
        let mut state = self.write_state();
        let regions = state.ground.regions();
        if regions.get(addr).is_some() {
            return true;
        }
        let start = addr.page_start();
        let Some(above) = regions.above(start).filter(|region| region.grows) else { return false };
        let limit = self.growth.limit.load(Ordering::Relaxed);
        // A neighbour that grows itself, or that nobody can access, needs no guard.
        let crowded = regions.below(start).is_some_and(|below| {
            !below.grows && below.perms != Perms::NONE && start.get() - below.range.end().get() < GUARD
        });
        if crowded || above.range.end().get() - start.get() > limit {
            return false;
        }
        let region = Region { range: span(start.get(), above.range.start().get()), ..above.clone() };
        state.ground.map(region, Making { noreserve: true, ..Making::default() }, false).is_ok()
    }
}
