//! Attaching and detaching segments of System V shared memory.

use std::sync::Arc;

use vm_core::{GuestAddr, PAGE_SIZE, Perms};

use crate::error::MemError;
use crate::host::shm;
use crate::regions::{Backing, FileIdentity, Region, Sharing, span};
use crate::space::{AddressSpace, Place};

/// What the name of a segment begins with, as `/proc/PID/maps` shows it.
const NAME: &str = "/SYSV";

impl AddressSpace {
    /// Maps the host's System V segment `id` with these permissions. Returns where it is.
    ///
    /// A hint is taken as [`Place::FixedNoReplace`], as `shmat(2)` does.
    ///
    /// # Errors
    /// [`MemError::Host`] with the kernel's refusal (no such segment, no permission), and as [`AddressSpace::map`].
    pub fn attach(&self, id: i32, place: Place, perms: Perms) -> Result<GuestAddr, MemError> {
        let segment = shm::segment(id)?;
        let len = segment.size.checked_next_multiple_of(PAGE_SIZE).filter(|len| *len > 0);
        let len = len.ok_or(MemError::Invalid { reason: "a segment of no size" })?;
        let file = FileIdentity {
            path: format!("{NAME}{:08x} (deleted)", segment.key).into(),
            // The kernel shows the segment's number as its inode.
            device: 1,
            inode: id as u64,
        };
        let backing = Backing::File { file: Arc::new(file), offset: 0 };
        let region = |range| Region {
            range,
            perms,
            sharing: Sharing::Shared,
            backing: backing.clone(),
            name: None,
            grows: false,
            omitted: false,
        };
        let mut state = self.write_state();
        let (addr, replace) = match place {
            Place::Any => {
                let guards = self.guards(&state);
                return state.in_a_gap(len, &guards, |ground, range| ground.attach(region(range), id, false));
            }
            Place::Hint(addr) | Place::FixedNoReplace(addr) => (addr, false),
            Place::Fixed(addr) => (addr, true),
        };
        let range = self.pages(addr, len)?;
        self.watch.changed(range);
        state.ground.attach(region(range), id, replace).map(|()| addr)
    }

    /// Unmaps what is left of the segment that was attached at `addr`.
    ///
    /// # Errors
    /// [`MemError::Invalid`] if none was.
    pub fn detach(&self, addr: GuestAddr) -> Result<(), MemError> {
        let mut state = self.write_state();
        let attached = |region: &Region| match &region.backing {
            Backing::File { file, offset }
                if file.path.to_str().is_some_and(|path| path.starts_with(NAME))
                    && region.range.start().get().checked_sub(addr.get()) == Some(*offset) =>
            {
                Some(Arc::clone(file))
            }
            Backing::File { .. } | Backing::Anonymous => None,
        };
        let from = span(addr.get(), self.limit().get().max(addr.get()));
        let mut pieces = state.ground.regions().within(from).filter_map(|region| Some((attached(&region)?, region)));
        let (file, first) = pieces.next().ok_or(MemError::Invalid { reason: "no segment is attached there" })?;
        let mut ranges = vec![first.range];
        ranges.extend(pieces.filter(|(other, _)| *other == file).map(|(_, region)| region.range));
        for range in ranges {
            self.watch.changed(range);
            state.ground.unmap(range)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vm_core::GuestMemory;

    use super::*;
    use crate::{MapRequest, Placement};

    /// A segment of the test's own, gone when it is dropped.
    struct Segment(i32);

    impl Segment {
        #[allow(unsafe_code, reason = "there is no other way to ask the kernel for a segment")]
        fn new(size: usize) -> Self {
            // SAFETY: a plain system call.
            let id = unsafe { libc::shmget(libc::IPC_PRIVATE, size, 0o600) };
            assert!(id >= 0);
            Self(id)
        }
    }

    impl Drop for Segment {
        #[allow(unsafe_code, reason = "as above")]
        fn drop(&mut self) {
            // SAFETY: this command takes no buffer.
            unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }

    #[test]
    fn a_segment_is_one_memory_at_two_addresses() {
        for placement in [Placement::Direct, Placement::Reserved { size: 1 << 24 }] {
            let space = AddressSpace::new(placement).unwrap();
            let segment = Segment::new(5000);
            let both = Perms::READ | Perms::WRITE;
            let first = space.attach(segment.0, Place::Any, both).unwrap();
            let second = space.attach(segment.0, Place::Any, Perms::READ).unwrap();
            space.write(first, b"shared").unwrap();
            let mut seen = [0; 6];
            space.read(second, &mut seen).unwrap();
            assert_eq!(&seen, b"shared");
            assert!(space.write(second, b"x").is_err());
            assert_eq!(space.region_at(first).unwrap().range.len(), 8192);
            assert!(matches!(
                space.attach(segment.0, Place::FixedNoReplace(first), both),
                Err(MemError::Exists { .. })
            ));
            space.unmap(first, 4096).unwrap();
            space.detach(first).unwrap();
            assert!(space.region_at(first.offset(4096)).is_none());
            assert!(space.detach(first).is_err());
            space.detach(second).unwrap();
            // In place of another mapping, and of nothing.
            let page = space.map(MapRequest::anonymous(8192, both)).unwrap();
            space.unmap(page.offset(4096), 4096).unwrap();
            space.attach(segment.0, Place::Fixed(page), both).unwrap();
            space.read(page, &mut seen).unwrap();
            assert_eq!(&seen, b"shared");
            assert!(matches!(space.attach(-1, Place::Any, both), Err(MemError::Host { errno: libc::EINVAL, .. })));
        }
    }
}
