//! Futexes that a thread leaves behind when it ends (`Documentation/locking/robust-futexes.rst`).

use vm_core::{GuestAddr, GuestMemory};

use crate::host::{self, Arg};
use crate::kernel::{Kernel, null};

/// Size of `struct robust_list_head`.
pub(crate) const ROBUST_HEAD: u64 = 24;
/// Entries of a list that are followed, as the kernel bounds it (`ROBUST_LIST_LIMIT`).
const ROBUST_LIMIT: usize = 2048;

// `linux/futex.h`.
const FUTEX_WAKE: u64 = 1;
const FUTEX_WAITERS: u32 = 0x8000_0000;
const FUTEX_OWNER_DIED: u32 = 0x4000_0000;
const FUTEX_TID_MASK: u32 = 0x3fff_ffff;

/// Wakes up to `count` threads that wait on the word at `addr`, in any process.
pub(crate) fn wake(kernel: &Kernel, addr: u64, count: u64) {
    let word = Arg::Guest(kernel.user().pointer(addr, 4));
    let mut args = [word, Arg::Int(FUTEX_WAKE), Arg::Int(count), Arg::Int(0), null(), Arg::Int(0)];
    // Nobody is told of a bad address.
    let _ = host::call(&host::FUTEX_NUMBER, &mut args);
}

/// Marks every robust futex that thread `tid` owns as left by its owner, and wakes a thread that waits for it.
/// The list is the guest's: whatever is wrong with it ends the walk.
pub(crate) fn release_robust(kernel: &Kernel, tid: i32, head: u64) {
    let number = |addr: u64| -> Option<u64> {
        let bytes = kernel.user().bytes(addr, 8).ok()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    if head == 0 {
        return;
    }
    let (Some(first), Some(offset), Some(pending)) = (number(head), number(head + 8), number(head + 16)) else {
        return;
    };
    // The lowest bit of a link says that the futex inherits priorities.
    let (mut entry, mut left) = (first, ROBUST_LIMIT);
    while entry & !1 != head && left > 0 {
        let next = number(entry & !1);
        if entry & !1 != pending & !1 {
            release(kernel, tid, (entry & !1).wrapping_add(offset), entry & 1 != 0, false);
        }
        let Some(next) = next else { return };
        entry = next;
        left -= 1;
    }
    if pending & !1 != 0 {
        release(kernel, tid, (pending & !1).wrapping_add(offset), pending & 1 != 0, true);
    }
}

/// Marks one futex.
fn release(kernel: &Kernel, tid: i32, addr: u64, inherits: bool, pending: bool) {
    if !addr.is_multiple_of(4) {
        return;
    }
    loop {
        let Ok(bytes) = kernel.user().bytes(addr, 4) else { return };
        let value = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if pending && !inherits && value == 0 {
            // It was unlocked, and its owner ended before it could wake anybody.
            wake(kernel, addr, 1);
            return;
        }
        if value & FUTEX_TID_MASK != tid as u32 {
            return;
        }
        let left = value & FUTEX_WAITERS | FUTEX_OWNER_DIED;
        match kernel.space.compare_exchange(GuestAddr::new(addr), 4, value.into(), left.into()) {
            Ok(found) if found == u128::from(value) => {
                if !inherits && value & FUTEX_WAITERS != 0 {
                    wake(kernel, addr, 1);
                }
                return;
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
