//! What a program can ask about the machine it runs on.

use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::kernel::{Args, SysResult, guest_range};
use crate::layout::Layout;
use crate::layout::riscv64::HwProbe;
use crate::thread::Thread;

/// What a kernel calls the guest's machine.
pub(crate) const MACHINE: &[u8] = b"riscv64";

/// Bytes of `struct new_utsname`, and where in it the machine's name is.
const UTSNAME: (usize, std::ops::Range<usize>) = (390, 260..325);

/// `uname(buffer)`: the host's kernel on the guest's machine.
pub(crate) fn uname(t: &mut Thread, a: &Args) -> SysResult {
    let mut name = vec![0; UTSNAME.0];
    host::call(&host::UNAME, &mut [Arg::Bytes(&mut name)])?;
    let machine = &mut name[UTSNAME.1];
    machine.fill(0);
    machine[..MACHINE.len()].copy_from_slice(MACHINE);
    t.user().put_bytes(a.raw(0), &name)?;
    Ok(0)
}

/// Keys of `riscv_hwprobe` (`Documentation/arch/riscv/hwprobe.rst`).
mod key {
    pub(super) const MVENDORID: i64 = 0;
    pub(super) const MARCHID: i64 = 1;
    pub(super) const MIMPID: i64 = 2;
    pub(super) const BASE_BEHAVIOR: i64 = 3;
    pub(super) const IMA_EXT_0: i64 = 4;
    pub(super) const CPUPERF_0: i64 = 5;
    pub(super) const ZICBOZ_BLOCK_SIZE: i64 = 6;
}

/// Bits of `IMA_EXT_0` for what is implemented: FD, C, Zba, Zbb, Zbs, Zicboz, Zbc, Zbkb, Zbkc, Zbkx, Zknd, Zkne, Zknh,
/// Zfh, Zfhmin, Zicond, Zihintpause.
const EXTENSIONS: u64 = 1 << 0
    | 1 << 1
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 8
    | 1 << 9
    | 1 << 10
    | 1 << 11
    | 1 << 12
    | 1 << 13
    | 1 << 27
    | 1 << 28
    | 1 << 35
    | 1 << 36;

/// Bytes that `cbo.zero` clears.
const CACHE_BLOCK: u64 = 64;

fn probe(asked: i64) -> HwProbe {
    let value = match asked {
        key::MVENDORID | key::MARCHID | key::MIMPID => 0,
        key::BASE_BEHAVIOR => 1,
        key::IMA_EXT_0 => EXTENSIONS,
        // RISCV_HWPROBE_MISALIGNED_FAST: as on the host.
        key::CPUPERF_0 => 3,
        key::ZICBOZ_BLOCK_SIZE => CACHE_BLOCK,
        _ => return HwProbe { key: -1, value: 0 },
    };
    HwProbe { key: asked, value }
}

/// `riscv_hwprobe(pairs, pair_count, cpuset_size, cpus, flags)`.
pub(crate) fn riscv_hwprobe(t: &mut Thread, a: &Args) -> SysResult {
    if a.uint(4) != 0 {
        return Err(Errno::EINVAL.into());
    }
    // A set of processors may be given without a size or the other way round, but not emptied.
    if (a.raw(2) == 0) != (a.raw(3) == 0) {
        return Err(Errno::EINVAL.into());
    }
    if a.raw(3) != 0 {
        let size = a.raw(2).min(128) as usize;
        if t.user().bytes(a.raw(3), size)?.iter().all(|byte| *byte == 0) {
            return Err(Errno::EINVAL.into());
        }
    }
    for index in 0..a.raw(1) {
        let at = a.raw(0).wrapping_add(index.wrapping_mul(HwProbe::SIZE as u64));
        let asked: HwProbe = t.user().get(at)?;
        t.user().put(at, &probe(asked.key))?;
    }
    Ok(0)
}

/// `riscv_flush_icache(start, end, flags)`: what was translated from the pages of the range is compared with memory. A
/// kernel flushes everything whatever the range, so one that makes no sense stands for all of memory.
pub(crate) fn riscv_flush_icache(t: &mut Thread, a: &Args) -> SysResult {
    /// `SYS_RISCV_FLUSH_ICACHE_LOCAL`: for the calling thread alone.
    const LOCAL: u64 = 1;
    if a.raw(2) & !LOCAL != 0 {
        return Err(Errno::EINVAL.into());
    }
    let (start, end) = (a.raw(0), a.raw(1));
    if start < end {
        t.engine.flush_range(guest_range(start, end - start));
    } else {
        t.engine.flush_code();
    }
    if a.raw(2) & LOCAL == 0 {
        t.engine.wait_for_vcpus();
    }
    Ok(0)
}
