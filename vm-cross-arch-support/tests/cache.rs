//! The result cache: what is believed, what is dropped, what is shared, and that the counters add up.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use support::{Bytes, key};
use vm_core::{GuestAddr, GuestArch, GuestRange};
use vm_cross_arch_support::{
    CacheLimits, CacheStats, Extensions, Translated, TranslationCacheKey, TranslationResultCache, TranslationTarget,
};
use vm_ir::{Block, End, IrBuilder, Target};

fn cache_key(pc: u64) -> TranslationCacheKey {
    TranslationCacheKey {
        arch: GuestArch::Riscv64,
        extensions: Extensions::bit(0),
        target: TranslationTarget::Ir,
        block: key(pc),
        max_instructions: 64,
    }
}

/// A block made from the `len` zero bytes at `pc`.
fn block(pc: u64, len: usize) -> Arc<Block> {
    let mut ir = IrBuilder::new(key(pc));
    ir.mark(0, len as u8);
    Arc::new(ir.finish(End::Jump { target: Target(len as i64) }, &vec![0; len]))
}

fn translated(pc: u64, len: usize) -> Translated {
    Translated { block: block(pc, len), remember: true }
}

/// One page at 0x1000 and a bit, all zeros.
fn memory() -> Bytes {
    Bytes::new(0x1000, &[0; 0x2000])
}

fn unlimited() -> TranslationResultCache {
    TranslationResultCache::new(CacheLimits::default())
}

fn assert_adds_up(stats: CacheStats) {
    assert_eq!(stats.requests, stats.hits + stats.joined + stats.misses, "{stats:?}");
    assert_eq!(stats.insertions, stats.entries + stats.evictions + stats.invalidated + stats.stale, "{stats:?}");
}

/// Whether the cache answers for `pc`.
fn knows(cache: &TranslationResultCache, memory: &Bytes, pc: u64) -> bool {
    cache.get(&cache_key(pc), memory).is_some()
}

#[test]
fn the_least_recently_used_goes_first() {
    let cache = TranslationResultCache::new(CacheLimits { entries: 3, bytes: usize::MAX });
    let memory = memory();
    for pc in [0x1000, 0x1004, 0x1008] {
        cache.get_or_translate(&cache_key(pc), &memory, || translated(pc, 4));
    }
    assert!(knows(&cache, &memory, 0x1000));
    cache.get_or_translate(&cache_key(0x100c), &memory, || translated(0x100c, 4));
    assert!(!knows(&cache, &memory, 0x1004), "the oldest by use");
    for pc in [0x1000, 0x1008, 0x100c] {
        assert!(knows(&cache, &memory, pc), "{pc:#x}");
    }
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.evictions, stats.insertions), (3, 1, 4));
    assert_adds_up(stats);
}

#[test]
fn bytes_are_bounded_too() {
    let probe = unlimited();
    let memory = memory();
    probe.get_or_translate(&cache_key(0x1000), &memory, || translated(0x1000, 4));
    let one = probe.stats().bytes as usize;
    assert!(one > 0);
    let cache = TranslationResultCache::new(CacheLimits { entries: usize::MAX, bytes: 2 * one });
    for pc in (0x1000..0x1400).step_by(4) {
        cache.get_or_translate(&cache_key(pc), &memory, || translated(pc, 4));
        assert!(cache.stats().bytes as usize <= 2 * one);
    }
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.evictions), (2, 254));
    assert_adds_up(stats);
    let tiny = TranslationResultCache::new(CacheLimits { entries: usize::MAX, bytes: one - 1 });
    tiny.get_or_translate(&cache_key(0x1000), &memory, || translated(0x1000, 4));
    assert_eq!((tiny.stats().entries, tiny.stats().insertions), (0, 0));
}

#[test]
fn everything_in_the_key_tells_entries_apart() {
    let cache = unlimited();
    let memory = memory();
    let base = cache_key(0x1000);
    cache.get_or_translate(&base, &memory, || translated(0x1000, 4));
    let mut mode = base;
    mode.block.mode = vm_core::Mode::new(1);
    let keys = [
        TranslationCacheKey { arch: GuestArch::Aarch64, ..base },
        TranslationCacheKey { extensions: Extensions::bit(1), ..base },
        TranslationCacheKey { max_instructions: 1, ..base },
        mode,
    ];
    for other in keys {
        assert!(cache.get(&other, &memory).is_none(), "{other:?}");
    }
    assert!(cache.get(&base, &memory).is_some());
}

#[test]
fn other_bytes_are_not_believed() {
    let cache = unlimited();
    let memory = memory();
    let first = cache.get_or_translate(&cache_key(0x1000), &memory, || translated(0x1000, 8));
    memory.poke(0x1007, &[1]);
    let second = cache.get_or_translate(&cache_key(0x1000), &memory, || {
        let mut fresh = (*block(0x1000, 8)).clone();
        fresh.bytes[7] = 1;
        Translated { block: Arc::new(fresh), remember: true }
    });
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(cache.stats().stale, 1);
    memory.poke(0x1007, &[0]);
    assert!(cache.get(&cache_key(0x1000), &memory).is_none());
    assert_eq!(cache.stats().stale, 2);
    assert_adds_up(cache.stats());
}

#[test]
fn unmapped_bytes_are_not_believed() {
    let cache = unlimited();
    cache.get_or_translate(&cache_key(0x1000), &memory(), || translated(0x1000, 8));
    assert!(cache.get(&cache_key(0x1000), &Bytes::new(0x1000, &[0; 7])).is_none());
}

#[test]
fn invalidation_drops_what_overlaps_and_nothing_else() {
    let cache = unlimited();
    let memory = memory();
    // The third one lies across a page boundary.
    for (pc, len) in [(0x1000, 4), (0x1004, 4), (0x1ffc, 8), (0x2004, 4)] {
        cache.get_or_translate(&cache_key(pc), &memory, || translated(pc, len));
    }
    let range = |start, len| GuestRange::new(GuestAddr::new(start), len).unwrap();
    cache.invalidate(range(0x1004, 0));
    assert_eq!(cache.stats().invalidated, 0);
    cache.invalidate(range(0x1003, 1));
    assert!(!knows(&cache, &memory, 0x1000) && knows(&cache, &memory, 0x1004));
    cache.invalidate(range(0x2000, 0x1000));
    assert!(knows(&cache, &memory, 0x1004) && !knows(&cache, &memory, 0x1ffc) && !knows(&cache, &memory, 0x2004));
    cache.invalidate(GuestRange::everything());
    let stats = cache.stats();
    assert_eq!((stats.entries, stats.bytes, stats.invalidated), (0, 0, 4));
    assert_adds_up(stats);
}

#[test]
fn what_is_invalidated_while_it_is_translated_is_not_remembered() {
    let cache = unlimited();
    let memory = memory();
    cache.get_or_translate(&cache_key(0x1000), &memory, || {
        cache.invalidate(GuestRange::everything());
        translated(0x1000, 4)
    });
    assert!(!knows(&cache, &memory, 0x1000));
    assert_eq!(cache.stats().insertions, 0);
}

#[test]
fn threads_share_one_translation() {
    const THREADS: usize = 8;
    for round in 0..50 {
        let pc = 0x1000 + round * 4;
        let (cache, memory) = (unlimited(), memory());
        let (calls, start) = (AtomicUsize::new(0), Barrier::new(THREADS));
        let blocks: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        cache.get_or_translate(&cache_key(pc), &memory, || {
                            calls.fetch_add(1, Ordering::Relaxed);
                            // Long enough for the others to arrive.
                            thread::sleep(Duration::from_millis(2));
                            translated(pc, 4)
                        })
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(blocks.iter().all(|block| Arc::ptr_eq(block, &blocks[0])));
        let stats = cache.stats();
        assert_eq!((stats.requests, stats.misses), (THREADS as u64, 1));
        assert_adds_up(stats);
    }
}

#[test]
fn different_blocks_are_translated_at_the_same_time() {
    let (cache, memory, both) = (unlimited(), memory(), Barrier::new(2));
    // Each translation waits for the other: under one lock they would wait for ever.
    thread::scope(|scope| {
        for pc in [0x1000, 0x1004] {
            let (cache, memory, both) = (&cache, &memory, &both);
            scope.spawn(move || {
                cache.get_or_translate(&cache_key(pc), memory, || {
                    both.wait();
                    translated(pc, 4)
                })
            });
        }
    });
    assert_eq!(cache.stats().entries, 2);
}

#[test]
fn a_panic_in_a_translation_does_not_stop_the_others() {
    let (cache, memory, flying) = (unlimited(), memory(), Barrier::new(2));
    thread::scope(|scope| {
        let lost = scope.spawn(|| {
            catch_unwind(AssertUnwindSafe(|| {
                cache.get_or_translate(&cache_key(0x1000), &memory, || {
                    flying.wait();
                    thread::sleep(Duration::from_millis(5));
                    panic!("a bug in a lifter")
                })
            }))
        });
        flying.wait();
        let block = cache.get_or_translate(&cache_key(0x1000), &memory, || translated(0x1000, 4));
        assert_eq!(block.bytes.len(), 4);
        assert!(lost.join().unwrap().is_err());
    });
    assert!(knows(&cache, &memory, 0x1000));
    assert_adds_up(cache.stats());
}

/// Random operations of several threads on a small cache.
#[test]
fn counters_add_up_under_load() {
    let cache = TranslationResultCache::new(CacheLimits { entries: 16, bytes: usize::MAX });
    let memory = memory();
    thread::scope(|scope| {
        for seed in 1..5u64 {
            let (cache, memory) = (&cache, &memory);
            scope.spawn(move || {
                let mut state = seed;
                for _ in 0..5000 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let pc = 0x1000 + (state >> 33) % 64 * 4;
                    match state >> 60 {
                        0 => cache.invalidate(GuestRange::new(GuestAddr::new(pc), 16).unwrap()),
                        1 => memory.poke(pc, &[(state >> 40) as u8 & 1]),
                        2..4 => drop(cache.get(&cache_key(pc), memory)),
                        _ => drop(cache.get_or_translate(&cache_key(pc), memory, || translated(pc, 4))),
                    }
                }
            });
        }
    });
    let stats = cache.stats();
    assert!(stats.evictions > 0 && stats.stale > 0 && stats.invalidated > 0 && stats.hits > 0, "{stats:?}");
    assert_adds_up(stats);
}
