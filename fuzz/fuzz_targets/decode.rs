//! Lifting is total: any bytes give a block that the verifier accepts, before and after the passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm_core::{Access, BlockKey, GuestAddr, GuestArch, GuestMemory, MemFault, Mode};
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_ir::{BlockSource, Effort};

const START: GuestAddr = GuestAddr::new(0x1000);

/// The bytes at [`START`].
struct Code<'a>(&'a [u8]);

impl GuestMemory for Code<'_> {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        let at = usize::try_from(addr.offset_from(START)).unwrap_or(usize::MAX);
        let rest = self.0.get(at..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or(MemFault::Unmapped { addr, access: Access::Execute })?;
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn read(&self, addr: GuestAddr, _: &mut [u8]) -> Result<(), MemFault> {
        Err(MemFault::Unmapped { addr, access: Access::Read })
    }

    fn write(&self, addr: GuestAddr, _: &[u8]) -> Result<(), MemFault> {
        Err(MemFault::Unmapped { addr, access: Access::Write })
    }

    fn compare_exchange(&self, addr: GuestAddr, _: usize, _: u128, _: u128) -> Result<u128, MemFault> {
        Err(MemFault::Unmapped { addr, access: Access::Write })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let options = TranslationOptions { verify: true, ..TranslationOptions::default() };
    let pipeline = TranslationPipeline::new(GuestArch::Riscv64, options).expect("the guest is built in");
    let Some((mode, code)) = bytes.split_first() else { return };
    let key = BlockKey::new(START, Mode::new(u32::from(mode & 7)));
    for effort in [Effort::Once, Effort::Quick, Effort::Full] {
        let block = pipeline.translate(key, &Code(code), effort);
        assert!(code.starts_with(&block.bytes));
    }
    let guest = pipeline.guest();
    if let Ok((text, len)) = guest.disassemble(code, START.get(), pipeline.extensions()) {
        assert!(!text.is_empty() && len <= code.len());
    }
});
