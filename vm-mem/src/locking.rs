//! Keeping memory from being swapped out: `mlockall(2)` and what follows from it for later mappings.

use std::sync::atomic::Ordering;

use vm_core::GuestRange;

use crate::error::MemError;
use crate::host::{lock_host, unlock_host};
use crate::regions::span;
use crate::space::AddressSpace;

/// When pages are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Locking {
    /// When they are mapped.
    AtOnce = 1,
    /// When they are first touched (`MCL_ONFAULT`).
    OnFault = 2,
}

impl AddressSpace {
    /// Locks everything that is mapped if `current`, and sets how what is mapped from now on is locked.
    ///
    /// # Errors
    /// [`MemError::Host`] with the kernel's refusal: no permission, or too much memory. Nothing is locked then.
    pub fn lock_all(&self, current: Option<Locking>, future: Option<Locking>) -> Result<(), MemError> {
        let state = self.read_state();
        if let Some(how) = current {
            let regions = || state.ground.regions().iter().map(|region| region.range);
            for range in regions() {
                let permitted = lock_host(self.view().base, range, Locking::OnFault);
                if permitted.is_err() {
                    self.unlock(regions());
                    return permitted;
                }
                if how == Locking::AtOnce {
                    // What cannot be made present, without access or behind the end of a file, is no error here.
                    let _ = lock_host(self.view().base, range, how);
                }
            }
        } else {
            // Asks for the permission.
            lock_host(self.view().base, span(0, 0), Locking::AtOnce)?;
        }
        self.lock_future.store(future.map_or(0, |how| how as u8), Ordering::Relaxed);
        Ok(())
    }

    /// Unlocks everything, now and in future.
    pub fn unlock_all(&self) {
        let state = self.read_state();
        self.lock_future.store(0, Ordering::Relaxed);
        self.unlock(state.ground.regions().iter().map(|region| region.range));
    }

    fn unlock(&self, ranges: impl Iterator<Item = GuestRange>) {
        ranges.for_each(|range| unlock_host(self.view().base, range));
    }

    /// How a new mapping is locked.
    pub(crate) fn future_locking(&self) -> Option<Locking> {
        match self.lock_future.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Locking::AtOnce),
            _ => Some(Locking::OnFault),
        }
    }
}
