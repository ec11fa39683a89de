//! The guest programs: one row each, with how it is built and which cases are run.

mod system;

pub(crate) use system::SYSTEM;

/// How a program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// With the C library, statically linked at a fixed address.
    Static,
    /// With the C library and the dynamic loader, position independent.
    Dynamic,
    /// Without a C library, at a fixed address.
    Bare,
    /// Without a C library, position independent. (Debian's riscv64 C library has no start files for such programs.)
    BarePie,
}

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A benchmark kernel that takes its number of rounds as first argument.
    Kernel(Group),
    /// A program that checks itself or whose output is compared.
    Check,
}

/// The groups that benchmark means are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Integer,
    Calls,
    /// Interpreters whose loop is a switch.
    Interpreters,
    /// Threaded code and calls through tables.
    Indirect,
    Floating,
    Memory,
    Library,
    /// Several threads, atomic operations.
    Threads,
    /// System calls and signals.
    System,
}

impl Group {
    /// The group's name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Integer => "integer",
            Group::Calls => "calls",
            Group::Interpreters => "interpreters",
            Group::Indirect => "indirect",
            Group::Floating => "floating",
            Group::Memory => "memory",
            Group::Library => "library",
            Group::Threads => "threads",
            Group::System => "system",
        }
    }
}

/// One program. `name` is the file under `target/guests/<architecture>/`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The source under `guests/src/`.
    pub(crate) source: &'static str,
    pub(crate) role: Role,
    pub(crate) build: Build,
    /// Compiler flags in place of `-O2`.
    pub(crate) level: &'static str,
    /// Further flags for the riscv64 build alone.
    pub(crate) riscv64: &'static [&'static str],
    pub(crate) cases: &'static [Case],
}

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) arguments: &'static [&'static str],
    /// Why qemu-user is not asked, where it is known to differ from a kernel.
    pub(crate) not_qemu: Option<&'static str>,
}

const fn case(arguments: &'static [&'static str]) -> Case {
    Case { arguments, not_qemu: None }
}

const PLAIN: &[Case] = &[case(&[])];

const fn check(name: &'static str, source: &'static str) -> Program {
    Program { name, source, role: Role::Check, build: Build::Static, level: "-O2", riscv64: &[], cases: PLAIN }
}

const fn kernel(name: &'static str, source: &'static str, group: Group) -> Program {
    Program { role: Role::Kernel(group), ..check(name, source) }
}

const fn bare(name: &'static str, source: &'static str, cases: &'static [Case]) -> Program {
    Program { build: Build::Bare, cases, ..check(name, source) }
}

const fn at_level(name: &'static str, source: &'static str, level: &'static str) -> Program {
    Program { level, ..check(name, source) }
}

const fn bare_pie(name: &'static str, source: &'static str, cases: &'static [Case]) -> Program {
    Program { build: Build::BarePie, ..bare(name, source, cases) }
}

const ZB: &[&str] = &["-march=rv64gc_zba_zbb_zbc_zbs"];

const fn with_zb(program: Program) -> Program {
    Program { riscv64: ZB, ..program }
}

const START: &[Case] = &[case(&[]), case(&["one", "two words", "", "-x", "--", "\u{e9}t\u{e9}", "$HOME *"])];

const ENDS: &[Case] = &[
    case(&["return", "7"]),
    case(&["exit", "300"]),
    case(&["_exit", "3"]),
    case(&["thread-exit", "4"]),
    case(&["abort"]),
    case(&["raise", "8"]),
    case(&["raise", "15"]),
    case(&["raise", "17"]),
    Case { arguments: &["raise", "64"], not_qemu: Some("qemu-user keeps the last signals for itself") },
    case(&["kill", "9"]),
    case(&["ignore", "15"]),
    case(&["blocked", "10"]),
    case(&["null", "0"]),
    case(&["read-null", "16"]),
    case(&["constant"]),
    case(&["call-null", "0"]),
    case(&["call-data"]),
    case(&["illegal"]),
    case(&["breakpoint"]),
    case(&["beyond-file"]),
    case(&["stack"]),
    case(&["pipe"]),
    case(&["alarm"]),
    case(&["spin-alarm"]),
    case(&["no-such-way"]),
];

/// For a kernel that is compiled another way, as a check.
const FEW_ROUNDS: &[Case] = &[case(&["50"])];

const ARGUMENTS: &[Case] = &[case(&[]), case(&["alpha", "beta gamma"])];

/// Every guest program.
pub(crate) const PROGRAMS: &[Program] = &[
    kernel("coremix", "coremix.c", Group::Integer),
    kernel("sha256", "sha256.c", Group::Integer),
    kernel("aes", "aes.c", Group::Integer),
    kernel("lz", "lz.c", Group::Integer),
    kernel("base64", "base64.c", Group::Integer),
    kernel("bigint", "bigint.c", Group::Integer),
    kernel("regex", "regex.c", Group::Integer),
    kernel("search", "search.c", Group::Integer),
    kernel("vectors", "vectors.c", Group::Integer),
    kernel("fib", "fib.c", Group::Calls),
    kernel("bytecode", "bytecode.c", Group::Interpreters),
    kernel("threaded", "threaded.c", Group::Indirect),
    kernel("indirect", "indirect.c", Group::Indirect),
    kernel("virtual", "virtual.c", Group::Indirect),
    kernel("nbody", "nbody.c", Group::Floating),
    kernel("matmul", "matmul.c", Group::Floating),
    kernel("mandelbrot", "mandelbrot.c", Group::Floating),
    kernel("fpmix", "fpmix.c", Group::Floating),
    kernel("sorthash", "sorthash.c", Group::Memory),
    kernel("hashjoin", "hashjoin.c", Group::Memory),
    kernel("memstr", "memstr.c", Group::Memory),
    kernel("tree", "tree.c", Group::Memory),
    kernel("format", "format.c", Group::Library),
    kernel("pingpong", "pingpong.c", Group::Threads),
    kernel("parsum", "parsum.c", Group::Threads),
    kernel("counter", "counter.c", Group::Threads),
    kernel("sigping", "sigping.c", Group::System),
    kernel("syscalls", "syscalls.c", Group::System),
    check("hello", "hello.c"),
    check("int_edges", "int_edges.c"),
    check("float_env", "float_env.c"),
    check("float_kernels", "float_kernels.c"),
    check("nan_bits", "nan_bits.c"),
    check("random_ops", "random_ops.c"),
    check("strings", "strings.c"),
    check("printing", "printing.c"),
    check("sorting", "sorting.c"),
    check("jumps", "jumps.c"),
    check("stack", "stack.c"),
    check("codegen", "codegen.c"),
    check("atomics", "atomics.c"),
    check("memory_maps", "memory_maps.c"),
    check("files", "files.c"),
    check("pipes", "pipes.c"),
    check("clocks", "clocks.c"),
    check("traced", "traced.c"),
    check("unnoticed", "unnoticed.c"),
    Program { cases: START, ..check("start", "start.c") },
    Program { cases: ENDS, ..check("leave", "leave.c") },
    at_level("int_edges.O0", "int_edges.c", "-O0"),
    at_level("float_env.O0", "float_env.c", "-O0"),
    at_level("jumps.O1", "jumps.c", "-O1"),
    at_level("random_ops.O0", "random_ops.c", "-O0"),
    at_level("strings.Os", "strings.c", "-Os"),
    at_level("float_kernels.O3", "float_kernels.c", "-O3"),
    with_zb(check("int_edges.zb", "int_edges.c")),
    with_zb(check("random_ops.zb", "random_ops.c")),
    Program { cases: FEW_ROUNDS, ..with_zb(at_level("sha256.zb", "sha256.c", "-O3")) },
    bare("bare-hello", "bare/hello.c", PLAIN),
    bare("bare-args", "bare/args.c", ARGUMENTS),
    bare("bare-primes", "bare/primes.c", PLAIN),
    bare("bare-calls", "bare/calls.c", PLAIN),
    bare_pie("bare-args.pie", "bare/args.c", ARGUMENTS),
    bare_pie("bare-primes.pie", "bare/primes.c", PLAIN),
    bare_pie("bare-calls.pie", "bare/calls.c", PLAIN),
];

/// Freestanding riscv64 programs whose binaries are committed under `guests/bin/riscv64/`: file name and row.
pub(crate) const COMMITTED: &[(&str, &str)] =
    &[("hello", "bare-hello"), ("args", "bare-args"), ("primes", "bare-primes"), ("calls", "bare-calls")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sources_exist() {
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/src");
        let all: Vec<Program> = PROGRAMS.iter().chain(SYSTEM).copied().collect();
        for (index, program) in all.iter().enumerate() {
            assert!(sources.join(program.source).is_file(), "{} has no source", program.name);
            assert!(all[..index].iter().all(|other| other.name != program.name), "{} twice", program.name);
        }
        for (_, name) in COMMITTED {
            assert!(PROGRAMS.iter().any(|program| program.name == *name && program.build == Build::Bare), "{name}");
        }
    }
}
