//! [`Flat`]: accesses to guest memory that is one stretch of host addresses, with faults as values.
//!
//! Nothing here checks what is mapped: the host's page protection does. Each accessor is one host instruction whose
//! address, with that of the place to go on, stands in a table of the program. When the host faults on it,
//! [`fault`](crate::fault) finds it there, puts the faulting address into `rax` and one into `rcx`, and goes on behind
//! it. The signal handlers of [`fault::install`](crate::fault::install), or an embedder's handlers that call
//! [`fault::handle_signal`](crate::fault::handle_signal), have to be in place before.
//!
//! Exists on x86-64 only; elsewhere [`Flat::new`] gives `None`, and memory is reached through
//! [`GuestMemory`](vm_core::GuestMemory).

use vm_core::FlatView;
use vm_ir::{RmwOp, Type, eval};

/// A guest address, the first byte of an access that failed.
pub(crate) type FaultAddr = u64;

/// Guest memory at `base..base + limit` on the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flat {
    base: u64,
    limit: u64,
    #[cfg(not(target_arch = "x86_64"))]
    never: std::convert::Infallible,
}

/// An entry of the table of accessors: distances from the entry's own two words.
#[cfg(target_arch = "x86_64")]
#[repr(C)]
struct Entry {
    access: i32,
    resume: i32,
}

/// Where to go on after a fault of the host instruction at `pc`, if that is an accessor's.
#[cfg(target_arch = "x86_64")]
pub(crate) fn resume_after_fault(pc: usize) -> Option<usize> {
    unsafe extern "C" {
        #[link_name = "__start_vm_engine_faults"]
        static START: Entry;
        #[link_name = "__stop_vm_engine_faults"]
        static STOP: Entry;
    }
    // One entry that matches nothing, so that the section exists in every program.
    // SAFETY: emits data into a section of its own and no instruction.
    unsafe {
        std::arch::asm!(
            ".pushsection vm_engine_faults,\"aR\",@progbits",
            ".balign 4",
            ".long 0, 0",
            ".popsection",
            options(nomem, nostack, preserves_flags),
        );
    }
    let (start, stop) = (&raw const START, &raw const STOP);
    let count = (stop as usize - start as usize) / size_of::<Entry>();
    // SAFETY: the linker puts the two symbols at the ends of the section, which holds entries and nothing else.
    let entries = unsafe { std::slice::from_raw_parts(start, count) };
    entries.iter().find_map(|entry| {
        let access = (&raw const entry.access as usize).wrapping_add_signed(entry.access as isize);
        let resume = (&raw const entry.resume as usize).wrapping_add_signed(entry.resume as isize);
        (access == pc && entry.access != 0).then_some(resume)
    })
}

/// An instruction that may fault, and its entry in the table: `3:` is where to go on.
#[cfg(target_arch = "x86_64")]
macro_rules! guarded {
    ($instruction:literal) => {
        concat!(
            "2: ",
            $instruction,
            "\n3:\n.pushsection vm_engine_faults,\"aR\",@progbits\n.balign 4\n",
            ".long 2b - .\n.long 3b - .\n.popsection"
        )
    };
}

/// Copies bytes in ascending order until all `len` are copied or the host faults. Gives how many were.
///
/// # Safety
/// What can be accessed of the `len` bytes at `from` may be read, and of those at `to` written, while other threads
/// access them too; the ranges do not overlap. The signal handlers of [`fault`](crate::fault) are in place.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    let end: *mut u8;
    // SAFETY: copies what the caller vouches for, or faults and is resumed; `rdi` then is the first byte that was not
    // written. The direction flag is clear, as everywhere in Rust.
    unsafe {
        std::arch::asm!(
            guarded!("rep movsb"),
            inout("rdi") to => end,
            inout("rsi") from => _,
            inout("rcx") len => _,
            out("rax") _,
            options(nostack, preserves_flags),
        );
    }
    end.addr() - to.addr()
}

/// [`Flat`] memory in two words, for the interpreter's common accesses: what one host instruction does is done, everything
/// else is left to a slower way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "no accessors"))]
    base: u64,
    /// Eight bytes can be accessed at every address below, as far as limits go.
    bound: u64,
}

impl Window {
    /// Refuses everything.
    pub(crate) const SHUT: Self = Self { base: 0, bound: 0 };
}

/// Accesses of one width through a [`Window`].
macro_rules! window {
    ($load:ident $load_asm:literal, $store:ident $store_asm:literal) => {
        impl Window {
            /// Reads at `addr`, zero-extended. `None` if the access fails or is not for this way.
            #[inline(always)]
            pub(crate) fn $load(self, addr: u64) -> Option<u64> {
                if addr >= self.bound {
                    return None;
                }
                #[cfg(target_arch = "x86_64")]
                {
                    let (value, failed): (u64, u64);
                    // SAFETY: reads guest memory, to which no Rust reference exists, or faults and is resumed.
                    unsafe {
                        std::arch::asm!(
                            guarded!($load_asm),
                            base = in(reg) self.base,
                            addr = in(reg) addr,
                            out("rax") value,
                            inout("rcx") 0u64 => failed,
                            options(nostack, preserves_flags, readonly),
                        );
                    }
                    (failed == 0).then_some(value)
                }
                #[cfg(not(target_arch = "x86_64"))]
                None
            }

            /// Writes the low bits of `value` at `addr`. False if the access fails, with nothing written, or is not
            /// for this way.
            #[inline(always)]
            pub(crate) fn $store(self, addr: u64, value: u64) -> bool {
                if addr >= self.bound {
                    return false;
                }
                #[cfg(target_arch = "x86_64")]
                {
                    let failed: u64;
                    // SAFETY: writes guest memory, to which no Rust reference exists, or faults and is resumed.
                    unsafe {
                        std::arch::asm!(
                            guarded!($store_asm),
                            base = in(reg) self.base,
                            addr = in(reg) addr,
                            inout("rax") value => _,
                            inout("rcx") 0u64 => failed,
                            options(nostack, preserves_flags),
                        );
                    }
                    failed == 0
                }
                #[cfg(not(target_arch = "x86_64"))]
                {
                    let _ = value;
                    false
                }
            }
        }
    };
}

window!(load_8 "movzx eax, byte ptr [{base} + {addr}]", store_8 "mov byte ptr [{base} + {addr}], al");
window!(load_16 "movzx eax, word ptr [{base} + {addr}]", store_16 "mov word ptr [{base} + {addr}], ax");
window!(load_32 "mov eax, dword ptr [{base} + {addr}]", store_32 "mov dword ptr [{base} + {addr}], eax");
window!(load_64 "mov rax, qword ptr [{base} + {addr}]", store_64 "mov qword ptr [{base} + {addr}], rax");

/// Methods for one width.
macro_rules! width {
    (
        $ty:ident, $load:ident $load_asm:literal, $store:ident $store_asm:literal,
        $cas:ident $cas_asm:literal, $swap:ident $swap_asm:literal, $add:ident $add_asm:literal
    ) => {
        impl Flat {
            #[doc = concat!("Reads a `", stringify!($ty), "` at `addr`, any alignment.")]
            #[inline(always)]
            pub(crate) fn $load(self, addr: u64) -> Result<$ty, FaultAddr> {
                if !self.covers(addr, size_of::<$ty>() as u64) {
                    return Err(self.first_fault(addr));
                }
                #[cfg(target_arch = "x86_64")]
                {
                    let (value, failed): (u64, u64);
                    // SAFETY: reads guest memory, to which no Rust reference exists, or faults and is resumed.
                    unsafe {
                        std::arch::asm!(
                            guarded!($load_asm),
                            base = in(reg) self.base,
                            addr = in(reg) addr,
                            out("rax") value,
                            inout("rcx") 0u64 => failed,
                            options(nostack, preserves_flags, readonly),
                        );
                    }
                    self.checked(value, failed).map(|value| value as $ty)
                }
                #[cfg(not(target_arch = "x86_64"))]
                match self.never {}
            }

            #[doc = concat!("Writes a `", stringify!($ty), "` at `addr`, any alignment; all of it or nothing.")]
            #[inline(always)]
            pub(crate) fn $store(self, addr: u64, value: $ty) -> Result<(), FaultAddr> {
                if !self.covers(addr, size_of::<$ty>() as u64) {
                    return Err(self.first_fault(addr));
                }
                #[cfg(target_arch = "x86_64")]
                {
                    let (failed_at, failed): (u64, u64);
                    // SAFETY: writes guest memory, to which no Rust reference exists, or faults and is resumed.
                    unsafe {
                        std::arch::asm!(
                            guarded!($store_asm),
                            base = in(reg) self.base,
                            addr = in(reg) addr,
                            inout("rax") u64::from(value) => failed_at,
                            inout("rcx") 0u64 => failed,
                            options(nostack, preserves_flags),
                        );
                    }
                    self.checked(failed_at, failed).map(drop)
                }
                #[cfg(not(target_arch = "x86_64"))]
                {
                    let _ = value;
                    match self.never {}
                }
            }

            #[doc = concat!("Replaces the `", stringify!($ty), "` at `addr`, a multiple of its size, by `new` if it ")]
            #[doc = "equals `expected`, in one step and in one order with all others. Gives what was there."]
            #[inline(always)]
            pub(crate) fn $cas(self, addr: u64, expected: $ty, new: $ty) -> Result<$ty, FaultAddr> {
                if !self.covers(addr, size_of::<$ty>() as u64) {
                    return Err(self.first_fault(addr));
                }
                #[cfg(target_arch = "x86_64")]
                {
                    let (was, failed): (u64, u64);
                    // SAFETY: changes guest memory, to which no Rust reference exists, or faults and is resumed.
                    unsafe {
                        std::arch::asm!(
                            guarded!($cas_asm),
                            base = in(reg) self.base,
                            addr = in(reg) addr,
                            in("rdx") u64::from(new),
                            inout("rax") u64::from(expected) => was,
                            inout("rcx") 0u64 => failed,
                            options(nostack),
                        );
                    }
                    self.checked(was, failed).map(|was| was as $ty)
                }
                #[cfg(not(target_arch = "x86_64"))]
                {
                    let _ = (expected, new);
                    match self.never {}
                }
            }

            width!(@exchange $ty, $swap $swap_asm, "Writes `value`");
            width!(@exchange $ty, $add $add_asm, "Adds `value`, wrapping,");
        }
    };
    (@exchange $ty:ident, $name:ident $asm:literal, $what:literal) => {
        #[doc = concat!($what, " at `addr`, a multiple of the size, in one step and in one order with all others.")]
        #[doc = "Gives what was there."]
        #[inline(always)]
        fn $name(self, addr: u64, value: $ty) -> Result<$ty, FaultAddr> {
            if !self.covers(addr, size_of::<$ty>() as u64) {
                return Err(self.first_fault(addr));
            }
            #[cfg(target_arch = "x86_64")]
            {
                let (was, failed): (u64, u64);
                // SAFETY: changes guest memory, to which no Rust reference exists, or faults and is resumed.
                unsafe {
                    std::arch::asm!(
                        guarded!($asm),
                        base = in(reg) self.base,
                        addr = in(reg) addr,
                        inout("rax") u64::from(value) => was,
                        inout("rcx") 0u64 => failed,
                        options(nostack),
                    );
                }
                self.checked(was, failed).map(|was| was as $ty)
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = value;
                match self.never {}
            }
        }
    };
}

width!(
    u8, load_u8 "movzx eax, byte ptr [{base} + {addr}]", store_u8 "mov byte ptr [{base} + {addr}], al",
    cas_u8 "lock cmpxchg byte ptr [{base} + {addr}], dl", swap_u8 "xchg byte ptr [{base} + {addr}], al",
    add_u8 "lock xadd byte ptr [{base} + {addr}], al"
);
width!(
    u16, load_u16 "movzx eax, word ptr [{base} + {addr}]", store_u16 "mov word ptr [{base} + {addr}], ax",
    cas_u16 "lock cmpxchg word ptr [{base} + {addr}], dx", swap_u16 "xchg word ptr [{base} + {addr}], ax",
    add_u16 "lock xadd word ptr [{base} + {addr}], ax"
);
width!(
    u32, load_u32 "mov eax, dword ptr [{base} + {addr}]", store_u32 "mov dword ptr [{base} + {addr}], eax",
    cas_u32 "lock cmpxchg dword ptr [{base} + {addr}], edx", swap_u32 "xchg dword ptr [{base} + {addr}], eax",
    add_u32 "lock xadd dword ptr [{base} + {addr}], eax"
);
width!(
    u64, load_u64 "mov rax, qword ptr [{base} + {addr}]", store_u64 "mov qword ptr [{base} + {addr}], rax",
    cas_u64 "lock cmpxchg qword ptr [{base} + {addr}], rdx", swap_u64 "xchg qword ptr [{base} + {addr}], rax",
    add_u64 "lock xadd qword ptr [{base} + {addr}], rax"
);

impl Flat {
    /// Accessors for `view`; `None` on hosts that have none.
    pub(crate) fn new(view: FlatView) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            Some(Self { base: view.base as u64, limit: view.limit })
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = view;
            None
        }
    }

    /// The window on all of it.
    pub(crate) const fn window(self) -> Window {
        Window { base: self.base, bound: self.limit.saturating_sub(7) }
    }

    /// Whether the `len` bytes at `addr`, at most 16, lie below the limit.
    #[inline(always)]
    const fn covers(self, addr: u64, len: u64) -> bool {
        addr < self.limit && self.limit - addr >= len
    }

    /// What an accessor's two registers say.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    const fn checked(self, value: u64, failed: u64) -> Result<u64, FaultAddr> {
        if failed == 0 { Ok(value) } else { Err(value.wrapping_sub(self.base)) }
    }

    /// The first failing byte of an access at `addr` that reaches over the limit or starts beyond it.
    #[cold]
    fn first_fault(self, addr: u64) -> FaultAddr {
        let mut at = addr;
        while at < self.limit {
            if let Err(fault) = self.load_u8(at) {
                return fault;
            }
            at += 1;
        }
        at
    }

    /// Reads 16 bytes at `addr`, any alignment; not in one step.
    #[inline(always)]
    pub(crate) fn load_u128(self, addr: u64) -> Result<u128, FaultAddr> {
        if !self.covers(addr, 16) {
            return Err(self.first_fault(addr));
        }
        let low = self.load_u64(addr)?;
        let high = self.load_u64(addr + 8)?;
        Ok(u128::from(low) | u128::from(high) << 64)
    }

    /// Writes 16 bytes at `addr`, any alignment; all of them or nothing, though not in one step.
    #[inline(always)]
    pub(crate) fn store_u128(self, addr: u64, value: u128) -> Result<(), FaultAddr> {
        if !self.covers(addr, 16) {
            return Err(self.first_fault(addr));
        }
        #[cfg(target_arch = "x86_64")]
        {
            let (failed_at, failed): (u64, u64);
            // SAFETY: writes guest memory, to which no Rust reference exists, or faults and is resumed.
            unsafe {
                std::arch::asm!(
                    "movq {wide}, rax",
                    "movq {upper}, rdx",
                    "punpcklqdq {wide}, {upper}",
                    guarded!("movups xmmword ptr [{base} + {addr}], {wide}"),
                    base = in(reg) self.base,
                    addr = in(reg) addr,
                    wide = out(xmm_reg) _,
                    upper = out(xmm_reg) _,
                    in("rdx") (value >> 64) as u64,
                    inout("rax") value as u64 => failed_at,
                    inout("rcx") 0u64 => failed,
                    options(nostack, preserves_flags),
                );
            }
            self.checked(failed_at, failed).map(drop)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = value;
            match self.never {}
        }
    }

    /// Replaces the 16 bytes at `addr`, a multiple of 16, by `new` if they equal `expected`, in one step and in one order
    /// with all others. Gives what was there.
    pub(crate) fn cas_u128(self, addr: u64, expected: u128, new: u128) -> Result<u128, FaultAddr> {
        if !self.covers(addr, 16) {
            return Err(self.first_fault(addr));
        }
        #[cfg(target_arch = "x86_64")]
        {
            let (low, high, failed): (u64, u64, u64);
            // SAFETY: changes guest memory, to which no Rust reference exists, or faults and is resumed. Every x86-64
            // processor since 2006 has CMPXCHG16B. LLVM keeps rbx for itself, so it is swapped in and out; `ecx` is
            // cleared where nothing failed, being an operand before.
            unsafe {
                std::arch::asm!(
                    "xchg rbx, rsi",
                    "2: lock cmpxchg16b xmmword ptr [rdi]",
                    "mov ecx, 0",
                    "3: mov rbx, rsi",
                    ".pushsection vm_engine_faults,\"aR\",@progbits",
                    ".balign 4",
                    ".long 2b - .",
                    ".long 3b - .",
                    ".popsection",
                    in("rdi") self.base.wrapping_add(addr),
                    inout("rsi") new as u64 => _,
                    inout("rcx") (new >> 64) as u64 => failed,
                    inout("rax") expected as u64 => low,
                    inout("rdx") (expected >> 64) as u64 => high,
                    options(nostack),
                );
            }
            self.checked(low, failed).map(|low| u128::from(low) | u128::from(high) << 64)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = (expected, new);
            match self.never {}
        }
    }

    /// Reads a scalar of `ty`, zeros above it.
    ///
    /// # Panics
    /// If `ty` is [`Type::V128`].
    #[inline(always)]
    pub(crate) fn load(self, ty: Type, addr: u64) -> Result<u64, FaultAddr> {
        match ty {
            Type::I8 => self.load_u8(addr).map(u64::from),
            Type::I16 | Type::F16 => self.load_u16(addr).map(u64::from),
            Type::I32 | Type::F32 => self.load_u32(addr).map(u64::from),
            Type::I64 | Type::F64 => self.load_u64(addr),
            Type::V128 => panic!("a vector is no scalar"),
        }
    }

    /// Writes the scalar of `ty` in the low bits of `value`.
    ///
    /// # Panics
    /// If `ty` is [`Type::V128`].
    #[inline(always)]
    pub(crate) fn store(self, ty: Type, addr: u64, value: u64) -> Result<(), FaultAddr> {
        match ty {
            Type::I8 => self.store_u8(addr, value as u8),
            Type::I16 | Type::F16 => self.store_u16(addr, value as u16),
            Type::I32 | Type::F32 => self.store_u32(addr, value as u32),
            Type::I64 | Type::F64 => self.store_u64(addr, value),
            Type::V128 => panic!("a vector is no scalar"),
        }
    }

    /// Compare-and-swap of an integer of `ty`; see [`Flat::cas_u64`].
    ///
    /// # Panics
    /// If `ty` is no integer type.
    #[inline(always)]
    pub(crate) fn cas(self, ty: Type, addr: u64, expected: u64, new: u64) -> Result<u64, FaultAddr> {
        match ty {
            Type::I8 => self.cas_u8(addr, expected as u8, new as u8).map(u64::from),
            Type::I16 => self.cas_u16(addr, expected as u16, new as u16).map(u64::from),
            Type::I32 => self.cas_u32(addr, expected as u32, new as u32).map(u64::from),
            Type::I64 => self.cas_u64(addr, expected, new),
            Type::F16 | Type::F32 | Type::F64 | Type::V128 => panic!("{ty} is no integer type"),
        }
    }

    /// Read-modify-write of an integer of `ty` at `addr`, a multiple of its size, in one step and in one order with all
    /// others. Gives the old value.
    ///
    /// # Panics
    /// If `ty` is no integer type.
    #[inline(always)]
    pub(crate) fn rmw(self, op: RmwOp, ty: Type, addr: u64, operand: u64) -> Result<u64, FaultAddr> {
        match op {
            RmwOp::Swap => match ty {
                Type::I8 => self.swap_u8(addr, operand as u8).map(u64::from),
                Type::I16 => self.swap_u16(addr, operand as u16).map(u64::from),
                Type::I32 => self.swap_u32(addr, operand as u32).map(u64::from),
                Type::I64 => self.swap_u64(addr, operand),
                Type::F16 | Type::F32 | Type::F64 | Type::V128 => panic!("{ty} is no integer type"),
            },
            RmwOp::Add => match ty {
                Type::I8 => self.add_u8(addr, operand as u8).map(u64::from),
                Type::I16 => self.add_u16(addr, operand as u16).map(u64::from),
                Type::I32 => self.add_u32(addr, operand as u32).map(u64::from),
                Type::I64 => self.add_u64(addr, operand),
                Type::F16 | Type::F32 | Type::F64 | Type::V128 => panic!("{ty} is no integer type"),
            },
            RmwOp::And
            | RmwOp::Or
            | RmwOp::Xor
            | RmwOp::MinS
            | RmwOp::MaxS
            | RmwOp::MinU
            | RmwOp::MaxU
            | RmwOp::AndNot => {
                let mut old = self.load(ty, addr)?;
                loop {
                    let was = self.cas(ty, addr, old, eval::rmw(op, ty, old, operand))?;
                    if was == old {
                        return Ok(old);
                    }
                    old = was;
                }
            }
        }
    }
}
