//! Any text is refused or parses. A block that the verifier accepts prints to text which parses to the same block, and the
//! passes make it a block that the verifier accepts too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm_core::GuestArch;
use vm_cross_arch_support::registry;
use vm_ir::opt::optimise;
use vm_ir::text::{Names, parse, print};
use vm_ir::{Block, Mark, verify};

fuzz_target!(|text: &str| {
    let guest = registry::guest(GuestArch::Riscv64).expect("the guest is built in");
    let names = Names { slots: guest.slots(), helpers: guest.helpers() };
    let Ok(mut block) = parse(text, names) else { return };
    if verify(&block, None, names.helpers).is_err() {
        return;
    }
    let printed = print(&block, names, no_note).to_string();
    assert_eq!(parse(&printed, names).as_ref(), Ok(&block));
    optimise(&mut block, names.helpers);
    if let Err(error) = verify(&block, None, names.helpers) {
        panic!("{error}: {printed}\nbecomes {}", print(&block, names, no_note));
    }
});

fn no_note(_: &Block, _: Mark) -> String {
    String::new()
}
