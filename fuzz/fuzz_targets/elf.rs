//! Any bytes are refused or described as an image whose segments lie in order, in the file and in the address space.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vm_linux::elf::Image;

const LIMIT: u64 = 1 << 46;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = Image::parse(bytes, LIMIT) else { return };
    let mut end = 0;
    for segment in &image.segments {
        assert!(segment.range.start().get() >= end && segment.range.end().get() <= LIMIT);
        assert!(segment.file_len <= segment.range.len());
        assert!(segment.offset + segment.file_len <= bytes.len() as u64);
        end = segment.range.end().get();
    }
});
