//! Where memory is: on which nodes of the machine.

use crate::errno::Errno;
use crate::host::{self, Arg};
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
    let count = a.raw(1);
    if count > MOST {
        return Err(Errno::E2BIG.into());
    }
    let user = t.user();
    let mut pages = user.bytes(a.raw(2), 8 * count as usize)?;
    for page in pages.chunks_exact_mut(8) {
        let addr = u64::from_le_bytes(std::array::from_fn(|index| page[index]));
        page.copy_from_slice(&user.range(addr, 1).get().to_le_bytes());
    }
    let numbers = |index| Arg::Guest(user.pointer(a.raw(index), 4 * count));
    let mut args =
        [Arg::Int(a.raw(0)), Arg::Int(count), Arg::Bytes(&mut pages), numbers(3), numbers(4), Arg::Int(a.raw(5))];
    Ok(host::call(&host::MOVE_PAGES, &mut args)?)
}
