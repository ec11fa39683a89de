//! How many regions there may be: the host counts a process's mappings, and the emulator needs some of its own.

use std::sync::OnceLock;

use rustix::io::Errno;
use vm_core::{GuestRange, Perms};

use super::{Ground, refused};
use crate::error::MemError;
use crate::regions::Region;

/// The usual limit of kernels (`DEFAULT_MAX_MAP_COUNT`).
const USUAL: usize = 65_530;
/// Mappings that are kept for the emulator: stacks of threads, memory for code and for its own data. Of low limits, a tenth.
const KEPT: usize = 1000;

/// The most regions of an address space.
pub(super) fn most_regions(is_reserved: bool) -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    let limit = *LIMIT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        text.trim().parse().unwrap_or(USUAL)
    });
    let guests = limit - KEPT.min(limit / 10);
    // What is between regions of a reservation is a mapping too.
    if is_reserved { guests / 2 } else { guests }
}

impl Ground {
    fn check_room(&self, call: &'static str, is_one_more: impl FnOnce() -> bool) -> Result<(), MemError> {
        match self.regions.len() >= self.most_regions && is_one_more() {
            true => Err(refused(call, Errno::NOMEM)),
            false => Ok(()),
        }
    }

    /// Refuses what would make `region`, if there are too many, it is not one with another and replaces none.
    pub(super) fn check_room_for(&self, region: &Region, call: &'static str) -> Result<(), MemError> {
        let is_replaced =
            |other: &Region| region.range.start() <= other.range.start() && other.range.end() <= region.range.end();
        self.check_room(call, || !self.regions.joins(region) && !self.regions.touching(region.range).any(is_replaced))
    }

    /// Refuses to give `part` of a region other permissions, if that would make it a region of its own.
    pub(super) fn check_room_for_part(&self, part: &Region, perms: Perms, call: &'static str) -> Result<(), MemError> {
        self.check_room(call, || {
            let whole = self.regions.get(part.range.start());
            let is_split = whole.is_some_and(|whole| whole.perms != perms && whole.range != part.range);
            is_split && !self.regions.joins(&Region { perms, ..part.clone() })
        })
    }

    /// Refuses what would make two regions of one by removing `range`.
    pub(super) fn check_room_without(&self, range: GuestRange, call: &'static str) -> Result<(), MemError> {
        self.check_room(call, || {
            let whole = self.regions.get(range.start());
            whole.is_some_and(|whole| whole.range.start() < range.start() && range.end() < whole.range.end())
        })
    }
}

#[cfg(test)]
mod tests {
    use vm_core::{GuestAddr, PAGE_SIZE, Perms};

    use crate::{AddressSpace, MapRequest, Place, Placement};

    /// What would make more regions is refused, and nothing else.
    #[test]
    fn full_address_spaces_refuse_more_regions() {
        const BOTH: Perms = Perms::READ.union(Perms::WRITE);
        let errno = |error: crate::MemError| error.errno();
        for placement in [Placement::Direct, Placement::Reserved { size: 1 << 24 }] {
            let space = AddressSpace::new(placement).unwrap();
            let at = space.map(MapRequest::anonymous(16 * PAGE_SIZE, BOTH)).unwrap();
            let page = |index: i64| at.offset(index * PAGE_SIZE as i64);
            let map = |addr: GuestAddr, perms| {
                space.map(MapRequest::anonymous(PAGE_SIZE, perms).at(Place::Fixed(addr))).map(drop).map_err(errno)
            };
            space.unmap(page(12), 4 * PAGE_SIZE).unwrap();
            space.protect(page(0), PAGE_SIZE, Perms::READ).unwrap();
            space.write_state().ground.most_regions = 2;

            assert_eq!(space.protect(page(4), PAGE_SIZE, Perms::READ).map_err(errno), Err(libc::ENOMEM));
            assert_eq!(space.unmap(page(4), PAGE_SIZE).map_err(errno), Err(libc::ENOMEM));
            assert_eq!(map(page(14), BOTH), Err(libc::ENOMEM));
            assert_eq!(map(page(12), Perms::READ), Err(libc::ENOMEM));
            assert_eq!(space.regions().len(), 2);
            // Where it only moves a border, or there are fewer afterwards.
            assert_eq!(map(page(12), BOTH), Ok(()));
            assert_eq!(map(page(0), Perms::NONE), Ok(()));
            space.protect(page(0), PAGE_SIZE, Perms::READ).unwrap();
            space.protect(page(1), PAGE_SIZE, Perms::READ).unwrap();
            space.unmap(page(11), 2 * PAGE_SIZE).unwrap();
            space.unmap(page(0), 2 * PAGE_SIZE).unwrap();
            assert_eq!(map(page(14), BOTH), Ok(()));
        }
    }
}
