//! Random operations on the slab allocator against a naive model: a list of live objects.
#![allow(unsafe_code)] // Freeing, and raw memory.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::time::Duration;

use proptest::prelude::*;
use vm_mem::slab::{Scheme, Slab, SlabAllocator, SlabConfig, SlabError, SlabPool};

#[derive(Clone, Debug)]
enum Step {
    /// Allocate so many objects of this size and alignment.
    Allocate {
        size: usize,
        align: usize,
        count: usize,
    },
    /// Free so many objects from this place of the list on.
    Free {
        at: usize,
        count: usize,
    },
    /// Free an object that was freed before.
    FreeAgain {
        at: usize,
    },
    /// Free a live object with a layout of another size.
    FreeAs {
        at: usize,
        size: usize,
    },
    /// Free an address so far inside of a live object.
    FreeInside {
        at: usize,
        by: usize,
    },
    Trim,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![0usize..=64, 1usize..=1024, 1usize..=8192];
    prop_oneof![
        6 => (size.clone(), 0u32..=13, 1usize..200)
            .prop_map(|(size, align, count)| Step::Allocate { size, align: 1 << align, count }),
        6 => (any::<usize>(), 1usize..300).prop_map(|(at, count)| Step::Free { at, count }),
        1 => any::<usize>().prop_map(|at| Step::FreeAgain { at }),
        1 => (any::<usize>(), size).prop_map(|(at, size)| Step::FreeAs { at, size }),
        1 => (any::<usize>(), 1usize..8192).prop_map(|(at, by)| Step::FreeInside { at, by }),
        1 => Just(Step::Trim),
    ]
}

struct Object {
    at: NonNull<u8>,
    layout: Layout,
    filled: u8,
}

impl Object {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the object is live and was filled.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.layout.size()) }
    }
}

struct Model {
    slabs: SlabAllocator,
    live: Vec<Object>,
    freed: Vec<(NonNull<u8>, Layout)>,
    filling: u8,
}

impl Model {
    fn free(&self, at: *mut u8, layout: Layout) -> Result<(), SlabError> {
        // SAFETY: either a live object that the model forgets, or an address that is refused.
        unsafe { self.slabs.deallocate(NonNull::new(at).unwrap(), layout) }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Allocate { size, align, count } => {
                let layout = Layout::from_size_align(size, align).unwrap();
                for _ in 0..count {
                    let at = self.slabs.allocate(layout).unwrap();
                    assert_eq!(at.as_ptr() as usize % align, 0);
                    self.filling = self.filling.wrapping_add(1);
                    // SAFETY: a new object of this size.
                    unsafe { at.as_ptr().write_bytes(self.filling, size) };
                    self.live.push(Object { at, layout, filled: self.filling });
                    self.freed.retain(|&(freed, _)| freed != at);
                }
            }
            Step::Free { at, count } if !self.live.is_empty() => {
                let at = at % self.live.len();
                let end = (at + count).min(self.live.len());
                for object in self.live.drain(at..end).collect::<Vec<_>>() {
                    assert!(object.bytes().iter().all(|&byte| byte == object.filled), "somebody else wrote to it");
                    assert_eq!(self.free(object.at.as_ptr(), object.layout), Ok(()));
                    self.freed.push((object.at, object.layout));
                }
            }
            Step::FreeAgain { at } if !self.freed.is_empty() => {
                let (at, layout) = self.freed[at % self.freed.len()];
                let address = at.as_ptr() as usize;
                assert_eq!(self.free(at.as_ptr(), layout), Err(SlabError::DoubleFree { address }));
            }
            Step::FreeAs { at, size } if !self.live.is_empty() => {
                let object = &self.live[at % self.live.len()];
                let other = Layout::from_size_align(size, 1).unwrap();
                let scheme = self.slabs.scheme();
                if scheme.class_of(other) != scheme.class_of(object.layout) {
                    let expected = SlabError::WrongClass {
                        address: object.at.as_ptr() as usize,
                        asked: scheme.class_of(other).unwrap(),
                        actual: scheme.class_of(object.layout).unwrap(),
                    };
                    assert_eq!(self.free(object.at.as_ptr(), other), Err(expected));
                }
            }
            Step::FreeInside { at, by } if !self.live.is_empty() => {
                let object = &self.live[at % self.live.len()];
                let class = self.slabs.scheme().class_of(object.layout).unwrap();
                let inside = object.at.as_ptr().wrapping_add(by % class.size());
                if inside != object.at.as_ptr() {
                    let address = inside as usize;
                    assert_eq!(self.free(inside, object.layout), Err(SlabError::NotAnObject { address }));
                }
            }
            Step::Trim => {
                self.slabs.trim();
            }
            Step::Free { .. } | Step::FreeAgain { .. } | Step::FreeAs { .. } | Step::FreeInside { .. } => {}
        }
    }

    /// The counts are those of the model.
    fn check(&self) {
        let stats = self.slabs.stats();
        let scheme = self.slabs.scheme();
        for class in &stats.classes {
            let mine: Vec<_> =
                self.live.iter().filter(|object| scheme.class_of(object.layout) == Some(class.class)).collect();
            assert_eq!(class.live, mine.len() as u64, "{}", class.class);
            assert_eq!(class.requested_bytes, mine.iter().map(|object| object.layout.size() as u64).sum::<u64>());
            assert_eq!(class.allocated_bytes, class.live * class.class.size() as u64);
            assert_eq!(class.live + class.free, class.slabs * class.class.objects_per_slab() as u64);
            assert_eq!(class.slabs, class.slabs_created - class.slabs_destroyed);
            assert_eq!((class.damaged, class.foreign_frees), (0, 0));
        }
        for object in &self.live {
            let slab = self.slabs.slab_of(object.at.as_ptr()).expect("a live object is in a slab");
            assert_eq!(Some(slab.class), scheme.class_of(object.layout));
            let offset = object.at.as_ptr() as usize - slab.address;
            assert!(offset.is_multiple_of(slab.class.size()) && offset + slab.class.size() <= slab.class.slab_size());
        }
    }
}

fn run(config: SlabConfig, steps: &[Step]) {
    let config = SlabConfig { reserve_per_class: 64 << 20, ..config };
    let slabs = SlabAllocator::with_config(&config).unwrap();
    let mut model = Model { slabs, live: Vec::new(), freed: Vec::new(), filling: 0 };
    for step in steps {
        model.take(step);
    }
    model.check();
    model.take(&Step::Free { at: 0, count: usize::MAX / 2 });
    model.check();
    model.slabs.trim();
    let stats = model.slabs.stats();
    assert_eq!((stats.slab_bytes(), stats.sum(|class| class.free)), (0, 0));
    // What was freed is refused, also when its pages are gone.
    for (at, layout) in std::mem::take(&mut model.freed) {
        assert_eq!(model.free(at.as_ptr(), layout), Err(SlabError::DoubleFree { address: at.as_ptr() as usize }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn powers_of_two(steps in proptest::collection::vec(step(), 1..60)) {
        run(SlabConfig::new(Scheme::PowersOfTwo), &steps);
    }

    #[test]
    fn fine_classes_that_keep_nothing(steps in proptest::collection::vec(step(), 1..60)) {
        let retain_for = Duration::ZERO;
        run(SlabConfig { retain_per_class: 0, retain_for, ..SlabConfig::new(Scheme::Fine) }, &steps);
    }

    /// A pool is a map from handles to values.
    #[test]
    fn pool(steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 1..2000)) {
        let mut pool = SlabPool::new().unwrap();
        let (mut live, mut gone) = (Vec::new(), Vec::new());
        for (number, (insert, at)) in steps.into_iter().enumerate() {
            if insert || live.is_empty() {
                let handle = pool.insert([number; 3]).unwrap();
                gone.retain(|&other| other != handle);
                live.push((handle, number));
            } else {
                let (handle, number) = live.swap_remove(at % live.len());
                prop_assert_eq!(pool.remove(handle), Some([number; 3]));
                gone.push(handle);
            }
        }
        prop_assert_eq!(pool.len(), live.len());
        prop_assert_eq!(pool.iter().count(), live.len());
        prop_assert!(live.iter().all(|&(handle, number)| pool.get(handle) == Some(&[number; 3])));
        prop_assert!(gone.iter().all(|&handle| pool.remove(handle).is_none()));
    }
}

#[test]
fn metadata_is_less_than_two_percent_of_slabs() {
    for scheme in [Scheme::PowersOfTwo, Scheme::Fine] {
        for &class in scheme.classes() {
            assert!(Slab::metadata_bytes(class) * 50 < class.slab_size(), "{class}");
        }
    }
}
