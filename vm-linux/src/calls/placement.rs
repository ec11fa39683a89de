//! Where memory is: on which nodes of the machine.

use crate::errno::Errno;
use crate::host::{self, Arg, GuestPtr};
use crate::kernel::{Args, SysResult};
use crate::thread::Thread;

use super::sched::is_own;

/// Passes a call on that takes addresses in this process's memory, for the process `a.int(0)`.
fn for_own(t: &Thread, process: i32) -> Result<(), Errno> {
    // In other guest processes guest addresses are host addresses if they are here.
    if t.space.view().base == 0 || is_own(t, process) { Ok(()) } else { Err(Errno::EPERM) }
}

/// `move_pages(process, count, pages, nodes, status, flags)`.
pub(crate) fn move_pages(t: &mut Thread, a: &Args) -> SysResult {
    /// As many pages as are worth moving at once.
    const MOST: u64 = 1 << 20;
    for_own(t, a.int(0))?;
    let (user, count) = (t.user(), a.raw(1));
    let last = count.checked_sub(1).and_then(|last| last.checked_mul(8)).and_then(|last| a.raw(2).checked_add(last));
    let is_readable = count == 0 || last.is_some_and(|last| user.bytes(last, 8).is_ok());
    if count > MOST && is_readable {
        return Err(Errno::E2BIG.into());
    }
    let pages = if is_readable { user.bytes(a.raw(2), 8 * count as usize).ok() } else { None };
    let Some(mut pages) = pages else {
        // The host finds that, after what it looks at before.
        let nowhere = || Arg::Guest(user.pointer(u64::MAX, 1));
        let status = Arg::Guest(user.pointer(a.raw(4), 4));
        let mut args =
            [Arg::Int(a.raw(0)), Arg::Int(1), nowhere(), Arg::Guest(GuestPtr::NULL), status, Arg::Int(a.raw(5))];
        return Ok(host::call(&host::MOVE_PAGES, &mut args)?);
    };
    for page in pages.chunks_exact_mut(8) {
        let addr = u64::from_le_bytes(std::array::from_fn(|index| page[index]));
        page.copy_from_slice(&user.range(addr, 1).get().to_le_bytes());
    }
    let numbers = |index| Arg::Guest(user.pointer(a.raw(index), 4 * count));
    let mut args =
        [Arg::Int(a.raw(0)), Arg::Int(count), Arg::Bytes(&mut pages), numbers(3), numbers(4), Arg::Int(a.raw(5))];
    Ok(host::call(&host::MOVE_PAGES, &mut args)?)
}
