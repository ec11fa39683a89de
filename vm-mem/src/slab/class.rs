//! Size classes: which sizes are served, and how the slabs of each are cut.

use std::alloc::Layout;
use std::fmt;

/// The largest size that slabs serve, in bytes.
pub const MAX_SIZE: usize = 8192;

/// The most classes that a scheme has.
pub(super) const MAX_CLASSES: usize = 64;

/// The unit of metadata: there is one slab record for this many bytes, found by shifting.
pub(super) const GRANULE_SHIFT: u32 = 16;

/// Which sizes there are, chosen when an allocator is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// The 11 powers of two from 8 to 8192 bytes. Up to half of an object is waste (49.9 % for 4097 bytes), a quarter of
    /// it if all sizes are equally frequent.
    #[default]
    PowersOfTwo,
    /// 64 classes: every multiple of 8 up to 64 bytes, and above it 8 steps for each doubling. Above 64 bytes at most
    /// 12.5 % of the size asked for is waste within an object.
    Fine,
}

/// One of the sizes that objects have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeClass(u16);

impl SizeClass {
    /// The classes of [`Scheme::PowersOfTwo`].
    pub const POWERS_OF_TWO: [SizeClass; 11] = powers();
    /// The classes of [`Scheme::Fine`].
    pub const FINE: [SizeClass; 64] = fine();

    /// The size of its objects in bytes, 8 to 8192.
    #[must_use]
    pub const fn size(self) -> usize {
        self.0 as usize
    }

    /// The size of its slabs in bytes: the smallest of 64, 128 and 256 KiB that holds at least 16 objects and leaves less
    /// than 1/64 of itself over, or the one that leaves least.
    #[must_use]
    pub const fn slab_size(self) -> usize {
        let size = self.size();
        let (mut best, mut rest) = (0, usize::MAX);
        let mut granules = 1;
        while granules <= 4 {
            let slab = granules << GRANULE_SHIFT;
            // In 256ths of the slab, so that slabs of different sizes are comparable.
            let left = slab % size * 4 / granules;
            if slab / size >= 16 && left < rest {
                (best, rest) = (slab, left);
                if slab % size * 64 < slab {
                    break;
                }
            }
            granules *= 2;
        }
        best
    }

    /// How many objects a slab has, 16 or more.
    #[must_use]
    pub const fn objects_per_slab(self) -> usize {
        self.slab_size() / self.size()
    }
}

impl fmt::Debug for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SizeClass({})", self.0)
    }
}

impl fmt::Display for SizeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

const fn powers() -> [SizeClass; 11] {
    let mut classes = [SizeClass(0); 11];
    let mut number = 0;
    while number < 11 {
        classes[number] = SizeClass(8 << number);
        number += 1;
    }
    classes
}

const fn fine() -> [SizeClass; 64] {
    let mut classes = [SizeClass(0); 64];
    let (mut number, mut size, mut step) = (0, 0, 8);
    while number < 64 {
        if size >= 16 * step {
            step *= 2;
        }
        size += step;
        classes[number] = SizeClass(size);
        number += 1;
    }
    classes
}

impl Scheme {
    /// Its classes, smallest first.
    #[must_use]
    pub fn classes(self) -> &'static [SizeClass] {
        match self {
            Scheme::PowersOfTwo => &SizeClass::POWERS_OF_TWO,
            Scheme::Fine => &SizeClass::FINE,
        }
    }

    /// The class of a layout: the smallest whose objects are large enough and aligned. A size of 0 counts as 1. `None` if
    /// size or alignment exceed 8192 bytes.
    ///
    /// Slabs are aligned to their granule and objects lie at multiples of their size, so an object is aligned to every
    /// power of two that divides its size.
    #[must_use]
    pub fn class_of(self, layout: Layout) -> Option<SizeClass> {
        let padded = padded(layout);
        let classes = self.classes();
        classes.get(classes.partition_point(|class| class.size() < padded)).copied()
    }
}

/// The size of a layout rounded up to a multiple of its alignment. The smallest class of at least this size is aligned as
/// the layout asks: steps between classes are powers of two, so a class either is this size or a multiple of a larger step.
#[inline(always)]
pub(super) const fn padded(layout: Layout) -> usize {
    let mask = layout.align() - 1;
    let size = if layout.size() == 0 { 1 } else { layout.size() };
    (size + mask) & !mask
}

/// How the slabs of a class are cut, in the form in which it is computed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bytes an object.
    pub(super) size: u32,
    /// Bytes a slab, a power of two.
    pub(super) slab: u32,
    /// Objects a slab.
    pub(super) count: u32,
    /// Words of a slab's bitmap.
    pub(super) words: u32,
    /// 2^64 divided by the size, rounded up: tells multiples.
    pub(super) magic: u64,
    /// 2^32 divided by the size, rounded up: divides offsets within a slab.
    reciprocal: u64,
    /// Objects below 64 bytes carry the mark of a free object themselves; for others a byte of their own lies out of line.
    pub(super) marked: bool,
    /// The byte that tells about an address is found by shifting its offset so far.
    pub(super) shift: u32,
    /// Objects that a magazine holds at most.
    pub(super) magazine: u32,
    /// Objects that a depot holds at most.
    pub(super) depot: u32,
}

/// Bytes that a magazine holds at most, objects permitting.
const MAGAZINE_BYTES: u32 = 64 << 10;
/// The most objects of a magazine.
pub(super) const MAGAZINE: u32 = 512;
/// Bytes that a depot holds at most.
const DEPOT_BYTES: u32 = 2 << 20;

impl Shape {
    pub(super) fn of(class: SizeClass) -> Shape {
        let size = class.size() as u32;
        let count = class.objects_per_slab() as u32;
        let marked = size < 64;
        Shape {
            size,
            slab: class.slab_size() as u32,
            count,
            words: count.div_ceil(64),
            magic: u64::MAX / u64::from(size) + 1,
            reciprocal: (1u64 << 32).div_ceil(u64::from(size)),
            marked,
            shift: if marked { GRANULE_SHIFT } else { size.ilog2() },
            magazine: (MAGAZINE_BYTES / size).clamp(16, MAGAZINE),
            depot: DEPOT_BYTES / size,
        }
    }

    /// The number of the object that the offset within a slab is in, or the next one behind it.
    #[inline(always)]
    pub(super) fn number(&self, offset: u32) -> u32 {
        ((u64::from(offset) * self.reciprocal) >> 32) as u32
    }
}

/// Whether `offset` is a multiple of the size that `magic` was made of (Lemire, Kaser, Kurz: "Faster remainder by direct
/// computation", 2019: the product is the remainder in 64 bits behind the point).
#[inline(always)]
pub(super) const fn is_multiple(offset: u32, magic: u64) -> bool {
    (offset as u64).wrapping_mul(magic) < magic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_that_are_documented() {
        assert_eq!(
            SizeClass::POWERS_OF_TWO.map(SizeClass::size),
            [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
        );
        let fine = SizeClass::FINE.map(SizeClass::size);
        assert_eq!(fine[..10], [8, 16, 24, 32, 40, 48, 56, 64, 72, 80]);
        assert_eq!(fine[15..18], [128, 144, 160]);
        assert_eq!(fine[60..], [6656, 7168, 7680, 8192]);
    }

    #[test]
    fn every_slab_has_16_objects_and_little_left_over() {
        for class in SizeClass::POWERS_OF_TWO.into_iter().chain(SizeClass::FINE) {
            assert!(class.objects_per_slab() >= 16, "{class}");
            let rest = class.slab_size() - class.objects_per_slab() * class.size();
            assert!(rest * 40 <= class.slab_size(), "{class}: {rest} of {}", class.slab_size());
        }
    }

    #[test]
    fn waste_is_what_the_schemes_say() {
        for size in 1..=MAX_SIZE {
            let layout = Layout::from_size_align(size, 1).unwrap();
            let fine = Scheme::Fine.class_of(layout).unwrap().size();
            assert!(fine >= size);
            assert!(size <= 64 || (fine - size) * 8 <= size, "{size} in {fine}");
            let power = Scheme::PowersOfTwo.class_of(layout).unwrap().size();
            assert_eq!(power, size.next_power_of_two().max(8));
        }
    }

    #[test]
    fn classes_are_aligned_as_layouts_ask() {
        for scheme in [Scheme::PowersOfTwo, Scheme::Fine] {
            for size in 0..=MAX_SIZE {
                for align in (0..=13).map(|bit| 1 << bit) {
                    let layout = Layout::from_size_align(size, align).unwrap();
                    let class = scheme.class_of(layout).unwrap();
                    assert!(class.size() >= size && class.size() % align == 0, "{layout:?} in {class}");
                }
            }
            assert_eq!(scheme.class_of(Layout::from_size_align(8193, 1).unwrap()), None);
            assert_eq!(scheme.class_of(Layout::from_size_align(1, 16384).unwrap()), None);
        }
    }

    #[test]
    fn numbers_are_those_of_division() {
        for class in SizeClass::POWERS_OF_TWO.into_iter().chain(SizeClass::FINE) {
            let shape = Shape::of(class);
            for offset in 0..shape.slab {
                assert_eq!(shape.number(offset), offset / shape.size, "{offset} of {class}");
                assert_eq!(is_multiple(offset, shape.magic), offset % shape.size == 0, "{offset} of {class}");
            }
        }
    }
}
