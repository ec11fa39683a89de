//! File names of a confined guest: they mean what they mean to a process in a chroot, and lead nowhere else.

#[path = "paths/against_chroot.rs"]
mod against_chroot;
#[path = "paths/calls.rs"]
mod calls;
mod common;
#[path = "common/folder.rs"]
mod folder;
#[path = "paths/guest.rs"]
mod guest;
#[path = "paths/overlay.rs"]
mod overlay;
#[path = "paths/races.rs"]
mod races;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by every test here: each changes the directory that the whole process is in.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
