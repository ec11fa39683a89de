//! Clocks that are read without the host's kernel.

use crate::host;
use crate::kernel::{Args, SysResult};
use crate::thread::Thread;

/// `clock_gettime(clock, time)`. The host's C library reads most clocks in the process, as a guest's would with a kernel's
/// own vDSO.
pub(crate) fn clock_gettime(t: &mut Thread, a: &Args) -> SysResult {
    let now = host::clock(a.int(0))?;
    put_pair(t, a.raw(1), now)
}

/// `gettimeofday(time, timezone)`.
pub(crate) fn gettimeofday(t: &mut Thread, a: &Args) -> SysResult {
    if a.raw(0) == 0 || a.raw(1) != 0 {
        return t.pass(&host::GETTIMEOFDAY, a);
    }
    let [seconds, nanoseconds] = host::clock(libc::CLOCK_REALTIME)?;
    put_pair(t, a.raw(0), [seconds, nanoseconds / 1000])
}

/// Copies out a `timespec` or `timeval`.
fn put_pair(t: &Thread, addr: u64, [seconds, rest]: [u64; 2]) -> SysResult {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seconds.to_le_bytes());
    bytes[8..].copy_from_slice(&rest.to_le_bytes());
    t.user().put_bytes(addr, &bytes)?;
    Ok(0)
}
