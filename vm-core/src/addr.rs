//! Guest addresses and ranges of them, kept apart from host pointers and plain numbers by type.

use std::fmt;

use crate::VmError;

/// Bytes in a guest page. All three guests are run with 4 KiB pages.
pub const PAGE_SIZE: u64 = 4096;

/// A guest virtual address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct GuestAddr(u64);

impl GuestAddr {
    /// The address `raw`.
    #[inline]
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The address as a number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// This address moved by `bytes`, modulo 2^64, as guest address arithmetic is.
    #[inline]
    #[must_use]
    pub const fn offset(self, bytes: i64) -> Self {
        Self(self.0.wrapping_add_signed(bytes))
    }

    /// Distance in bytes from `origin` to this address, modulo 2^64.
    #[inline]
    #[must_use]
    pub const fn offset_from(self, origin: Self) -> i64 {
        self.0.wrapping_sub(origin.0) as i64
    }

    /// First address of the page that holds this address.
    #[must_use]
    pub const fn page_start(self) -> Self {
        Self(self.0 & !(PAGE_SIZE - 1))
    }

    /// This address rounded up to a page boundary; `None` past the last page.
    #[must_use]
    pub const fn page_end(self) -> Option<Self> {
        match self.0.checked_add(PAGE_SIZE - 1) {
            Some(up) => Some(Self(up & !(PAGE_SIZE - 1))),
            None => None,
        }
    }

    /// Whether the address is a multiple of `bytes`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, bytes: u64) -> bool {
        self.0 & (bytes - 1) == 0
    }
}

impl fmt::Display for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A half-open range `start..end` of guest addresses; `start <= end`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestRange {
    start: GuestAddr,
    end: GuestAddr,
}

impl GuestRange {
    /// The `len` bytes from `start`.
    ///
    /// # Errors
    /// [`VmError::RangeWraps`] if `start + len` exceeds 2^64 - 1.
    #[inline]
    pub const fn new(start: GuestAddr, len: u64) -> Result<Self, VmError> {
        match start.0.checked_add(len) {
            Some(end) => Ok(Self { start, end: GuestAddr(end) }),
            None => Err(VmError::RangeWraps { start, len }),
        }
    }

    /// The whole address space but its last byte.
    #[must_use]
    pub const fn everything() -> Self {
        Self { start: GuestAddr(0), end: GuestAddr(u64::MAX) }
    }

    /// First address.
    #[must_use]
    pub const fn start(self) -> GuestAddr {
        self.start
    }

    /// The address after the last.
    #[must_use]
    pub const fn end(self) -> GuestAddr {
        self.end
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.0 - self.start.0
    }

    /// Whether the range holds no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start.0 == self.end.0
    }

    /// Whether `addr` lies in the range.
    #[must_use]
    pub const fn contains(self, addr: GuestAddr) -> bool {
        self.start.0 <= addr.0 && addr.0 < self.end.0
    }

    /// Whether the two ranges share a byte.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start.0 < other.end.0 && other.start.0 < self.end.0
    }

    /// The smallest range of whole pages that holds this range, cut at the end of the address space.
    #[must_use]
    pub const fn whole_pages(self) -> Self {
        let end = match self.end.page_end() {
            Some(end) => end,
            None => GuestAddr(u64::MAX),
        };
        Self { start: self.start.page_start(), end }
    }

    /// First addresses of the pages that the range touches.
    pub fn pages(self) -> impl Iterator<Item = GuestAddr> {
        let first = self.start.0 / PAGE_SIZE;
        let last = if self.is_empty() { first } else { (self.end.0 - 1) / PAGE_SIZE + 1 };
        (first..last).map(|page| GuestAddr(page * PAGE_SIZE))
    }
}

impl fmt::Display for GuestRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start.0, self.end.0)
    }
}

impl fmt::Debug for GuestRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_refuse_to_wrap() {
        assert!(GuestRange::new(GuestAddr::new(u64::MAX), 1).is_err());
        assert!(GuestRange::new(GuestAddr::new(u64::MAX), 0).is_ok());
    }

    #[test]
    fn pages_of_a_range() {
        let range = GuestRange::new(GuestAddr::new(0x1fff), 2).unwrap();
        assert_eq!(range.pages().map(GuestAddr::get).collect::<Vec<_>>(), [0x1000, 0x2000]);
        assert_eq!(range.whole_pages().len(), 0x2000);
        let empty = GuestRange::new(GuestAddr::new(0x1fff), 0).unwrap();
        assert_eq!(empty.pages().count(), 0);
    }

    #[test]
    fn offsets_wrap_as_guest_arithmetic_does() {
        let low = GuestAddr::new(4);
        assert_eq!(low.offset(-8).get(), u64::MAX - 3);
        assert_eq!(low.offset(-8).offset_from(low), -8);
    }
}
