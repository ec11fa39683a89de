//! [`Body`]: what every pass through a block touches, its [`Head`] and behind it its ops, in one stretch of memory. Behind
//! the ops is what belongs to the block and is seldom looked at: where its ways lead, its guest bytes, and marks.
//!
//! Blocks are linked by the addresses of their bodies, so that the way from the last op of one to the first of the next
//! is one load. Links hold between blocks of one [`Tier0Cache`](super::table::Tier0Cache), which neither moves nor drops
//! a block while it lives.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use super::block::BlockId;
use super::op::{Code, Cursor};
use vm_core::GuestAddr;

/// What leads to a block: nothing yet, or the body of the block. Also remembers whether it was ever wanted.
#[derive(Debug)]
pub(super) struct Way(AtomicPtr<Head>);

impl Way {
    /// In place of a block: it was wanted and is not known.
    const WANTED: *mut Head = ptr::without_provenance_mut(1);

    /// A way that has not been taken.
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The block there, once it is known.
    #[inline(always)]
    pub(super) fn block(&self) -> Option<BodyRef<'_>> {
        let head = self.0.load(Ordering::Acquire);
        if head.addr() <= Self::WANTED.addr() {
            return None;
        }
        // Not null and not the mark, so `set` wrote it, whose caller keeps the body for as long as the way, which is
        // borrowed here.
        NonNull::new(head).map(|head| BodyRef { head, body: PhantomData })
    }

    /// Whether the way has ever been taken.
    pub(super) fn taken(&self) -> bool {
        !self.0.load(Ordering::Relaxed).is_null()
    }

    /// Notes that the way was taken.
    pub(super) fn take(&self) {
        // Fails if somebody was first, or linked it.
        let _ = self.0.compare_exchange(ptr::null_mut(), Self::WANTED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Makes the way lead to `body`.
    ///
    /// # Safety
    /// `body` stays for at least as long as the way.
    pub(super) unsafe fn set(&self, body: BodyRef<'_>) {
        self.0.store(body.head.as_ptr(), Ordering::Release);
    }

    /// Forgets where the way leads.
    pub(super) fn clear(&self) {
        self.0.store(Self::WANTED, Ordering::Release);
    }
}

/// A way out from the middle of a block.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) target: GuestAddr,
    pub(super) way: Way,
}

/// Ways out that a block's end may have.
pub(super) const END_WAYS: usize = 2;

/// The part of a block that every pass through it touches.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Head {
    /// Generation of guest code in which the bytes were last compared.
    generation: AtomicU32,
    /// Entries left before the hotspot detector looks at the block again. Threads race on it: entries may be lost.
    entries: AtomicU32,
    /// Number of guest instructions.
    guest_len: u32,
    /// Number of the block in its cache.
    id: BlockId,
    /// Ways out at the end: of a branch taken, then not taken; of a computed end the first leads to a frequent target.
    pub(super) ways: [Way; END_WAYS],
    /// Address of the block.
    pub(super) pc: u64,
    /// How often a computed end went where its way leads. Threads race on it too.
    pub(super) hits: AtomicU32,
    /// Retired: nothing leads here any more.
    dead: AtomicBool,
    /// Number of fixed ways out at the end.
    ends: u8,
}

// So that the ops follow without a gap, and head and first op share a line of the host's cache.
const _: () = assert!(size_of::<Head>() == 48 && align_of::<Head>() >= align_of::<Code>());

impl Head {
    /// Number of guest instructions.
    #[inline(always)]
    pub(super) const fn guest_len(&self) -> u32 {
        self.guest_len
    }

    /// Number of the block in its cache.
    pub(super) const fn id(&self) -> BlockId {
        self.id
    }

    /// Counts an entry in `generation` as `weight` entries. False if the block needs a look first: its bytes were last
    /// compared in another generation, or its count has run out.
    #[inline(always)]
    pub(super) fn enter(&self, generation: u32, weight: u32) -> bool {
        if self.generation.load(Ordering::Relaxed) != generation {
            return false;
        }
        let Some(left) = self.entries.load(Ordering::Relaxed).checked_sub(weight) else { return false };
        self.entries.store(left, Ordering::Relaxed);
        true
    }

    /// Whether it may be entered in `generation` without a look.
    pub(super) fn is_enterable(&self, generation: u32) -> bool {
        let (compared, left) = self.entry();
        compared == generation && left > 0
    }

    /// Generation in which the bytes were last compared, and entries left.
    pub(super) fn entry(&self) -> (u32, u32) {
        (self.generation.load(Ordering::Relaxed), self.entries.load(Ordering::Relaxed))
    }

    /// Allows `left` entries in `generation` before the next look.
    pub(super) fn allow(&self, generation: u32, left: u32) {
        self.entries.store(left, Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
    }

    /// Whether the block was retired.
    #[inline(always)]
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }
}

/// A head and ops, of which the last is an end. Behind an op that stands for two is the second of them.
pub(super) struct Body {
    head: NonNull<Head>,
    lens: Lens,
}

/// How much is behind the head of a body.
#[derive(Clone, Copy)]
struct Lens {
    ops: u16,
    sides: u16,
    bytes: u16,
    marks: u16,
}

/// What is behind the head of a body.
#[derive(Clone, Copy)]
pub(super) struct Behind<'a> {
    /// The ops.
    pub(super) codes: &'a [Code],
    /// Where the ways of the end lead, at most [`END_WAYS`].
    pub(super) ends: &'a [GuestAddr],
    /// Where the ways out from the middle lead.
    pub(super) sides: &'a [GuestAddr],
    /// The guest bytes.
    pub(super) bytes: &'a [u8],
    /// Bytes that mean nothing here.
    pub(super) marks: &'a [u8],
}

/// Offsets in the memory of a body, and its size.
struct Place {
    ends: usize,
    sides: usize,
    bytes: usize,
    marks: usize,
    size: usize,
}

// So that what follows one another is aligned.
const _: () = {
    assert!(align_of::<Code>() == align_of::<GuestAddr>() && align_of::<GuestAddr>() == align_of::<Side>());
    assert!(align_of::<Head>() >= align_of::<Side>());
    assert!(size_of::<Code>().is_multiple_of(align_of::<Side>()));
    assert!(size_of::<Head>().is_multiple_of(align_of::<Side>()));
};

impl Lens {
    /// Where the parts of a body with `ends` fixed ways at its end are.
    #[inline]
    const fn place(self, ends: usize) -> Place {
        let behind_ops = size_of::<Head>() + self.ops as usize * size_of::<Code>();
        let sides = behind_ops + ends * size_of::<GuestAddr>();
        let bytes = sides + self.sides as usize * size_of::<Side>();
        let marks = bytes + self.bytes as usize;
        Place { ends: behind_ops, sides, bytes, marks, size: marks + self.marks as usize }
    }
}

impl Place {
    fn layout(&self) -> Layout {
        Layout::from_size_align(self.size, align_of::<Head>()).expect("a block is small")
    }
}

// SAFETY: it owns what is behind the pointer, of which head and ways may be shared, and the rest is never written.
unsafe impl Send for Body {}
// SAFETY: as above.
unsafe impl Sync for Body {}

impl Body {
    /// A body of a block of `guest_len` instructions at `pc`.
    ///
    /// # Panics
    /// If the last op is no end, an op that stands for two is not before the second of them, or something is longer than
    /// blocks of [`BlockSource`](vm_ir::BlockSource) are.
    pub(super) fn new(pc: u64, guest_len: u32, behind: Behind<'_>) -> Self {
        let Behind { codes, ends, sides, bytes, marks } = behind;
        assert!(codes.last().is_some_and(|last| last.op().is_end()), "the last op is no end: {codes:?}");
        for pair in codes.windows(2) {
            if let Some(second) = pair[0].op().second() {
                assert_eq!(pair[1].op(), second, "behind {:?}", pair[0]);
            }
        }
        assert!(ends.len() <= END_WAYS, "an end has at most two fixed ways");
        let short = |len: usize| u16::try_from(len).expect("a block is small");
        let value = Head {
            generation: AtomicU32::new(0),
            entries: AtomicU32::new(0),
            guest_len,
            id: BlockId::NONE,
            ways: [const { Way::new() }; END_WAYS],
            pc,
            hits: AtomicU32::new(0),
            dead: AtomicBool::new(false),
            ends: ends.len() as u8,
        };
        let lens = Lens {
            ops: short(codes.len()),
            sides: short(sides.len()),
            bytes: short(bytes.len()),
            marks: short(marks.len()),
        };
        let place = lens.place(ends.len());
        let layout = place.layout();
        // SAFETY: the layout is that of a head, which is not empty, and what is behind it at its offsets; all of it is
        // written before anything reads it.
        let head = unsafe {
            let Some(start) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            let head = start.cast::<Head>();
            head.write(value);
            head.add(1).cast::<Code>().copy_from_nonoverlapping(NonNull::from(codes).cast(), codes.len());
            start.add(place.ends).cast::<GuestAddr>().copy_from_nonoverlapping(NonNull::from(ends).cast(), ends.len());
            for (index, &target) in sides.iter().enumerate() {
                start.add(place.sides).cast::<Side>().add(index).write(Side { target, way: Way::new() });
            }
            start.add(place.bytes).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            start.add(place.marks).copy_from_nonoverlapping(NonNull::from(marks).cast(), marks.len());
            head
        };
        Self { head, lens }
    }

    /// Where the body's own parts are.
    #[inline]
    fn own_place(&self) -> Place {
        self.lens.place(usize::from(self.ends))
    }

    /// Where the ways of the end lead.
    pub(super) fn targets(&self) -> &[GuestAddr] {
        let start = self.head.cast::<u8>();
        // SAFETY: `new` wrote as many there, and they are not written again.
        unsafe { slice::from_raw_parts(start.add(self.own_place().ends).cast().as_ptr(), usize::from(self.ends)) }
    }

    /// The ways out from the middle.
    pub(super) fn sides(&self) -> &[Side] {
        let start = self.head.cast::<u8>();
        // SAFETY: `new` wrote as many there; their ways are changed as atomics.
        unsafe {
            slice::from_raw_parts(start.add(self.own_place().sides).cast().as_ptr(), usize::from(self.lens.sides))
        }
    }

    /// The guest bytes.
    #[inline]
    pub(super) fn guest_bytes(&self) -> &[u8] {
        let start = self.head.cast::<u8>();
        // SAFETY: `new` wrote as many there, and they are not written again.
        unsafe { slice::from_raw_parts(start.add(self.own_place().bytes).as_ptr(), usize::from(self.lens.bytes)) }
    }

    /// The marks.
    pub(super) fn marks(&self) -> &[u8] {
        let start = self.head.cast::<u8>();
        // SAFETY: as above.
        unsafe { slice::from_raw_parts(start.add(self.own_place().marks).as_ptr(), usize::from(self.lens.marks)) }
    }

    /// Gives the block its number.
    pub(super) fn set_id(&mut self, id: BlockId) {
        // SAFETY: `&mut self` excludes every other access.
        unsafe { self.head.as_mut() }.id = id;
    }

    /// The body for whoever runs it.
    #[inline(always)]
    pub(super) const fn get(&self) -> BodyRef<'_> {
        BodyRef { head: self.head, body: PhantomData }
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        self.own_place().size
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it so, and nothing in it needs to be dropped.
        unsafe { dealloc(self.head.as_ptr().cast(), self.own_place().layout()) };
    }
}

impl Deref for Body {
    type Target = Head;

    fn deref(&self) -> &Head {
        // SAFETY: it is there until the body is dropped, and only `set_id` borrows it mutably.
        unsafe { self.head.as_ref() }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("head", &**self).field("ops", &self.lens.ops).finish()
    }
}

/// A borrowed [`Body`], as one address.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct BodyRef<'a> {
    head: NonNull<Head>,
    body: PhantomData<&'a Body>,
}

impl<'a> BodyRef<'a> {
    /// The head.
    #[inline(always)]
    pub(super) const fn head(self) -> &'a Head {
        // SAFETY: a body is borrowed for `'a`.
        unsafe { self.head.as_ref() }
    }

    /// Number of the block in its cache.
    pub(crate) const fn id(self) -> BlockId {
        self.head().id()
    }

    /// Counts an entry; see [`Head::enter`]. A block that [is enterable](Self::is_enterable) is entered, however much that
    /// counts: a look would give entries to one that may have compiled code.
    pub(crate) fn enter(self, generation: u32, weight: u32) -> bool {
        let (_, left) = self.entry();
        self.head().enter(generation, weight.min(left).max(1))
    }

    /// Whether the block may be entered in `generation` without a look.
    pub(crate) fn is_enterable(self, generation: u32) -> bool {
        self.head().is_enterable(generation)
    }

    /// Whether the block was retired.
    pub(crate) fn is_dead(self) -> bool {
        self.head().is_dead()
    }

    /// Generation in which the bytes were last compared, and entries left.
    pub(crate) fn entry(self) -> (u32, u32) {
        self.head().entry()
    }

    /// The first op.
    #[inline(always)]
    pub(super) const fn start(self) -> Cursor<'a> {
        // SAFETY: `Body::new` put ops behind the head, of which the last is an end.
        unsafe { Cursor::new(self.head.add(1).cast()) }
    }

    /// Index of the op at `cursor`, which is one of these.
    pub(super) fn index(self, cursor: Cursor<'_>) -> usize {
        (cursor.addr() - self.start().addr()) / size_of::<Code>()
    }

    /// Whether it is `body`.
    pub(super) fn is(self, body: &Body) -> bool {
        self.head == body.head
    }

    /// The address, to be kept where no borrow can be.
    pub(super) const fn into_raw(self) -> *const Head {
        self.head.as_ptr()
    }

    /// The body at an address; `None` for null.
    ///
    /// # Safety
    /// [`BodyRef::into_raw`] gave the address, and the body stays for `'a`.
    #[inline(always)]
    pub(super) unsafe fn from_raw(head: *const Head) -> Option<Self> {
        NonNull::new(head.cast_mut()).map(|head| Self { head, body: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interp::code::Opcode;

    fn of(codes: &[Code]) -> Body {
        Body::new(0, 1, Behind { codes, ends: &[], sides: &[], bytes: &[], marks: &[] })
    }

    fn empty() -> Body {
        of(&[Code::new(Opcode::Jump, 0, 0, 0, 0)])
    }

    #[test]
    fn an_entry_needs_the_generation_and_the_count() {
        let body = empty();
        body.allow(7, 3);
        assert!(!body.enter(6, 1) && !body.enter(8, 1));
        assert!(body.enter(7, 2));
        assert!(!body.enter(7, 2), "one is left");
        assert!(body.enter(7, 1));
        assert!(!body.enter(7, 1) && !body.enter(6, 1));
        assert_eq!(body.entry(), (7, 0));
        body.allow(u32::MAX, u32::MAX);
        assert!(body.enter(u32::MAX, 2) && !body.enter(0, 1));
    }

    #[test]
    fn what_is_enterable_may_be_entered_whatever_that_counts() {
        let body = empty();
        body.allow(7, 5);
        let body = body.get();
        for (left, enterable) in [(5, true), (1, true), (0, false)] {
            assert_eq!((body.entry(), body.is_enterable(7)), ((7, left), enterable));
            assert_eq!(body.enter(7, 4), enterable);
        }
    }

    #[test]
    fn ways_remember_that_they_were_taken() {
        let body = empty();
        let way = Way::new();
        assert!(!way.taken() && way.block().is_none());
        way.take();
        assert!(way.taken() && way.block().is_none());
        // SAFETY: the body outlives the way's last use.
        unsafe { way.set(body.get()) };
        assert!(way.taken() && way.block().unwrap().is(&body));
        way.take();
        assert!(way.block().is_some());
        way.clear();
        assert!(way.taken() && way.block().is_none());
    }

    #[test]
    fn ops_follow_the_head() {
        let codes = [Code::new(Opcode::MoveImm, 1, 0, 0, 5), Code::new(Opcode::Jump, 0, 0, 0, 6)];
        let body = of(&codes);
        let first = body.get().start();
        assert_eq!((first.code().op(), first.code().imm, body.get().index(first)), (Opcode::MoveImm, 5, 0));
        // SAFETY: the first op is no end.
        let second = unsafe { first.next() };
        assert_eq!((second.code().op(), second.code().imm, body.get().index(second)), (Opcode::Jump, 6, 1));
    }

    #[test]
    fn what_is_behind_the_ops_is_found() {
        let at = |numbers: &[u64]| numbers.iter().map(|&pc| GuestAddr::new(pc)).collect::<Vec<_>>();
        let codes = [Code::new(Opcode::MoveImm, 1, 0, 0, 5), Code::new(Opcode::Jump, 0, 0, 0, 6)];
        for (ends, sides, len) in [(0, 0, 0), (1, 0, 7), (2, 1, 8), (0, 3, 1), (2, 2, 0)] {
            let (ends, sides) = (at(&[1, u64::MAX][..ends]), at(&[3, 4, 5][..sides]));
            let (bytes, marks) = (&[9, 8, 7, 6, 5, 4, 3, 2][..len], &[1; 8][..8 - len]);
            let body = Body::new(0, 1, Behind { codes: &codes, ends: &ends, sides: &sides, bytes, marks });
            assert_eq!((body.targets(), body.guest_bytes(), body.marks()), (&*ends, bytes, marks));
            assert_eq!(body.sides().iter().map(|side| side.target).collect::<Vec<_>>(), sides);
            assert!(body.sides().iter().all(|side| !side.way.taken()));
            body.sides().iter().for_each(|side| side.way.take());
            assert!(body.sides().iter().all(|side| side.way.taken()));
            assert_eq!(body.size(), 48 + 2 * 16 + 8 * ends.len() + 16 * sides.len() + 8);
        }
    }

    #[test]
    #[should_panic = "behind"]
    fn an_op_for_two_is_before_the_second() {
        let two = Code::new(Opcode::MoveImmMoveImm, 1, 0, 0, 5);
        let _ = of(&[two, Code::new(Opcode::Jump, 0, 0, 0, 0)]);
    }

    #[test]
    #[should_panic = "no end"]
    fn a_body_ends() {
        let _ = of(&[Code::new(Opcode::Move, 0, 0, 0, 0)]);
    }
}
