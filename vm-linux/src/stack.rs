//! The initial stack: argument count, arguments, environment and auxiliary vector as the kernel lays them out
//! (`create_elf_tables`).

use vm_core::GuestAddr;

/// Types of auxiliary vector entries (`linux/auxvec.h`).
pub mod at {
    /// End of the vector.
    pub const NULL: u64 = 0;
    /// Address of the program headers.
    pub const PHDR: u64 = 3;
    /// Size of a program header.
    pub const PHENT: u64 = 4;
    /// Number of program headers.
    pub const PHNUM: u64 = 5;
    /// Page size.
    pub const PAGESZ: u64 = 6;
    /// Load address of the interpreter.
    pub const BASE: u64 = 7;
    /// Flags, always 0.
    pub const FLAGS: u64 = 8;
    /// Entry point of the program.
    pub const ENTRY: u64 = 9;
    /// Real user.
    pub const UID: u64 = 11;
    /// Effective user.
    pub const EUID: u64 = 12;
    /// Real group.
    pub const GID: u64 = 13;
    /// Effective group.
    pub const EGID: u64 = 14;
    /// Processor features, as the architecture numbers them.
    pub const HWCAP: u64 = 16;
    /// Frequency of `times`.
    pub const CLKTCK: u64 = 17;
    /// Whether the program runs with privileges its user lacks.
    pub const SECURE: u64 = 23;
    /// Address of 16 random bytes.
    pub const RANDOM: u64 = 25;
    /// Address of the file name the program was started with.
    pub const EXECFN: u64 = 31;
    /// Address of the vDSO's ELF header.
    pub const SYSINFO_EHDR: u64 = 33;
    /// Least size of a signal stack.
    pub const MINSIGSTKSZ: u64 = 51;
}

/// What goes onto the stack.
#[derive(Clone, Debug, Default)]
pub struct Contents<'a> {
    /// Arguments, the program's own name first; without NUL bytes.
    pub args: &'a [Vec<u8>],
    /// Environment strings, `NAME=value`; without NUL bytes.
    pub env: &'a [Vec<u8>],
    /// File name for [`at::EXECFN`].
    pub file_name: &'a [u8],
    /// Bytes for [`at::RANDOM`].
    pub random: [u8; 16],
    /// Entries that are plain numbers, in the kernel's order; the pointers to strings and random bytes and the end
    /// are added behind.
    pub auxv: &'a [(u64, u64)],
}

/// A finished initial stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The stack pointer at entry, a multiple of 16; [`Stack::bytes`] start here.
    pub pointer: GuestAddr,
    /// What lies between the pointer and the top.
    pub bytes: Vec<u8>,
    /// Where the argument strings start; they end where those of the environment start.
    pub arg_start: GuestAddr,
}

impl Stack {
    /// The bytes of the auxiliary vector, its end included, below `args` arguments and `env` environment strings.
    #[must_use]
    pub fn auxv(&self, args: usize, env: usize) -> Vec<u8> {
        let words = &self.bytes[8 * (1 + args + 1 + env + 1)..];
        let end = words.chunks_exact(16).position(|entry| entry[..8] == [0; 8]).map_or(0, |index| index + 1);
        words[..16 * end].to_vec()
    }
}

impl Contents<'_> {
    /// Lays the contents out below `top`, a multiple of 16.
    ///
    /// `None` if they do not fit above address `bottom`.
    #[must_use]
    pub fn lay_out(&self, top: GuestAddr, bottom: GuestAddr) -> Option<Stack> {
        let strings = || self.args.iter().chain(self.env);
        let string_bytes: usize = strings().map(|string| string.len() + 1).sum();
        // From the top: one null pointer, the file name, then the strings, so that they ascend as they are listed.
        let below_top = 8 + self.file_name.len() + 1 + string_bytes;
        let strings_at = top.get().checked_sub(below_top as u64)?;
        let random_at = (strings_at & !15).checked_sub(16)?;
        let words = 1 + self.args.len() + 1 + self.env.len() + 1 + 2 * (self.auxv.len() + 3);
        let pointer = random_at.checked_sub(8 * words as u64)? & !15;
        if pointer < bottom.get() {
            return None;
        }

        let mut bytes = Vec::with_capacity((top.get() - pointer) as usize);
        let word = |bytes: &mut Vec<u8>, value: u64| bytes.extend_from_slice(&value.to_le_bytes());
        word(&mut bytes, self.args.len() as u64);
        let mut next = strings_at;
        for list in [self.args, self.env] {
            for string in list {
                word(&mut bytes, next);
                next += string.len() as u64 + 1;
            }
            word(&mut bytes, 0);
        }
        let pointers = [(at::RANDOM, random_at), (at::EXECFN, next), (at::NULL, 0)];
        for (kind, value) in self.auxv.iter().chain(&pointers) {
            word(&mut bytes, *kind);
            word(&mut bytes, *value);
        }
        bytes.resize((random_at - pointer) as usize, 0);
        bytes.extend_from_slice(&self.random);
        bytes.resize((strings_at - pointer) as usize, 0);
        for string in strings().map(Vec::as_slice).chain([self.file_name]) {
            bytes.extend_from_slice(string);
            bytes.push(0);
        }
        bytes.resize((top.get() - pointer) as usize, 0);
        Some(Stack { pointer: GuestAddr::new(pointer), bytes, arg_start: GuestAddr::new(strings_at) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOP: GuestAddr = GuestAddr::new(0x8000_0000);

    /// Reads a stack back as a program's start code does.
    struct Reader<'a>(&'a Stack);

    impl Reader<'_> {
        fn word(&self, at: u64) -> u64 {
            let at = (at - self.0.pointer.get()) as usize;
            u64::from_le_bytes(self.0.bytes[at..at + 8].try_into().unwrap())
        }

        fn string(&self, at: u64) -> Vec<u8> {
            let from = &self.0.bytes[(at - self.0.pointer.get()) as usize..];
            from[..from.iter().position(|byte| *byte == 0).unwrap()].to_vec()
        }

        fn list(&self, at: &mut u64) -> Vec<Vec<u8>> {
            let mut out = Vec::new();
            loop {
                let pointer = self.word(*at);
                *at += 8;
                if pointer == 0 {
                    return out;
                }
                out.push(self.string(pointer));
            }
        }
    }

    proptest! {
        #[test]
        fn start_code_finds_everything(
            args in prop::collection::vec(prop::collection::vec(1u8.., 0..20), 0..6),
            env in prop::collection::vec(prop::collection::vec(1u8.., 0..20), 0..6),
            name in prop::collection::vec(1u8.., 0..30),
            random: [u8; 16],
        ) {
            let auxv = [(at::PAGESZ, 4096), (at::ENTRY, 0x10000)];
            let contents = Contents { args: &args, env: &env, file_name: &name, random, auxv: &auxv };
            let stack = contents.lay_out(TOP, GuestAddr::new(0)).unwrap();
            prop_assert!(stack.pointer.is_aligned(16));
            prop_assert_eq!(stack.pointer.get() + stack.bytes.len() as u64, TOP.get());
            let reader = Reader(&stack);
            let mut at = stack.pointer.get();
            prop_assert_eq!(reader.word(at), args.len() as u64);
            at += 8;
            prop_assert_eq!(reader.list(&mut at), args);
            prop_assert_eq!(reader.list(&mut at), env);
            let mut found = Vec::new();
            loop {
                let entry = (reader.word(at), reader.word(at + 8));
                at += 16;
                match entry.0 {
                    at::NULL => break,
                    at::EXECFN => prop_assert_eq!(reader.string(entry.1), name.clone()),
                    at::RANDOM => {
                        let start = (entry.1 - stack.pointer.get()) as usize;
                        prop_assert_eq!(&stack.bytes[start..start + 16], &random);
                        found.push(entry.0);
                    }
                    _ => found.push(entry.0),
                }
            }
            prop_assert_eq!(found, [at::PAGESZ, at::ENTRY, at::RANDOM]);
            prop_assert_eq!(reader.word(TOP.get() - 8), 0);
        }
    }

    #[test]
    fn too_much_is_refused() {
        let args = vec![vec![b'x'; 5000]];
        let contents = Contents { args: &args, ..Contents::default() };
        assert!(contents.lay_out(TOP, TOP.offset(-4096)).is_none());
        assert!(contents.lay_out(GuestAddr::new(4096), GuestAddr::new(0)).is_none());
    }
}
