use std::sync::atomic::Ordering;

use vm_core::{GuestAddr, Mode, PAGE_SIZE};
use vm_ir::{Block, End, IrBuilder, Target};

use super::*;
use crate::testing::VecMemory;

/// `ret` on x86-64: enough for code that is published but never entered.
const RET: u8 = 0xc3;
const STUB: CodePtr = CodePtr::new(0x10);

fn key(pc: u64) -> BlockKey {
    BlockKey::new(GuestAddr::new(pc), Mode::default())
}

fn range(start: u64, len: u64) -> GuestRange {
    GuestRange::new(GuestAddr::new(start), len).unwrap()
}

/// Pages of guest memory.
const PAGES: u64 = 200;

/// Guest memory full of the instruction that [`region`] is made from.
fn memory() -> Arc<VecMemory> {
    let memory = VecMemory::new(0, (PAGES * PAGE_SIZE) as usize);
    memory.write(GuestAddr::new(0), &[0x13, 0, 0, 0].repeat((PAGES * PAGE_SIZE / 4) as usize)).unwrap();
    memory
}

fn cache_of(budget: usize, memory: &Arc<VecMemory>) -> TieredCodeCache {
    let memory: Arc<dyn GuestMemory> = Arc::<VecMemory>::clone(memory);
    TieredCodeCache::new([budget; 2], STUB, memory).unwrap()
}

fn cache(budget: usize) -> TieredCodeCache {
    cache_of(budget, &memory())
}

/// A region of one four-byte block at `pc` with `len` bytes of code and links to `targets`.
fn region(cache: &TieredCodeCache, pc: u64, len: usize, targets: &[u64]) -> (Ticket, CompiledRegion) {
    let mut ticket = cache.ticket();
    cache.allocate_links(&mut ticket, targets.len(), false, 0).unwrap();
    let mut ir = IrBuilder::new(key(pc));
    ir.mark(0, 4);
    let block = ir.finish(End::Jump { target: Target(4) }, &[0x13, 0, 0, 0]);
    let region = CompiledRegion {
        key: key(pc),
        tier: CompiledTier::One,
        code: vec![RET; len],
        links: targets.iter().map(|pc| key(*pc)).collect(),
        sources: Sources::of([&block].into_iter()),
        atomics: Box::default(),
        entries: Vec::new(),
        counts: false,
        pcs: vec![(0, GuestAddr::new(pc))],
        guest_len: 1,
        faults: Exact::Pc,
        steps_over: Vec::new(),
        compile_ns: 0,
    };
    (ticket, region)
}

fn word(cache: &TieredCodeCache, number: u32) -> u64 {
    cache.lock().links.word(number)
}

#[test]
fn published_code_is_found_and_linked() {
    let cache = cache(1 << 20);
    let a = region(&cache, 0x100, 16, &[0x200]);
    let link = a.0.first_link;
    cache.publish(vec![a]).unwrap();
    assert!(cache.lookup(key(0x100)).is_some());
    assert_eq!(cache.link(link), Some((key(0x200), None)));
    cache.publish(vec![region(&cache, 0x200, 16, &[])]).unwrap();
    let code = cache.lookup(key(0x200)).unwrap();
    assert_eq!(cache.link(link), Some((key(0x200), Some(code))));
    assert_eq!(word(&cache, link), code.address());
}

#[test]
fn invalidation_unlinks_and_frees_once_readers_have_passed() {
    let cache = cache(1 << 20);
    let frame = Arc::new(Frame::new());
    let reader = cache.register(&frame);
    let a = region(&cache, 0x1000, 16, &[0x2000]);
    let link = a.0.first_link;
    cache.publish(vec![a, region(&cache, 0x2000, 16, &[])]).unwrap();
    cache.link(link).unwrap();
    reader.arrive(&cache.epochs);
    let mapped = cache.mapped();

    cache.invalidate(range(0x2002, 1));
    assert!(cache.lookup(key(0x2000)).is_none() && cache.lookup(key(0x1000)).is_some());
    assert_eq!(word(&cache, link), STUB.address());
    assert_eq!(cache.waiting(), 1);
    cache.invalidate(range(0x1000, 1));
    assert_eq!((cache.waiting(), cache.mapped()), (2, mapped), "the reader may still be inside");
    assert_eq!(cache.link(link), Some((key(0x2000), None)), "a retired region's exits are still known");
    reader.arrive(&cache.epochs);
    cache.collect();
    assert_eq!((cache.waiting(), cache.mapped(), cache.len()), (0, 0, 0));
    assert_eq!(cache.link(link), None);
}

#[test]
fn a_region_whose_source_changed_while_it_was_made_is_dropped() {
    let memory = memory();
    let cache = cache_of(1 << 20, &memory);
    let (outdated, current) = (region(&cache, 0x1000, 16, &[0x100]), region(&cache, 0x3000, 16, &[]));
    memory.write(GuestAddr::new(0x1001), &[1]).unwrap();
    cache.invalidate(range(0x1000, 2));
    cache.publish(vec![outdated, current]).unwrap();
    assert!(cache.lookup(key(0x1000)).is_none() && cache.lookup(key(0x3000)).is_some());
    assert_eq!(cache.counters.outdated.load(Ordering::Relaxed), 1);
}

#[test]
fn the_budget_evicts_what_was_not_looked_up() {
    let cache = cache(100);
    for pc in [0x1000, 0x2000] {
        cache.publish(vec![region(&cache, pc, 40, &[])]).unwrap();
    }
    // The first round clears every mark; the region that is looked up again survives the second.
    cache.publish(vec![region(&cache, 0x3000, 40, &[])]).unwrap();
    assert!(cache.bytes()[0] <= 100);
    let kept = [0x1000, 0x2000, 0x3000].map(|pc| cache.tier(key(pc)).is_some());
    assert_eq!(kept, [false, true, true]);
    cache.lookup(key(0x2000)).unwrap();
    cache.publish(vec![region(&cache, 0x4000, 40, &[])]).unwrap();
    assert!(cache.tier(key(0x2000)).is_some() && cache.tier(key(0x3000)).is_none());
    assert_eq!(cache.counters.evicted.load(Ordering::Relaxed), 2);
}

#[test]
fn a_better_region_replaces_the_old_one() {
    let cache = cache(1 << 20);
    cache.publish(vec![region(&cache, 0x1000, 16, &[])]).unwrap();
    let (ticket, mut better) = region(&cache, 0x1000, 32, &[]);
    better.tier = CompiledTier::Two;
    cache.publish(vec![(ticket, better)]).unwrap();
    assert_eq!(cache.tier(key(0x1000)), Some(CompiledTier::Two));
    assert_eq!((cache.bytes(), cache.len(), cache.waiting()), ([0, 32], 1, 0));
}

/// A block of one instruction, to be a source.
fn block(pc: u64) -> Block {
    let mut ir = IrBuilder::new(key(pc));
    ir.mark(0, 4);
    ir.finish(End::Jump { target: Target(4) }, &[0x13, 0, 0, 0])
}

#[test]
fn blocks_inside_a_region_are_known_though_nobody_enters_there() {
    let cache = cache(1 << 20);
    assert!(!cache.contains(key(0x1004)));
    let (ticket, mut made) = region(&cache, 0x1000, 16, &[]);
    made.sources = Sources::of([block(0x1000), block(0x1004)].iter());
    cache.publish(vec![(ticket, made)]).unwrap();
    let pcs = [0x1000, 0x1004, 0x1008].map(key);
    assert_eq!(pcs.map(|key| cache.holds(key)), [true, false, false]);
    assert_eq!(pcs.map(|key| cache.contains(key)), [true, true, false]);
}

#[test]
fn better_code_waits_once_where_other_better_code_has_the_block() {
    let cache = cache(1 << 20);
    cache.publish(vec![baseline(&cache, 0x1004, &[]), baseline(&cache, 0x1008, &[])]).unwrap();
    assert!(!cache.can_wait(key(0x1004)));
    let (ticket, mut around) = region(&cache, 0x1000, 16, &[]);
    around.tier = CompiledTier::Two;
    around.sources = Sources::of([block(0x1000), block(0x1004)].iter());
    cache.publish(vec![(ticket, around)]).unwrap();
    assert_eq!([0x1004, 0x1008, 0x100c].map(|pc| cache.can_wait(key(pc))), [true, false, false]);
    cache.put_off(key(0x1004));
    assert!(!cache.can_wait(key(0x1004)));
}

#[test]
fn revalidation_believes_bytes_only() {
    let memory = memory();
    let cache = cache_of(1 << 20, &memory);
    cache.publish(vec![region(&cache, 0x1000, 16, &[]), region(&cache, 0x1008, 16, &[])]).unwrap();
    cache.revalidate(GuestRange::everything());
    assert_eq!(cache.len(), 2);
    memory.write(GuestAddr::new(0x1009), &[1]).unwrap();
    cache.revalidate(GuestRange::everything());
    assert!(cache.tier(key(0x1000)).is_some() && cache.tier(key(0x1008)).is_none());
}

#[test]
fn revalidation_looks_at_the_pages_of_its_range() {
    let memory = memory();
    let cache = cache_of(1 << 20, &memory);
    // One block reaches over a page's end.
    let starts = [0x1000, 0x1ffe, 0x3000, 0x3010, 0x3020, 0x3030, 0x3040, 0x5000];
    let at = |pc| cache.tier(key(pc)).is_some();
    cache.publish(starts.into_iter().map(|pc| region(&cache, pc, 16, &[])).collect()).unwrap();
    cache.revalidate(range(0x1000, 0x1000));
    assert!(at(0x1000) && !at(0x1ffe), "the bytes at 0x1ffe are not those of an aligned instruction");
    memory.write(GuestAddr::new(0x3021), &[1]).unwrap();
    memory.write(GuestAddr::new(0x5001), &[1]).unwrap();
    cache.revalidate(range(0x5000, 0));
    cache.revalidate(range(0x4000, 0x1000));
    assert_eq!(cache.len(), 7);
    cache.revalidate(range(0x3000, 1));
    assert!(!at(0x3020) && at(0x3000) && at(0x3040) && at(0x5000));
    // The page is as it was when it was last looked at, but for a region that was not there then.
    let stale = region(&cache, 0x3020, 16, &[]);
    cache.publish(vec![stale]).unwrap();
    cache.revalidate(range(0x3000, 1));
    assert!(!at(0x3020) && at(0x3030));
    cache.revalidate(range(0, u64::MAX));
    assert!(!at(0x5000));
    assert_eq!(cache.len(), 5);
}

/// More pages than are looked at while the lock is held once.
#[test]
fn revalidation_of_everything_reaches_the_last_page() {
    let memory = memory();
    let cache = cache_of(1 << 20, &memory);
    for page in 0..PAGES {
        cache.publish(vec![region(&cache, page * PAGE_SIZE, 16, &[])]).unwrap();
    }
    for page in [0, PAGES - 1] {
        memory.write(GuestAddr::new(page * PAGE_SIZE), &[1]).unwrap();
    }
    cache.revalidate(GuestRange::everything());
    assert_eq!(cache.len() as u64, PAGES - 2);
}

#[test]
fn a_flush_while_a_region_is_made_drops_it_only_if_its_bytes_changed() {
    let memory = memory();
    let cache = cache_of(1 << 20, &memory);
    let (same, changed) = (region(&cache, 0x1000, 16, &[]), region(&cache, 0x1010, 16, &[]));
    memory.write(GuestAddr::new(0x1010), &[1]).unwrap();
    cache.revalidate(GuestRange::everything());
    cache.publish(vec![same, changed]).unwrap();
    assert!(cache.tier(key(0x1000)).is_some() && cache.tier(key(0x1010)).is_none());
    let inexact = region(&cache, 0x2000, 16, &[]);
    cache.require(Exact::Registers);
    cache.publish(vec![inexact]).unwrap();
    assert_eq!(cache.len(), 0);
}

#[test]
fn regions_come_and_go_while_others_look_up() {
    let cache = cache(4096);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let frame = Arc::new(Frame::new());
                let reader = cache.register(&frame);
                let mut found = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    reader.arrive(&cache.epochs);
                    for pc in 0..64 {
                        found += u64::from(cache.lookup(key(0x1000 * pc)).is_some());
                    }
                }
                reader.leave();
                found
            });
        }
        for round in 0..2000_u64 {
            let pc = 0x1000 * (round * 7 % 64);
            let new = region(&cache, pc, 100, &[0x1000 * (round % 64)]);
            let link = new.0.first_link;
            cache.publish(vec![new]).unwrap();
            cache.link(link);
            if round % 5 == 0 {
                cache.invalidate(range(0x1000 * (round % 64), 4));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    cache.clear();
    cache.collect();
    assert_eq!((cache.len(), cache.waiting(), cache.mapped()), (0, 0, 0));
    assert_eq!(cache.bytes(), [0, 0]);
}

#[test]
fn a_region_that_is_entered_often_is_due_once() {
    let cache = cache(1 << 20);
    cache.publish(vec![region(&cache, 0x100, 16, &[])]).unwrap();
    for _ in 1..PROMOTION {
        cache.lookup(key(0x100)).unwrap();
    }
    assert!(cache.take_due().is_empty());
    cache.lookup(key(0x100)).unwrap();
    cache.lookup(key(0x100)).unwrap();
    assert_eq!(cache.take_due(), [key(0x100)]);
    assert!(cache.take_due().is_empty());
}

#[test]
fn regions_that_saved_less_than_they_cost_are_counted_dropped_ones_too() {
    let cache = cache(1 << 20);
    let mut counters = Vec::new();
    for (pc, compile_ns) in [(0x100, 5000), (0x200, 5000), (0x300, 5000)] {
        let (_, mut region) = region(&cache, pc, 16, &[]);
        let mut ticket = cache.ticket();
        cache.allocate_links(&mut ticket, 0, true, 0).unwrap();
        counters.push(ticket.counter.expect("a counter was asked for"));
        region.compile_ns = compile_ns;
        cache.publish(vec![(ticket, region)]).unwrap();
    }
    let count = |number: u32, executed| {
        let inner = cache.lock();
        assert_eq!(inner.links.counted(number), 0, "a counter starts at zero");
        inner.links.add_to_counter(number, executed);
    };
    count(counters[0], 4999);
    count(counters[1], 5000);
    let stats = cache.stats();
    assert_eq!((stats.published, stats.unpaid, stats.unpaid_ns), (3, 2, 10_000));
    assert!(stats.record_bytes > 0);
    cache.clear();
    let after = cache.stats();
    assert_eq!((after.live, after.unpaid, after.record_bytes), (0, 2, 0));
}

/// Baseline code at `pc` that can be entered at `others` too.
fn baseline(cache: &TieredCodeCache, pc: u64, others: &[u64]) -> (Ticket, CompiledRegion) {
    let (ticket, region) = region(cache, pc, 64, &[]);
    let entries = others.iter().enumerate().map(|(index, pc)| (key(*pc), 8 * (index as u32 + 1))).collect();
    (ticket, CompiledRegion { entries, counts: true, ..region })
}

#[test]
fn a_region_is_found_wherever_it_can_be_entered() {
    let cache = cache(1 << 20);
    cache.publish(vec![baseline(&cache, 0x100, &[0x200, 0x300])]).unwrap();
    let code = |pc| cache.lookup(key(pc)).map(CodePtr::address);
    let start = code(0x100).unwrap();
    assert_eq!((code(0x200), code(0x300)), (Some(start + 8), Some(start + 16)));
    // What can be entered already stays as it is.
    cache.publish(vec![baseline(&cache, 0x400, &[0x300])]).unwrap();
    assert_eq!(code(0x300), Some(start + 16));
    cache.invalidate(range(0x100, 4));
    assert_eq!((code(0x100), code(0x200), code(0x300)), (None, None, None));
    assert!(code(0x400).is_some());
}

#[test]
fn a_region_lives_until_its_last_key_is_taken() {
    let cache = cache(1 << 20);
    cache.publish(vec![baseline(&cache, 0x100, &[0x200])]).unwrap();
    let mut ticket = cache.ticket();
    cache.allocate_links(&mut ticket, 0, false, 2).unwrap();
    let counters = ticket.entry_counters();
    cache.arm(counters.clone(), [5, 6].into_iter());
    assert!(cache.improved(key(0x100), counters.start).is_none(), "baseline code is no improvement");
    let link = {
        let new = region(&cache, 0x900, 16, &[0x100]);
        let link = new.0.first_link;
        cache.publish(vec![new]).unwrap();
        cache.link(link);
        link
    };
    cache.publish(vec![region(&cache, 0x100, 16, &[])]).unwrap();
    let code = cache.improved(key(0x100), counters.start).unwrap();
    assert!(cache.improved(key(0x200), counters.start + 1).is_none());
    assert_eq!(
        counters.clone().map(|counter| word(&cache, counter)).collect::<Vec<_>>(),
        [code.address().wrapping_neg(), 6]
    );
    assert!(cache.holds(key(0x200)));
    assert_eq!(cache.len(), 3);
    assert_eq!(cache.lock().links.word(link), code.address(), "whoever jumped there goes to the new code");
    cache.publish(vec![region(&cache, 0x200, 16, &[])]).unwrap();
    assert_eq!(cache.len(), 3, "nothing leads to the old code any more");
    cache.invalidate(range(0x100, 4));
    assert_eq!(counters.map(|counter| word(&cache, counter)).collect::<Vec<_>>(), [0, 6], "asks again");
}
