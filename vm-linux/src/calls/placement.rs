//! Where memory is: on which nodes of the machine, and whether it stays in memory.

use vm_mem::Region;

use crate::errno::Errno;
use crate::host::{self, Arg, HostCall};
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
        page.copy_from_slice(&user.pointer(addr, 1).get().to_le_bytes());
    }
    let numbers = |index| Arg::Guest(user.pointer(a.raw(index), 4 * count));
    let mut args =
        [Arg::Int(a.raw(0)), Arg::Int(count), Arg::Bytes(&mut pages), numbers(3), numbers(4), Arg::Int(a.raw(5))];
    Ok(host::call(&host::MOVE_PAGES, &mut args)?)
}

// `asm-generic/mman.h`.
const MCL_CURRENT: u32 = 1;
const MCL_ALL: u32 = 7;
const MCL_ONFAULT: u32 = 4;

/// Makes `call` for every region that the guest has mapped.
fn each(t: &Thread, call: &HostCall, rest: &[u64]) -> Result<(), Errno> {
    let regions: Vec<Region> = t.space.regions();
    for region in regions {
        let (start, len) = (region.range.start().get(), region.range.len());
        let mut args = vec![Arg::Guest(t.user().pointer(start, len)), Arg::Int(len)];
        args.extend(rest.iter().map(|value| Arg::Int(*value)));
        match host::call(call, &mut args) {
            // What cannot be touched cannot be brought into memory either, which is no mistake here.
            Ok(_) | Err(Errno::ENOMEM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// `mlockall(flags)`: of the guest's memory, not of the emulator's.
pub(crate) fn mlockall(t: &mut Thread, a: &Args) -> SysResult {
    let flags = a.uint(0);
    if flags & !MCL_ALL != 0 || flags == 0 || flags == MCL_ONFAULT {
        return Err(Errno::EINVAL.into());
    }
    if flags & MCL_CURRENT != 0 {
        /// `MLOCK_ONFAULT`.
        const ON_FAULT: u64 = 1;
        each(t, &host::MLOCK2, &[if flags & MCL_ONFAULT == 0 { 0 } else { ON_FAULT }])?;
    }
    Ok(0)
}

/// `munlockall()`.
pub(crate) fn munlockall(t: &mut Thread, _: &Args) -> SysResult {
    each(t, &host::MUNLOCK, &[])?;
    Ok(0)
}
