//! Any bytes are refused or described as an image whose segments fit into the address space.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm_linux::elf::Image;

const LIMIT: u64 = 1 << 46;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = Image::parse(bytes, LIMIT) else { return };
    assert!(image.span().len() <= LIMIT);
    for segment in &image.segments {
        assert!(image.position_independent || segment.range.end().get() <= LIMIT);
        assert!(segment.file_len <= segment.range.len());
    }
});
