//! Mappings that grow downwards (`MAP_GROWSDOWN`): where they may grow, and what is kept free for that.
//!
//! As a kernel does it, an access below such a mapping makes it longer, however far below it is, unless the next mapping
//! below is too near or the mapping would become larger than the limit on the stack.

use std::sync::atomic::Ordering;

use vm_core::{GuestAddr, GuestRange, Perms};

use crate::host::Making;
use crate::regions::{Region, span};
use crate::space::{AddressSpace, State};

/// Bytes below a mapping that grows in which no other is placed unasked: the kernel's `stack_guard_gap`.
const GUARD: u64 = 256 << 12;

impl AddressSpace {
    /// Sets how large a mapping may grow, in bytes: the limit on the stack. 8 MiB until then.
    pub fn set_growth_limit(&self, bytes: u64) {
        self.growth_limit.store(bytes, Ordering::Relaxed);
    }

    /// The stretches below growing mappings that are kept free, in ascending order.
    pub(crate) fn guards(&self, state: &State) -> Vec<GuestRange> {
        if !self.any_grows.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let growing = state.ground.regions().iter().filter(|region| region.grows);
        growing.map(|region| region.range.start().get()).map(|start| span(start.saturating_sub(GUARD), start)).collect()
    }

    /// Makes a mapping grow downwards to the page that holds `addr`, if the next mapping above does. Says whether the
    /// page is mapped then.
    pub(crate) fn grow(&self, addr: GuestAddr) -> bool {
        if !self.any_grows.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.write_state();
        let regions = state.ground.regions();
        if regions.get(addr).is_some() {
            return true;
        }
        let start = addr.page_start();
        let Some(above) = regions.above(start).filter(|region| region.grows) else { return false };
        let limit = self.growth_limit.load(Ordering::Relaxed);
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
