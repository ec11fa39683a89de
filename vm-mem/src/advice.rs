//! [`Advice`] on the use of memory, and how an address space passes it on.

use vm_core::{GuestAddr, GuestRange, PAGE_SIZE, Perms};

use crate::error::MemError;
use crate::host::advise_host;
use crate::regions::Sharing;
use crate::space::{AddressSpace, whole_pages};

macro_rules! advice {
    ($($name:ident = $number:literal, $effect:ident, $doc:literal;)*) => {
        /// Advice on the use of memory, as `madvise(2)` describes it. Advice about broken hardware, and guard pages, which
        /// would make mapped memory fault, are not listed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Advice {
            $(#[doc = $doc] $name,)*
        }

        impl Advice {
            /// Every advice.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number in `asm-generic/mman-common.h`.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            const fn effect(self) -> Effect {
                match self {
                    $(Self::$name => Effect::$effect,)*
                }
            }
        }
    };
}

/// What advice does that others can notice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing but time: it may be given for a range of which another thread unmaps a part meanwhile.
    None,
    /// Memory may hold something else afterwards.
    Contents,
    /// A forked child is without the pages.
    Omits,
    /// It is not without them any more.
    Keeps,
}

advice! {
    Normal = 0, None, "No particular use.";
    Random = 1, None, "Pages are accessed in no order.";
    Sequential = 2, None, "Pages are accessed in order.";
    WillNeed = 3, None, "Pages are touched soon.";
    DontNeed = 4, Contents, "Contents are not needed: private anonymous pages read as zeros again.";
    Free = 8, Contents, "Contents may be dropped when the host needs memory.";
    Remove = 9, Contents, "Contents and what backs them are dropped (shared mappings).";
    DontFork = 10, Omits, "A child process does not get the pages.";
    DoFork = 11, Keeps, "Undoes [`Advice::DontFork`].";
    Mergeable = 12, None, "Equal pages may be merged.";
    Unmergeable = 13, None, "Undoes [`Advice::Mergeable`].";
    HugePage = 14, None, "Large pages are welcome.";
    NoHugePage = 15, None, "Large pages are not welcome.";
    DontDump = 16, None, "A core dump is without the pages.";
    DoDump = 17, None, "Undoes [`Advice::DontDump`].";
    WipeOnFork = 18, None, "A child process gets zeros.";
    KeepOnFork = 19, None, "Undoes [`Advice::WipeOnFork`].";
    Cold = 20, None, "Pages are not used soon.";
    PageOut = 21, None, "Pages are to be swapped out.";
    PopulateRead = 22, None, "Pages are mapped as by reading them.";
    PopulateWrite = 23, None, "Pages are mapped as by writing them.";
    DontNeedLocked = 24, Contents, "As [`Advice::DontNeed`], for locked pages too.";
    Collapse = 25, None, "Pages are made large ones now.";
}

impl Advice {
    /// The advice with this number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|advice| advice.number() == number)
    }
}

impl AddressSpace {
    /// Passes advice on for the `len` bytes at `addr`, rounded up to whole pages. A length of zero is accepted.
    ///
    /// # Errors
    /// [`MemError::Invalid`] for an address within a page; [`MemError::Unmapped`] if a page is not mapped, after the
    /// mapped ones were advised; [`MemError::Host`] where the kernel refuses the advice.
    pub fn advise(&self, addr: GuestAddr, len: u64, advice: Advice) -> Result<(), MemError> {
        if !addr.is_aligned(PAGE_SIZE) {
            return Err(MemError::Invalid { reason: "madvise takes pages" });
        }
        if len == 0 {
            return Ok(());
        }
        let range = whole_pages(len).and_then(|len| self.pages(addr, len))?;
        match advice.effect() {
            Effect::None => self.advise_unlocked(range, advice),
            Effect::Contents => {
                // Accesses by other threads go on; what must not happen is that the range becomes another mapping.
                let state = self.read_state();
                self.watch.changed(range);
                state.ground.advise(range, advice)
            }
            Effect::Omits | Effect::Keeps => {
                let mut state = self.write_state();
                let result = state.ground.advise(range, advice);
                if matches!(result, Ok(()) | Err(MemError::Unmapped { .. })) {
                    state.ground.omit(range, advice.effect() == Effect::Omits);
                }
                result
            }
        }
    }

    /// Gives advice that may take long, such as to read a file, without keeping others from mapping memory.
    fn advise_unlocked(&self, range: GuestRange, advice: Advice) -> Result<(), MemError> {
        let (pieces, hole) = {
            let state = self.read_state();
            let regions = state.ground.regions();
            let pieces: Vec<GuestRange> = regions.within(range).map(|region| region.range).collect();
            (pieces, regions.holes(range).first().copied())
        };
        for piece in pieces {
            advise_host(self.view().base, piece, advice)?;
        }
        hole.map_or(Ok(()), |hole| Err(MemError::Unmapped { addr: hole.start() }))
    }

    /// Touches the pages of a new mapping (`MAP_POPULATE`), as far as that is possible.
    pub(crate) fn populate(&self, range: GuestRange, perms: Perms, sharing: Sharing) {
        let private = sharing == Sharing::Private && perms.contains(Perms::WRITE);
        let advice = if private { Advice::PopulateWrite } else { Advice::PopulateRead };
        // As the kernel: the mapping stands whether its pages could be touched or not.
        let _ = advise_host(self.view().base, range, advice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_host() {
        for (advice, number) in [
            (Advice::DontNeed, libc::MADV_DONTNEED),
            (Advice::Remove, libc::MADV_REMOVE),
            (Advice::WipeOnFork, libc::MADV_WIPEONFORK),
            (Advice::PopulateWrite, libc::MADV_POPULATE_WRITE),
        ] {
            assert_eq!((advice.number(), Advice::from_number(number)), (number, Some(advice)));
        }
        assert_eq!(Advice::from_number(100), None);
    }
}
