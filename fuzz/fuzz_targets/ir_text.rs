//! Any text is refused or parses; a block that the verifier accepts prints to text which parses to the same block.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm_ir::text::{Names, parse};

fuzz_target!(|text: &str| {
    if let Ok(block) = parse(text, Names::NONE)
        && vm_ir::verify(&block, None, &[]).is_ok()
    {
        assert_eq!(parse(&block.to_string(), Names::NONE).as_ref(), Ok(&block));
    }
});
