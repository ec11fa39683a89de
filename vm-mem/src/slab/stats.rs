//! Counts, as one consistent-looking picture.

use super::class::SizeClass;
use super::core::Core;

/// What one class of an allocator has and did.
///
/// `live + free` is the number of objects in existence, `slabs` times the class's objects a slab; `free` is what is in
/// slabs, depots and magazines together. Exact while no thread allocates or frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// The class.
    pub class: SizeClass,
    /// Objects that are allocated.
    pub live: u64,
    /// Objects that are not.
    pub free: u64,
    /// Free objects in the magazines of threads.
    pub in_magazines: u64,
    /// Free objects in depots.
    pub in_depots: u64,
    /// Slabs in existence.
    pub slabs: u64,
    /// Slabs that were made.
    pub slabs_created: u64,
    /// Slabs whose pages went back to the host.
    pub slabs_destroyed: u64,
    /// Bytes asked for by the layouts of live objects.
    pub requested_bytes: u64,
    /// Bytes of live objects.
    pub allocated_bytes: u64,
    /// Frees by another thread than the one that allocated the object; for objects below 64 bytes, than the one for which
    /// its slab was made. Threads whose numbers are equal modulo 255 are not told apart.
    pub foreign_frees: u64,
    /// Times that a thread found a lock of the class taken.
    pub contention: u64,
    /// Objects that were written to while they were free, and are not given out any more. They count as live.
    pub damaged: u64,
    /// Pieces of 2 MiB for which the host refused the kind of page that was asked for.
    pub refused_huge_pages: u64,
    /// Pieces of 2 MiB for which the host refused the memory node.
    pub refused_nodes: u64,
}

/// What an allocator has and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlabAllocatorStats {
    /// Each class, smallest first.
    pub classes: Vec<ClassStats>,
    /// Times that a thread found a lock taken that belongs to no class.
    pub other_contention: u64,
    /// Bytes of address space that are reserved, most of which no memory stands behind.
    pub reserved_bytes: u64,
}

impl SlabAllocatorStats {
    /// The sum of one of the counts over all classes.
    #[must_use]
    pub fn sum(&self, of: impl Fn(&ClassStats) -> u64) -> u64 {
        self.classes.iter().map(of).sum()
    }

    /// Bytes of all slabs in existence.
    #[must_use]
    pub fn slab_bytes(&self) -> u64 {
        self.sum(|class| class.slabs * class.class.slab_size() as u64)
    }
}

pub(super) fn of_class(core: &Core, number: usize) -> ClassStats {
    let class = core.scheme.classes()[number];
    let (mut slabs, mut in_slabs, mut created, mut destroyed) = (0, 0, 0, 0);
    let mut damaged = core.damaged[number].load(std::sync::atomic::Ordering::Relaxed);
    let (mut refused_huge_pages, mut refused_nodes) = (0, 0);
    for node in 0..core.topology.nodes() {
        core.shelf(number, node).with(&core.waits[number], |shelf| {
            slabs += u64::from(shelf.slabs);
            in_slabs += shelf.free;
            created += shelf.created;
            destroyed += shelf.destroyed;
            damaged += shelf.damaged;
            refused_huge_pages += shelf.refused_pages;
            refused_nodes += shelf.refused_nodes;
        });
    }
    let (in_depots, in_magazines, requested_bytes, foreign_frees) = core.counts(number);
    let free = in_slabs + in_depots + in_magazines;
    let live = (slabs * class.objects_per_slab() as u64).saturating_sub(free);
    ClassStats {
        class,
        live,
        free,
        in_magazines,
        in_depots,
        slabs,
        slabs_created: created,
        slabs_destroyed: destroyed,
        requested_bytes,
        allocated_bytes: live * class.size() as u64,
        foreign_frees,
        contention: core.waits[number].load(std::sync::atomic::Ordering::Relaxed),
        damaged,
        refused_huge_pages,
        refused_nodes,
    }
}

pub(super) fn of_allocator(core: &Core) -> SlabAllocatorStats {
    SlabAllocatorStats {
        classes: (0..core.classes()).map(|class| of_class(core, class)).collect(),
        other_contention: core.other_waits(),
        reserved_bytes: core.arena().reserved_bytes() as u64,
    }
}
