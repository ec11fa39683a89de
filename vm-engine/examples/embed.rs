//! A guest in the embedder's own memory, with the embedder's own two system calls.

use std::sync::{Arc, Mutex};

use vm_core::{Access, ByteMemory, Exit, GuestAddr, GuestArch, GuestMemory};
use vm_cross_arch_support::{TranslationOptions, TranslationPipeline, riscv64::x};
use vm_engine::{Config, Engine};

/// `li a0, 1; li a1, 0x20; li a2, 6; li a7, 64; ecall`, which is `write(1, 0x20, 6)`; then
/// `li a0, 7; li a7, 93; ecall`, which is `exit(7)`.
const CODE: [u32; 8] = [
    0x00100513, 0x02000593, 0x00600613, 0x04000893, 0x00000073, //
    0x00700513, 0x05d00893, 0x00000073,
];

/// Guest memory from address 0, every access permitted.
struct Ram(Mutex<Vec<u8>>);

impl ByteMemory for Ram {
    fn borrow(&self, addr: GuestAddr, _: Access, use_bytes: &mut dyn FnMut(&mut [u8])) {
        use_bytes(self.0.lock().unwrap().get_mut(addr.get() as usize..).unwrap_or_default());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ram = Arc::new(Ram(Mutex::new([CODE.map(u32::to_le_bytes).as_flattened(), b"hello\n"].concat())));
    let guest = TranslationPipeline::new(GuestArch::Riscv64, TranslationOptions::default())?;
    let engine = Engine::new(Arc::new(guest), ram.clone(), Config::default())?;
    let mut vcpu = engine.vcpu(); // its program counter and all registers are 0
    loop {
        match vcpu.run() {
            Exit::Syscall => {}
            Exit::Trap(trap) => return Err(format!("{trap} at {}", vcpu.state().pc()).into()),
            Exit::Interrupted | Exit::BudgetSpent | Exit::Uncompilable => unreachable!("nothing here asks for it"),
        }
        match [10, 11, 12, 17].map(|n| vcpu.state().get(x(n))) {
            // write
            [_, start, len, 64] => {
                let mut text = vec![0; len.min(0x1000) as usize];
                ram.read(GuestAddr::new(start), &mut text)?;
                print!("{}", String::from_utf8_lossy(&text));
                vcpu.state_mut().set(x(10), text.len() as u64);
            }
            // exit
            [status, _, _, 93] => break println!("exit status {status}"),
            [.., number] => return Err(format!("system call {number} is not implemented").into()),
        }
    }
    Ok(())
}
