//! The vDSO: a small ELF image that the kernel maps into every process and C libraries look functions up in.
//!
//! The functions make the system calls of the same names. The image is built at start, for it holds nothing but
//! three instructions a function and the tables to find them by (System V ABI, "Dynamic Section", "Hash Table";
//! Linux Standard Base, "Symbol Versioning").

use vm_core::GuestArch;

/// Version that all symbols carry (`arch/riscv/kernel/vdso/vdso.lds.S`).
const VERSION: &str = "LINUX_4.15";
/// `DT_SONAME`.
const SONAME: &str = "linux-vdso.so.1";

/// A function of the vDSO: its symbol and the generic number of the system call it makes.
const FUNCTIONS: [(&str, u32); 7] = [
    ("__vdso_rt_sigreturn", 139),
    ("__vdso_gettimeofday", 169),
    ("__vdso_clock_gettime", 113),
    ("__vdso_clock_getres", 114),
    ("__vdso_getcpu", 168),
    ("__vdso_flush_icache", 259),
    ("__vdso_riscv_hwprobe", 258),
];

const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SYMBOL: usize = 24;

/// `li a7, NUMBER`.
const fn load_number(number: u32) -> u32 {
    number << 20 | 17 << 7 | 0x13
}

const ECALL: u32 = 0x0000_0073;
const RET: u32 = 0x0000_8067;

/// Strings of the dynamic string table, each once.
#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

/// The hash function of `DT_HASH` and of version definitions.
fn elf_hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

fn words32(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An image, to be mapped readable and executable at a page boundary.
pub(crate) struct Vdso {
    pub(crate) image: Vec<u8>,
    /// Where in it the code is that returns from a signal handler.
    pub(crate) sigreturn: u64,
}

/// Builds the image for `arch`.
pub(crate) fn build(arch: GuestArch) -> Vdso {
    let mut strings = Strings(vec![0]);
    let names: Vec<u32> = FUNCTIONS.iter().map(|(name, _)| strings.add(name)).collect();
    let version = strings.add(VERSION);
    let soname = strings.add(SONAME);
    let symbol_count = FUNCTIONS.len() + 1;

    // Sizes are known before addresses: lay the tables out first.
    let mut end = ELF_HEADER + 2 * PROGRAM_HEADER;
    let mut place = |size: usize, align: usize| {
        let at = end.next_multiple_of(align);
        end = at + size;
        at
    };
    let hash_at = place(4 * (2 + 1 + symbol_count), 8);
    let symbols_at = place(SYMBOL * symbol_count, 8);
    let strings_at = place(strings.0.len(), 1);
    let versym_at = place(2 * symbol_count, 2);
    let verdef_at = place(2 * (20 + 8), 8);
    let dynamic_at = place(16 * 9, 8);
    let code_at = place(12 * FUNCTIONS.len(), 16);

    let mut image = vec![0; end];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);

    // One bucket, whose chain runs through all symbols.
    let chain = (1..symbol_count as u32).map(|index| (index + 1) % symbol_count as u32);
    let hash: Vec<u32> = [1, symbol_count as u32, 1, 0].into_iter().chain(chain).collect();
    put(hash_at, &words32(&hash));

    for (index, name) in names.iter().enumerate() {
        let code = code_at + 12 * index;
        let at = symbols_at + SYMBOL * (index + 1);
        put(at, &name.to_le_bytes());
        put(at + 4, &[1 << 4 | 2, 0]); // STB_GLOBAL, STT_FUNC; default visibility
        put(at + 6, &1u16.to_le_bytes()); // defined, in a section that no header describes
        put(at + 8, &(code as u64).to_le_bytes());
        put(at + 16, &12u64.to_le_bytes());
        put(versym_at + 2 * (index + 1), &2u16.to_le_bytes());
        put(code, &words32(&[load_number(FUNCTIONS[index].1), ECALL, RET]));
    }
    put(strings_at, &strings.0);

    // The file's own version (index 1, VER_FLG_BASE), then the one the symbols carry (index 2).
    for (index, flags, name, hash, next) in
        [(1u16, 1u16, soname, elf_hash(SONAME), 28u32), (2, 0, version, elf_hash(VERSION), 0)]
    {
        let at = verdef_at + 28 * (usize::from(index) - 1);
        for (offset, half) in [(0, 1), (2, flags), (4, index), (6, 1)] {
            put(at + offset, &half.to_le_bytes());
        }
        put(at + 8, &words32(&[hash, 20, next, name, 0]));
    }

    let dynamic: [(u64, usize); 9] = [
        (14, soname as usize),    // DT_SONAME
        (4, hash_at),             // DT_HASH
        (5, strings_at),          // DT_STRTAB
        (6, symbols_at),          // DT_SYMTAB
        (10, strings.0.len()),    // DT_STRSZ
        (0x6fff_fff0, versym_at), // DT_VERSYM
        (0x6fff_fffc, verdef_at), // DT_VERDEF
        (0x6fff_fffd, 2),         // DT_VERDEFNUM
        (0, 0),                   // DT_NULL
    ];
    for (index, (tag, value)) in dynamic.iter().enumerate() {
        put(dynamic_at + 16 * index, &tag.to_le_bytes());
        put(dynamic_at + 16 * index + 8, &(*value as u64).to_le_bytes());
    }

    put(0, b"\x7fELF\x02\x01\x01");
    for (at, half) in [(16, 3u16), (18, arch.elf_machine()), (52, 64), (54, 56), (56, 2), (58, 64)] {
        put(at, &half.to_le_bytes()); // ET_DYN, EM_RISCV, header sizes, two program headers
    }
    put(20, &1u32.to_le_bytes());
    put(32, &(ELF_HEADER as u64).to_le_bytes());
    put(48, &5u32.to_le_bytes()); // EF_RISCV_RVC, double-float ABI
    // PT_LOAD of the whole image, readable and executable; PT_DYNAMIC.
    for (index, (kind, flags, start, size, align)) in
        [(1u32, 5u32, 0, end, 4096), (2, 4, dynamic_at, 16 * 9, 8)].into_iter().enumerate()
    {
        let at = ELF_HEADER + PROGRAM_HEADER * index;
        put(at, &words32(&[kind, flags]));
        for (offset, value) in [(8, start), (16, start), (24, start), (32, size), (40, size), (48, align)] {
            put(at + offset, &(value as u64).to_le_bytes());
        }
    }
    // The first function.
    Vdso { image, sigreturn: code_at as u64 }
}

#[cfg(test)]
mod tests {
    use object::LittleEndian;
    use object::elf::FileHeader64;
    use object::read::elf::{Dyn, FileHeader, ProgramHeader};

    use super::*;

    type Header = FileHeader64<LittleEndian>;

    fn word(bytes: &[u8], at: u64) -> u32 {
        u32::from_le_bytes(bytes[at as usize..at as usize + 4].try_into().unwrap())
    }

    fn half(bytes: &[u8], at: u64) -> u16 {
        u16::from_le_bytes(bytes[at as usize..at as usize + 2].try_into().unwrap())
    }

    fn text(bytes: &[u8], at: u64) -> &str {
        let rest = &bytes[at as usize..];
        std::str::from_utf8(&rest[..rest.iter().position(|byte| *byte == 0).unwrap()]).unwrap()
    }

    /// Looks `name` up as a C library does: through the dynamic section, every symbol that the hash table counts,
    /// with the version that the definition names.
    fn look_up(bytes: &[u8], name: &str, version: &str) -> Option<u64> {
        let header = Header::parse(bytes).unwrap();
        let endian = header.endian().unwrap();
        let segments = header.program_headers(endian, bytes).unwrap();
        let dynamic = segments.iter().find_map(|s| s.dynamic(endian, bytes).unwrap()).unwrap();
        let get = |tag: i64| dynamic.iter().find(|d| d.d_tag(endian) == tag).map(|d| d.d_val(endian));
        let (hash, symbols, strings) = (get(4)?, get(6)?, get(5)?);
        let (versym, mut verdef) = (get(0x6fff_fff0)?, get(0x6fff_fffc)?);
        let index = (1..word(bytes, hash + 4))
            .find(|index| text(bytes, strings + u64::from(word(bytes, symbols + 24 * u64::from(*index)))) == name)?;
        let wanted = half(bytes, versym + 2 * u64::from(index));
        while half(bytes, verdef + 4) != wanted {
            match word(bytes, verdef + 16) {
                0 => return None,
                next => verdef += u64::from(next),
            }
        }
        let aux = verdef + u64::from(word(bytes, verdef + 12));
        assert_eq!(word(bytes, verdef + 8), elf_hash(version));
        assert_eq!(text(bytes, strings + u64::from(word(bytes, aux))), version);
        Some(word(bytes, symbols + 24 * u64::from(index) + 8).into())
    }

    #[test]
    fn c_libraries_find_the_functions() {
        let Vdso { image: vdso, sigreturn } = build(GuestArch::Riscv64);
        assert_eq!(look_up(&vdso, "__vdso_rt_sigreturn", VERSION), Some(sigreturn));
        for (name, number) in FUNCTIONS {
            let at = look_up(&vdso, name, "LINUX_4.15").unwrap();
            // `li a7, 113; ecall; ret` is 07100893 00000073 00008067 by the assembler.
            assert_eq!(word(&vdso, at), 0x0000_0893 | number << 20);
            assert_eq!(word(&vdso, at + 4), 0x0000_0073);
            assert_eq!(word(&vdso, at + 8), 0x0000_8067);
        }
        assert_eq!(load_number(113), 0x0710_0893);
        assert_eq!(look_up(&vdso, "__vdso_time", "LINUX_4.15"), None);
        assert!(vdso.len() <= 4096);
    }

    /// Values that `readelf -V` shows for binaries versioned against a kernel or its C library.
    #[test]
    fn version_hashes_are_the_published_ones() {
        assert_eq!(elf_hash("LINUX_2.6"), 0x03ae_75f6);
        assert_eq!(elf_hash("GLIBC_2.2.5"), 0x0969_1a75);
    }
}
