//! Code that is being made: what others need not make as well.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use vm_core::BlockKey;

/// Keys at which regions that are being made will be entered.
#[derive(Debug, Default)]
pub(super) struct Coming {
    keys: Arc<Keys>,
}

type Keys = Mutex<HashSet<BlockKey, RandomState>>;

fn lock(keys: &Keys) -> MutexGuard<'_, HashSet<BlockKey, RandomState>> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Coming {
    /// Announces `keys` until what this gives is dropped.
    pub(super) fn announce(&self, keys: Vec<BlockKey>) -> Announced {
        lock(&self.keys).extend(&keys);
        Announced { keys, all: Arc::clone(&self.keys) }
    }

    /// Whether `key` was announced, and that is not over.
    pub(super) fn contains(&self, key: BlockKey) -> bool {
        lock(&self.keys).contains(&key)
    }

    /// Holds every change off until the guard is dropped.
    pub(super) fn hold(&self) -> HeldComing<'_> {
        HeldComing(lock(&self.keys))
    }
}

/// Keys that are announced while this lives.
#[derive(Debug)]
pub(super) struct Announced {
    keys: Vec<BlockKey>,
    all: Arc<Keys>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        for key in &self.keys {
            all.remove(key);
        }
    }
}

/// Keeps the lock.
pub(super) struct HeldComing<'a>(MutexGuard<'a, HashSet<BlockKey, RandomState>>);

impl HeldComing<'_> {
    /// In the child of a fork, nobody makes what was being made.
    pub(super) fn in_child(mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use vm_core::{GuestAddr, Mode};

    use super::*;

    #[test]
    fn keys_are_announced_until_the_maker_is_done() {
        let [first, second] = [0x100, 0x200].map(|pc| BlockKey::new(GuestAddr::new(pc), Mode::default()));
        let coming = Coming::default();
        let one = coming.announce(vec![first]);
        let two = coming.announce(vec![second]);
        assert!(coming.contains(first) && coming.contains(second));
        drop(one);
        assert!(!coming.contains(first) && coming.contains(second));
        coming.hold().in_child();
        assert!(!coming.contains(second));
        drop(two);
    }
}
