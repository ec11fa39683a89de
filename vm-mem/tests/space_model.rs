//! Random mapping operations against a naive model: one entry a page, one byte of contents for each.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vm_core::{GuestAddr, GuestMemory, GuestRange, PAGE_SIZE, Perms};
use vm_mem::{AddressSpace, Advice, MapRequest, Place, Placement, RemapRequest, Sharing};

const PAGES: u64 = 48;

#[derive(Clone, Debug)]
enum Step {
    Map { first: u64, pages: u64, perms: u8, replace: bool, shared: bool },
    MapAnywhere { pages: u64, perms: u8 },
    MapNear { first: u64, pages: u64, perms: u8 },
    Omit { first: u64, pages: u64, omitted: bool },
    Unmap { first: u64, pages: u64 },
    Protect { first: u64, pages: u64, perms: u8 },
    Write { page: u64, offset: u64, byte: u8 },
    Remap { first: u64, old: u64, new: u64, fixed: Option<u64>, keep: bool },
    Discard { first: u64, pages: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let first = || 0..PAGES - 1;
    let pages = || 1..10u64;
    prop_oneof![
        3 => (first(), pages(), 0..8u8, any::<bool>(), any::<bool>())
            .prop_map(|(first, pages, perms, replace, shared)| Step::Map { first, pages, perms, replace, shared }),
        1 => (pages(), 0..8u8).prop_map(|(pages, perms)| Step::MapAnywhere { pages, perms }),
        1 => (first(), pages(), 0..8u8).prop_map(|(first, pages, perms)| Step::MapNear { first, pages, perms }),
        1 => (first(), pages(), any::<bool>())
            .prop_map(|(first, pages, omitted)| Step::Omit { first, pages, omitted }),
        2 => (first(), pages()).prop_map(|(first, pages)| Step::Unmap { first, pages }),
        2 => (first(), pages(), 0..8u8).prop_map(|(first, pages, perms)| Step::Protect { first, pages, perms }),
        6 => (first(), 0..PAGE_SIZE, any::<u8>()).prop_map(|(page, offset, byte)| Step::Write { page, offset, byte }),
        3 => (first(), 1..6u64, 1..8u64, proptest::option::of(first()), any::<bool>())
            .prop_map(|(first, old, new, fixed, keep)| Step::Remap { first, old, new, fixed, keep }),
        1 => (first(), pages()).prop_map(|(first, pages)| Step::Discard { first, pages }),
    ]
}

fn perms(bits: u8) -> Perms {
    [Perms::READ, Perms::WRITE, Perms::EXECUTE]
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| bits >> bit & 1 != 0)
        .fold(Perms::NONE, |all, (_, perm)| all | perm)
}

/// One page of the model.
#[derive(Clone, Debug, Default)]
struct Page {
    perms: u8,
    shared: bool,
    omitted: bool,
    /// The bytes that were written, by their offset; the others are zero.
    bytes: BTreeMap<u64, u8>,
}

struct Model {
    ground: u64,
    pages: BTreeMap<u64, Page>,
}

impl Model {
    fn addr(&self, page: u64) -> GuestAddr {
        GuestAddr::new(self.ground + page * PAGE_SIZE)
    }

    /// Pages `first..` of one kernel mapping: neighbours with equal permissions and sharing. Shared anonymous mappings
    /// made by different calls are different objects, so the model does not move those.
    fn one_private_mapping(&self, first: u64, count: u64) -> bool {
        let Some(page) = self.pages.get(&first) else { return false };
        (first..first + count).all(|at| {
            self.pages.get(&at).is_some_and(|other| {
                !other.shared && !page.shared && other.perms == page.perms && other.omitted == page.omitted
            })
        })
    }
}

fn run(space: &AddressSpace, ground: u64, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut model = Model { ground, pages: BTreeMap::new() };
    for step in steps {
        match *step {
            Step::Map { first, pages, perms: bits, replace, shared } => {
                let pages = pages.min(PAGES - first);
                let place = model.addr(first);
                let place = if replace { Place::Fixed(place) } else { Place::FixedNoReplace(place) };
                let mut request = MapRequest::anonymous(pages * PAGE_SIZE, perms(bits)).at(place);
                if shared {
                    request = request.shared();
                }
                let free = (first..first + pages).all(|page| !model.pages.contains_key(&page));
                let result = space.map(request);
                prop_assert_eq!(result.is_ok(), free || replace, "{:?}: {:?}", step, result);
                if result.is_ok() {
                    for page in first..first + pages {
                        model.pages.insert(page, Page { perms: bits, shared, ..Page::default() });
                    }
                }
            }
            Step::MapAnywhere { pages, perms: bits } => {
                space.set_mmap_top(model.addr(PAGES));
                let highest = (0..=PAGES - pages)
                    .rev()
                    .find(|first| (*first..first + pages).all(|page| !model.pages.contains_key(&page)));
                let Some(highest) = highest else { continue };
                let addr = space
                    .map(MapRequest::anonymous(pages * PAGE_SIZE, perms(bits)))
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(addr, model.addr(highest));
                for page in highest..highest + pages {
                    model.pages.insert(page, Page { perms: bits, ..Page::default() });
                }
            }
            Step::MapNear { first, pages, perms: bits } => {
                space.set_mmap_top(model.addr(PAGES));
                let free = |first: u64| (first..first + pages).all(|page| !model.pages.contains_key(&page));
                let place = if first + pages <= PAGES && free(first) {
                    Some(first)
                } else {
                    (0..=PAGES - pages).rev().find(|first| free(*first))
                };
                let Some(place) = place else { continue };
                let hint = Place::Hint(model.addr(first).offset(17));
                let result = space.map(MapRequest::anonymous(pages * PAGE_SIZE, perms(bits)).at(hint));
                // A hint that reaches over the model's end is taken there, where nothing is.
                if first + pages > PAGES && result == Ok(model.addr(first)) {
                    prop_assert_eq!(space.unmap(model.addr(PAGES), (first + pages - PAGES) * PAGE_SIZE), Ok(()));
                    for page in first..PAGES {
                        model.pages.insert(page, Page { perms: bits, ..Page::default() });
                    }
                    continue;
                }
                prop_assert_eq!(result, Ok(model.addr(place)));
                for page in place..place + pages {
                    model.pages.insert(page, Page { perms: bits, ..Page::default() });
                }
            }
            Step::Omit { first, pages, omitted } => {
                let pages = pages.min(PAGES - first);
                let advice = if omitted { Advice::DontFork } else { Advice::DoFork };
                let result = space.advise(model.addr(first), pages * PAGE_SIZE, advice);
                let whole = (first..first + pages).all(|page| model.pages.contains_key(&page));
                prop_assert_eq!(result.is_ok(), whole);
                for (_, page) in model.pages.range_mut(first..first + pages) {
                    page.omitted = omitted;
                }
            }
            Step::Unmap { first, pages } => {
                let pages = pages.min(PAGES - first);
                prop_assert_eq!(space.unmap(model.addr(first), pages * PAGE_SIZE), Ok(()));
                model.pages.retain(|page, _| !(first..first + pages).contains(page));
            }
            Step::Protect { first, pages, perms: bits } => {
                let pages = pages.min(PAGES - first);
                let result = space.protect(model.addr(first), pages * PAGE_SIZE, perms(bits));
                let hole = (first..first + pages).find(|page| !model.pages.contains_key(page));
                prop_assert_eq!(result.is_ok(), hole.is_none());
                for page in first..hole.unwrap_or(first + pages) {
                    model.pages.get_mut(&page).expect("mapped").perms = bits;
                }
            }
            Step::Write { page, offset, byte } => {
                let result = space.write(model.addr(page).offset(offset as i64), &[byte]);
                let target = model.pages.get_mut(&page).filter(|page| page.perms & 2 != 0);
                prop_assert_eq!(result.is_ok(), target.is_some());
                if let Some(target) = target {
                    target.bytes.insert(offset, byte);
                }
            }
            Step::Remap { first, old, new, fixed, keep } => {
                let old = old.min(PAGES - first);
                let fixed = fixed.filter(|to| to + new <= PAGES && (*to >= first + old || to + new <= first));
                if !model.one_private_mapping(first, old) || (fixed.is_none() && new > old) {
                    continue;
                }
                let keep = keep && old == new && fixed.is_some();
                let result = space.remap(RemapRequest {
                    addr: model.addr(first),
                    old_len: old * PAGE_SIZE,
                    new_len: new * PAGE_SIZE,
                    may_move: fixed.is_some(),
                    fixed: fixed.map(|page| model.addr(page)),
                    keep_old: keep,
                });
                // A host mapping may be split where the model sees one; the kernel then answers EFAULT and the new
                // place is empty or as before, which the model cannot tell.
                if let Err(error) = &result {
                    prop_assert_eq!(error.errno(), 14, "{:?}: {}", step, error);
                    return Ok(());
                }
                let to = fixed.unwrap_or(first);
                prop_assert_eq!(result, Ok(model.addr(to)));
                let template = Page { bytes: BTreeMap::new(), ..model.pages[&first].clone() };
                let moved: Vec<Page> = (0..new)
                    .map(|at| if at < old { model.pages[&(first + at)].clone() } else { template.clone() })
                    .collect();
                for at in 0..old {
                    if keep {
                        model.pages.insert(first + at, template.clone());
                    } else {
                        model.pages.remove(&(first + at));
                    }
                }
                for (page, contents) in (to..).zip(moved) {
                    model.pages.insert(page, contents);
                }
            }
            Step::Discard { first, pages } => {
                let pages = pages.min(PAGES - first);
                let result = space.advise(model.addr(first), pages * PAGE_SIZE, Advice::DontNeed);
                let whole = (first..first + pages).all(|page| model.pages.contains_key(&page));
                prop_assert_eq!(result.is_ok(), whole);
                for (_, page) in model.pages.range_mut(first..first + pages).filter(|(_, page)| !page.shared) {
                    page.bytes.clear();
                }
            }
        }
        check(space, &model)?;
    }
    Ok(())
}

fn check(space: &AddressSpace, model: &Model) -> Result<(), TestCaseError> {
    for page in 0..PAGES {
        let addr = model.addr(page);
        let region = space.region_at(addr);
        let expected = model.pages.get(&page);
        prop_assert_eq!(region.is_some(), expected.is_some(), "page {}", page);
        let (Some(region), Some(expected)) = (region, expected) else { continue };
        prop_assert_eq!(region.perms, perms(expected.perms));
        prop_assert_eq!(region.sharing == Sharing::Shared, expected.shared);
        prop_assert_eq!(region.omitted, expected.omitted);
        let mut bytes = vec![0; PAGE_SIZE as usize];
        let readable = space.read(addr, &mut bytes).is_ok();
        prop_assert_eq!(readable, expected.perms != 0);
        if readable {
            let mut model_bytes = vec![0; PAGE_SIZE as usize];
            for (offset, byte) in &expected.bytes {
                model_bytes[*offset as usize] = *byte;
            }
            prop_assert!(bytes == model_bytes, "contents of page {}", page);
        }
    }
    let total: u64 = space.regions().iter().map(|region| region.range.len()).sum();
    prop_assert_eq!(total, model.pages.len() as u64 * PAGE_SIZE);
    let everything = GuestRange::new(model.addr(0), PAGES * PAGE_SIZE).expect("no wrap");
    prop_assert_eq!(space.is_mapped(everything), model.pages.len() as u64 == PAGES);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_reservation_is_a_map_of_pages(steps in proptest::collection::vec(step(), 1..40)) {
        let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 }).expect("room for 16 MiB");
        run(&space, 0x10_0000, &steps)?;
    }

    #[test]
    fn direct_ground_is_a_map_of_pages(steps in proptest::collection::vec(step(), 1..40)) {
        let space = AddressSpace::new(Placement::Direct).expect("4 KiB pages");
        run(&space, 0x1234_0000_0000, &steps)?;
    }
}
