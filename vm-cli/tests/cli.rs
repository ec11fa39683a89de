//! The command as its users meet it: what it prints, and with which status it ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

fn tradux(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tradux")).args(args).output().unwrap()
}

fn repository(path: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path).to_str().unwrap().to_owned()
}

fn program(name: &str) -> String {
    repository(&format!("guests/bin/riscv64/{name}"))
}

/// A file of this test's own, executable.
fn file(name: &str, content: &[u8]) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_program_runs_with_its_arguments_and_status() {
    for tier in ["auto", "interp", "jit", "baseline"] {
        let output = tradux(&["run", "--tier", tier, &program("hello")]);
        assert_eq!((out(&output).as_str(), err(&output).as_str()), ("Hello, world!\n", ""));
        assert_eq!(output.status.code(), Some(0));
        let output = tradux(&["run", "--tier", tier, &program("args"), "--stats", "-x", ""]);
        assert_eq!(out(&output), "1: --stats\n2: -x\n3: \n");
        assert_eq!(output.status.code(), Some(3));
    }
}

/// Files that cannot be run: the text behind the file's name, and the exit status.
#[test]
fn bad_files_get_one_line_and_the_shells_status() {
    let good = std::fs::read(program("hello")).unwrap();
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty", Vec::new(), "not an ELF file"),
        ("prose", b"echo\n".to_vec(), "not an ELF file"),
        ("script", b"#! \necho\n".to_vec(), "the first line names no interpreter"),
        ("short", good[..50].to_vec(), "truncated: the file ends inside the ELF header"),
        ("cut", good[..200].to_vec(), "truncated: the file ends inside the program headers"),
        ("class", changed(4, 1), "ELF class 1 is not supported: only 64-bit programs are"),
        ("order", changed(5, 2), "byte order 2 is not supported: only little-endian programs are"),
        ("huge", tiny_with(104, 1 << 46), "segment 0 overflows the address space"),
        ("wraps", tiny_with(80, 0xffff_ffff_ffff_f000), "segment 0 overflows the address space"),
        ("shrinks", tiny_with(104, 1), "segment 0 has more bytes in the file than in memory"),
        ("crooked", tiny_with(80, 0x10001), "segment 0: file offset and address differ within a page"),
        ("headless", tiny_with(32, u64::MAX - 7), "truncated: the file ends inside the program headers"),
        ("object", changed(16, 1), "file type 1 is not executable (a relocatable object file)"),
        ("x86", changed(18, 62), "built for machine 62 (x86-64), not for riscv64"),
    ];
    for (name, bytes, reason) in cases {
        let path = file(name, bytes);
        let output = tradux(&["run", &path]);
        assert_eq!(err(&output), format!("tradux: {path}: {reason}\n"));
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(126), ""));
    }
    let output = tradux(&["run", "/no/such/file"]);
    assert_eq!(err(&output), "tradux: /no/such/file: No such file or directory\n");
    assert_eq!(output.status.code(), Some(127));
    let output = tradux(&["run", "/"]);
    assert_eq!((err(&output).as_str(), output.status.code()), ("tradux: /: not a regular file\n", Some(126)));
    let output = tradux(&["run", "-L", "/no/such/dir", &program("hello")]);
    assert_eq!(err(&output), "tradux: sysroot /no/such/dir: not a directory\n");
}

/// A pipe that nobody writes to keeps nobody waiting.
#[test]
fn a_pipe_is_refused_at_once() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("pipe-{}", std::process::id()));
    let path = path.to_str().unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    for (args, status) in [(&["run", path][..], 126), (&["disasm", path], 1), (&["ir", path], 1)] {
        let output = tradux(args);
        assert_eq!(err(&output), format!("tradux: {path}: not a regular file\n"), "{args:?}");
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(status), ""), "{args:?}");
    }
    std::fs::remove_file(path).unwrap();
}

/// A file that nobody may execute is refused, and so is one that we may not read: the host's superuser may read it.
#[test]
fn permissions_of_files_are_kept() {
    let path = file("permissions", &std::fs::read(program("hello")).unwrap());
    let with = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        tradux(&["run", &path])
    };
    let refused = |output: Output| {
        assert_eq!(err(&output), format!("tradux: {path}: Permission denied\n"));
        assert_eq!((output.status.code(), out(&output).as_str()), (Some(126), ""));
    };
    refused(with(0o644));
    let output = with(0o111);
    match std::fs::File::open(&path) {
        Ok(_) => assert_eq!((out(&output).as_str(), output.status.code()), ("Hello, world!\n", Some(0))),
        Err(_) => refused(output),
    }
}

/// What a file says about its interpreter is shown in the message's one line, whatever it is.
#[test]
fn a_missing_interpreter_is_named_in_one_line() {
    let path = file("script-of-nobody", b"#!/no/such/interpreter -x\n");
    let output = tradux(&["run", &path]);
    assert!(
        err(&output).starts_with(&format!("tradux: {path}: its interpreter /no/such/interpreter cannot be opened: "))
    );
    assert_eq!((err(&output).lines().count(), output.status.code()), (1, Some(127)));
    // A program header of type PT_INTERP beside the one of type PT_LOAD, and its string behind both.
    let name = b"/no/such\n\x1b[31minterpreter\0";
    let mut bytes = tiny(&[0x0010_0073; 64]);
    bytes[56..58].copy_from_slice(&2u16.to_le_bytes());
    bytes[120..124].copy_from_slice(&3u32.to_le_bytes());
    for (at, value) in [(128, 0x100u64), (152, name.len() as u64), (160, name.len() as u64)] {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    bytes[0x100..0x100 + name.len()].copy_from_slice(name);
    let path = file("program-of-nobody", &bytes);
    let output = tradux(&["run", &path]);
    let start = format!("tradux: {path}: its interpreter /no/such\\n\\u{{1b}}[31minterpreter cannot be opened: ");
    assert!(err(&output).starts_with(&start), "{}", err(&output));
    assert_eq!((err(&output).lines().count(), output.status.code()), (1, Some(127)));
}

/// What cannot be shown is refused in one line that names the file.
#[test]
fn files_without_code_are_not_shown() {
    let good = std::fs::read(program("hello")).unwrap();
    for (name, bytes) in [
        ("none", Vec::new()),
        ("words", b"no object at all".to_vec()),
        ("start", good[..40].to_vec()),
        ("part", good[..360].to_vec()),
        ("halved", [&good[..4], &[1], &good[5..]].concat()),
    ] {
        let path = file(name, &bytes);
        for command in ["disasm", "ir"] {
            let output = tradux(&[command, &path]);
            let message = err(&output);
            assert!(message.starts_with(&format!("tradux: {path}: not an object file: ")), "{message}");
            assert_eq!((message.lines().count(), output.status.code(), out(&output).as_str()), (1, Some(1), ""));
        }
    }
    let output = tradux(&["disasm", "/no/such/file"]);
    assert!(err(&output).starts_with("tradux: /no/such/file: No such file or directory"));
    let output = tradux(&["disasm", "/"]);
    assert_eq!(err(&output), "tradux: /: not a regular file\n");
}

/// A sysroot comes from the environment too; a root takes its place, and holds the program.
#[test]
fn directories_for_file_names_are_checked() {
    let with_sysroot = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tradux"));
        command.args(args).env("TRADUX_SYSROOT", "/no/such/dir").output().unwrap()
    };
    let output = with_sysroot(&["run", &program("hello")]);
    assert_eq!(err(&output), "tradux: sysroot /no/such/dir: not a directory\n");
    let hello = program("hello");
    let (directory, name) = hello.rsplit_once('/').unwrap();
    let output = with_sysroot(&["run", "--root", directory, &format!("/../{name}")]);
    assert_eq!((out(&output).as_str(), err(&output).as_str()), ("Hello, world!\n", ""));
    let output = tradux(&["run", "--root", directory, &hello]);
    assert_eq!(err(&output), format!("tradux: {hello}: No such file or directory\n"));
    assert_eq!(output.status.code(), Some(127));
    // The sysroot is not used there, so that it is no help.
    let script = file("script-of-the-root", b"#!/no/such/interpreter\n");
    let (directory, name) = script.rsplit_once('/').unwrap();
    let output = tradux(&["run", "--root", directory, &format!("/{name}")]);
    assert!(err(&output).contains("below the root") && !err(&output).contains("-L"), "{}", err(&output));
    let output = tradux(&["run", "--root", "/no/such/dir", "/x"]);
    assert_eq!(err(&output), "tradux: root /no/such/dir: not a directory\n");
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        &["run"][..],
        &["run", "--tier", "fast", "x"],
        &["run", "-E", "novalue", "x"],
        &["frobnicate"],
        &["disasm"],
        &["ir", "--hex", "00", "file"],
    ] {
        let output = tradux(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(err(&output).starts_with("error: ") && out(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_are_printed() {
    let output = tradux(&["--version"]);
    assert_eq!(out(&output), format!("tradux {}\n", env!("CARGO_PKG_VERSION")));
    let help = out(&tradux(&["--help"]));
    for word in ["run", "disasm", "ir", "translate", "info", "completions", "Examples:"] {
        assert!(help.contains(word), "{word}");
    }
    let help = out(&tradux(&["run", "--help"]));
    for word in ["--tier", "--stats", "--strace", "--sysroot", "TRADUX_SYSROOT", "--root", "-E", "-0", "exit status"] {
        assert!(help.contains(word), "{word}");
    }
}

/// A program that a signal kills takes this command with it, by the same signal.
#[test]
fn a_deadly_signal_is_passed_on() {
    // A fixed-address program of one instruction at 0x10078: an undefined one, then a breakpoint, then a wild load.
    for (code, signal) in [
        (0x0000_0000u32, libc::SIGILL),
        (0x0010_0073, libc::SIGTRAP), // ebreak
        (0x0000_3503, libc::SIGSEGV), // ld a0, 0(zero)
    ] {
        let path = file(&format!("deadly{signal}"), &tiny(&[code]));
        for tier in ["interp", "baseline", "jit", "auto"] {
            let output = tradux(&["run", "--tier", tier, &path]);
            assert_eq!(output.status.signal(), Some(signal), "{code:#x} on {tier}: {}", err(&output));
        }
    }
}

/// An executable of these instructions.
fn tiny(code: &[u32]) -> Vec<u8> {
    let mut out = vec![0; 120];
    out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (at, half) in [(16, 2u16), (18, 243), (52, 64), (54, 56), (56, 1)] {
        out[at..at + 2].copy_from_slice(&half.to_le_bytes());
    }
    let size = 120 + 4 * code.len() as u64;
    for (at, word) in [(24, 0x10078u64), (32, 64), (80, 0x10000), (96, size), (104, size), (112, 4096)] {
        out[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    out[64..68].copy_from_slice(&1u32.to_le_bytes());
    out[68..72].copy_from_slice(&5u32.to_le_bytes());
    out.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    out
}

/// A tiny executable with one of its 64-bit words changed.
fn tiny_with(at: usize, value: u64) -> Vec<u8> {
    let mut bytes = tiny(&[0x0010_0073; 4]);
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// A program forks; the child ends with status 5, and the parent with what it waited for.
#[test]
fn a_program_forks_and_waits() {
    // As the assembler gives it for: clone(flags, 0); bnez a0, parent; exit(5);
    // parent: wait4(-1, sp, 0, 0); lw a0, 0(sp); srli a0, a0, 8; exit(a0).
    const REST: [u32; 17] = [
        0x0000_0593,
        0x0dc0_0893,
        0x73,
        0x0005_1863,
        0x0050_0513,
        0x05d0_0893,
        0x73,
        0xfff0_0513,
        0xff01_0113,
        0x0001_0593,
        0x0000_0613,
        0x0000_0693,
        0x1040_0893,
        0x73,
        0x0001_2503,
        0x0085_5513,
        0x05d0_0893,
    ];
    // li a0, SIGCHLD; and with CLONE_VM and CLONE_VFORK: lui a0, 4; addiw a0, a0, 0x111.
    for (name, flags) in [("fork", &[0x0110_0513u32][..]), ("vfork", &[0x0000_4537, 0x1115_051b])] {
        let code: Vec<u32> = flags.iter().chain(&REST).copied().chain([0x73]).collect();
        let path = file(name, &tiny(&code));
        for tier in ["interp", "baseline", "jit", "auto"] {
            let output = tradux(&["run", "--tier", tier, &path]);
            assert_eq!(output.status.code(), Some(5), "{name} on {tier}: {}", err(&output));
        }
    }
}

#[test]
fn system_calls_are_traced() {
    let output = tradux(&["run", "--strace", &program("hello")]);
    assert_eq!(out(&output), "Hello, world!\n");
    assert!(err(&output).contains("write(1, \"Hello, world!\\n\", 14)         = 14\n"), "{}", err(&output));
    assert!(err(&output).ends_with("+++ exited with 0 +++\n"));
    // li a7, 2000; ecall; li a0, 0; li a7, 93; ecall
    let path = file("unknown", &tiny(&[0x7d00_0893, 0x73, 0x0000_0513, 0x05d0_0893, 0x73]));
    let output = tradux(&["run", "--strace", &path]);
    assert!(err(&output).contains("= -1 ENOSYS (Function not implemented)\n"), "{}", err(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn closed_descriptors_stay_closed() {
    let line = r#"exec "$0" run --strace "$@" <&- >&-"#;
    let output =
        Command::new("sh").args(["-c", line, env!("CARGO_BIN_EXE_tradux"), &program("hello")]).output().unwrap();
    let text = err(&output);
    assert!(text.contains("EBADF (Bad file descriptor)"), "{text}");
}

#[test]
fn statistics_go_to_standard_error() {
    let output = tradux(&["run", "--stats=json", "--tier", "interp", &program("primes")]);
    assert!(out(&output).starts_with("148933 primes"));
    let stats: serde_json::Value = serde_json::from_str(&err(&output)).unwrap();
    assert!(stats["instructions"]["interpreted"].as_u64().unwrap() > 1_000_000);
    assert_eq!(stats["instructions"]["compiled"], 0);
    let output = tradux(&["run", "--stats=json", "--tier", "jit", &program("primes")]);
    let stats: serde_json::Value = serde_json::from_str(&err(&output)).unwrap();
    assert!(stats["instructions"]["compiled"].as_u64().unwrap() > 1_000_000);
    let output = tradux(&["run", "--stats", &program("hello")]);
    assert!(err(&output).contains("instructions interpreted") && err(&output).contains("result cache"));
}

#[test]
fn code_is_shown_in_every_form() {
    let output = tradux(&["disasm", "--hex", "b302730067800000"]);
    assert_eq!(out(&output), "0x1000  b3027300  add x5, x6, x7\n0x1004  67800000  jalr x0, 0(x1)\n");
    let lifted = out(&tradux(&["ir", "--hex", "b3027300"]));
    assert!(lifted.contains("add.i64") && lifted.contains("add x5, x6, x7"), "{lifted}");
    // 1 + 2 is folded, and what is not used is gone.
    let lifted = out(&tradux(&["ir", "--opt", "--hex", "13051000 13052500"]));
    assert!(lifted.contains('3') && !lifted.contains("add."), "{lifted}");
    for host in ["x86-64", "aarch64", "riscv64", "s390x"] {
        let output = tradux(&["translate", "--to", host, "--hex", "b302730067800000"]);
        if !cfg!(feature = "all-hosts") && host.replace('-', "_") != std::env::consts::ARCH {
            assert!(err(&output).ends_with("it comes with the feature `all-hosts`\n"), "{}", err(&output));
            continue;
        }
        assert!(out(&output).contains("2 instructions, "), "{host}: {}", err(&output));
        assert!(out(&output).lines().next().unwrap().ends_with(&format!("bytes for {host}")));
    }
    let output = tradux(&["disasm", &program("hello"), "-n", "3"]);
    assert_eq!(out(&output).lines().count(), 3);
    for (args, message) in [
        (&["disasm", "--hex", "123"][..], "tradux: code is an even number of hexadecimal digits, not 3\n"),
        (&["ir", "--hex", "zz"], "tradux: 'z' is not a hexadecimal digit\n"),
    ] {
        let output = tradux(args);
        assert_eq!((err(&output).as_str(), output.status.code()), (message, Some(1)));
    }
    let output = tradux(&["disasm", &program("hello"), "no_such_symbol"]);
    assert!(err(&output).ends_with(": no symbol \"no_such_symbol\"\n"));
}

#[test]
fn completions_and_info_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&tradux(&["completions", shell])).contains("tradux"), "{shell}");
    }
    let info = out(&tradux(&["info"]));
    assert!(info.contains("riscv64") && info.contains("Zba"), "{info}");
    let targets = info.lines().find(|line| line.starts_with("targets ")).unwrap();
    assert!(targets.contains(&std::env::consts::ARCH.replace('_', "-")), "{targets}");
    assert_eq!(targets.contains("s390x"), cfg!(any(feature = "all-hosts", target_arch = "s390x")), "{targets}");
}

/// A line of `/proc/PID/maps`.
struct Mapping<'a> {
    mode: &'a str,
    /// Device and inode of what is mapped; inode 0 is private memory of the process.
    object: (&'a str, u64),
    /// Where the mapping starts and ends in what is mapped.
    place: std::ops::Range<u64>,
    name: &'a str,
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a str) -> Self {
        let mut fields = line.split_ascii_whitespace();
        let mut next = || fields.next().unwrap_or_default();
        let (range, mode, offset, device, inode) = (next(), next(), next(), next(), next());
        let number = |digits| u64::from_str_radix(digits, 16).unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let offset = number(offset);
        let place = offset..offset + (number(end) - number(start));
        Self { mode, object: (device, inode.parse().unwrap()), place, name: next() }
    }

    fn is_executable(&self) -> bool {
        self.mode.contains('x')
    }

    fn is_writable(&self) -> bool {
        self.mode.contains('w')
    }

    /// Whether this is memory with no name that can be executed: generated code.
    fn is_generated(&self) -> bool {
        self.is_executable() && self.object.1 == 0 && self.name.is_empty()
    }
}

/// The first reason, if there is one, why a page of these mappings could be executed and be written by whatever way:
/// in the same mapping, or through another one of the same memory.
fn executable_and_writable(maps: &str) -> Option<String> {
    let mappings: Vec<Mapping<'_>> = maps.lines().map(Mapping::parse).collect();
    for (mapping, line) in mappings.iter().zip(maps.lines()).filter(|(mapping, _)| mapping.is_executable()) {
        if mapping.is_writable() {
            return Some(format!("writable: {line}"));
        }
        // What others write to a shared mapping, they write to this one.
        if !mapping.mode.ends_with('p') {
            return Some(format!("shared: {line}"));
        }
        let shows_writes = |other: &Mapping<'_>| other.is_writable() && other.mode.ends_with('s');
        let overlap =
            |other: &Mapping<'_>| mapping.place.start < other.place.end && other.place.start < mapping.place.end;
        // A private mapping shows what is written to its file as long as it has no copy of its own.
        let same = |other: &&Mapping<'_>| mapping.object.1 != 0 && other.object == mapping.object && overlap(other);
        if mappings.iter().filter(same).any(shows_writes) {
            return Some(format!("writable elsewhere: {line}"));
        }
        // Memory that is a file of its own can be mapped or written by whoever has its descriptor.
        if ["/memfd:", "/dev/shm/", "/dev/zero", "/SYSV"].iter().any(|kind| mapping.name.starts_with(kind)) {
            return Some(format!("memory with a descriptor: {line}"));
        }
    }
    None
}

#[test]
fn double_mappings_are_recognised() {
    let private = "7f0000000000-7f0000002000 r-xp 00000000 00:00 0 \n";
    let program = "550000000000-550000004000 r-xp 00002000 fe:00 1234 /usr/bin/tradux\n\
                   550000004000-550000006000 rw-p 00006000 fe:00 1234 /usr/bin/tradux\n\
                   ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";
    assert_eq!(executable_and_writable(&format!("{private}{program}")), None);
    for (maps, reason) in [
        ("7f0000000000-7f0000002000 rwxp 00000000 00:00 0 \n", "writable: "),
        ("7f0000000000-7f0000002000 r-xs 00000000 00:01 77 /memfd:code (deleted)\n", "shared: "),
        ("7f0000000000-7f0000002000 r-xp 00000000 00:01 77 /memfd:code (deleted)\n", "memory with a descriptor: "),
        ("7f0000000000-7f0000002000 r-xp 00000000 00:01 77 /dev/zero (deleted)\n", "memory with a descriptor: "),
        (
            "7f0000000000-7f0000002000 r-xp 00001000 fe:00 99 /data/code\n\
             7f0000004000-7f0000005000 rw-s 00002000 fe:00 99 /data/code\n",
            "writable elsewhere: ",
        ),
    ] {
        let found = executable_and_writable(&format!("{program}{maps}"));
        assert!(found.as_ref().is_some_and(|found| found.starts_with(reason)), "{found:?}, not {reason}");
    }
    let apart = "7f0000000000-7f0000002000 r-xp 00001000 fe:00 99 /data/code\n\
                 7f0000004000-7f0000005000 rw-s 00003000 fe:00 99 /data/code\n";
    assert_eq!(executable_and_writable(apart), None);
}

/// While a guest runs compiled, no page of the process can be executed and be written, in one mapping or through two.
#[test]
fn no_page_is_writable_and_executable() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tradux"))
        .args(["run", "--tier", "jit", &program("primes")])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (mut looks, mut generated) = (0, 0);
    while child.try_wait().unwrap().is_none() {
        // The process may end between the two looks at it.
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap_or_default();
        assert_eq!(executable_and_writable(&maps), None);
        generated += maps.lines().filter(|line| Mapping::parse(line).is_generated()).count();
        looks += 1;
    }
    assert!(child.wait().unwrap().success());
    assert!(looks > 3 && generated > 0, "{looks} looks, {generated} mappings of generated code");
}

#[test]
fn the_environment_and_the_own_name_can_be_set() {
    // The bare program prints its arguments; its own name is not among them, and the kernel's file shows it.
    let output = tradux(&["run", "-0", "other", "-E", "A=b", &program("args"), "x"]);
    assert_eq!((out(&output).as_str(), output.status.code()), ("1: x\n", Some(1)));
    let output = tradux(&["run", "-0", "other", "--strace", &program("args")]);
    assert_eq!(output.status.code(), Some(0));
}
