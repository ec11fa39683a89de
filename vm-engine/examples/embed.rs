//! A guest in the embedder's own memory, with the embedder's own two system calls.

use std::sync::{Arc, Mutex};

use vm_core::{Access, Exit, GuestAddr, GuestArch, GuestMemory, MemFault};
use vm_cross_arch_support::riscv64::x;
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline};
use vm_engine::{Config, Engine};

/// Guest memory from address 0, everything permitted.
struct Ram(Mutex<Vec<u8>>);

impl Ram {
    fn with<R>(
        &self,
        addr: GuestAddr,
        len: usize,
        access: Access,
        f: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, MemFault> {
        let mut ram = self.0.lock().unwrap();
        let (start, end) = (addr.get() as usize, ram.len());
        let bytes = ram.get_mut(start..).and_then(|rest| rest.get_mut(..len));
        bytes.map(f).ok_or(MemFault::Unmapped { addr: GuestAddr::new(start.max(end) as u64), access })
    }
}

impl GuestMemory for Ram {
    fn fetch(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<usize, MemFault> {
        let len = buf.len().min(self.0.lock().unwrap().len().saturating_sub(addr.get() as usize)).max(1);
        self.with(addr, len, Access::Execute, |ram| buf[..len].copy_from_slice(ram))?;
        Ok(len)
    }

    fn read(&self, addr: GuestAddr, buf: &mut [u8]) -> Result<(), MemFault> {
        self.with(addr, buf.len(), Access::Read, |ram| buf.copy_from_slice(ram))
    }

    fn write(&self, addr: GuestAddr, bytes: &[u8]) -> Result<(), MemFault> {
        self.with(addr, bytes.len(), Access::Write, |ram| ram.copy_from_slice(bytes))
    }

    fn compare_exchange(&self, addr: GuestAddr, size: usize, expected: u128, new: u128) -> Result<u128, MemFault> {
        self.with(addr, size, Access::Write, |ram| {
            let old = ram.iter().rev().fold(0, |value, byte| value << 8 | u128::from(*byte));
            if old == expected {
                ram.copy_from_slice(&new.to_le_bytes()[..size]);
            }
            old
        })
    }
}

/// `write(1, 0x40, 6)`, then `exit(7)`.
const PROGRAM: [u32; 8] = [
    0x0010_0513, // li a0, 1
    0x0400_0593, // li a1, 0x40
    0x0060_0613, // li a2, 6
    0x0400_0893, // li a7, 64
    0x0000_0073, // ecall
    0x0070_0513, // li a0, 7
    0x05d0_0893, // li a7, 93
    0x0000_0073, // ecall
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let memory = Arc::new(Ram(Mutex::new(vec![0; 0x1000])));
    memory.write(GuestAddr::new(0), &PROGRAM.map(u32::to_le_bytes).concat())?;
    memory.write(GuestAddr::new(0x40), b"hello\n")?;
    let guest = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default())?;
    let engine = Engine::new(Arc::new(guest), memory.clone(), Config::default())?;
    let mut vcpu = engine.vcpu(); // its program counter is 0
    loop {
        match vcpu.run() {
            Exit::Syscall => {
                let [a0, a1, a2, a7] = [10, 11, 12, 17].map(|n| vcpu.state().get(x(n)));
                match a7 {
                    64 => {
                        let mut text = vec![0; a2.min(0x1000) as usize];
                        memory.read(GuestAddr::new(a1), &mut text)?;
                        print!("{}", String::from_utf8_lossy(&text));
                        vcpu.state_mut().set(x(10), a2);
                    }
                    93 => break println!("exit status {a0}"),
                    number => break println!("unknown system call {number}"),
                }
            }
            Exit::Trap(trap) => break println!("{trap} at {}", vcpu.state().pc()),
            Exit::Interrupted | Exit::BudgetSpent | Exit::Uncompilable => {} // only where they are asked for
        }
    }
    Ok(())
}
