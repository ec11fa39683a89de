//! `tradux run --profile` and `--perf`: what is written, and that the program does not notice.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PRIMES: &str = "148933 primes, sum 142913828922\n";

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/bin/riscv64").join(name)
}

fn temporary() -> PathBuf {
    env!("CARGO_TARGET_TMPDIR").into()
}

/// Rounds of compiled code that take half a second where nothing else runs: a busy machine wakes who takes the samples tens of
/// milliseconds late.
const SAMPLED: u32 = 50;

/// Runs the program `primes`, and gives the number of its process.
fn primes(options: &[&str]) -> (u32, Output) {
    repeated_primes(options, 1)
}

/// Runs the program `primes`, which does its work `rounds` times, and gives the number of its process.
fn repeated_primes(options: &[&str], rounds: u32) -> (u32, Output) {
    let child: Child = Command::new(env!("CARGO_BIN_EXE_tradux"))
        .arg("run")
        .args(options)
        .arg(program("primes"))
        .arg(rounds.to_string())
        .env("TMPDIR", temporary())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), PRIMES, "{options:?}");
    assert!(output.status.success());
    (pid, output)
}

#[test]
fn a_profile_accounts_for_all_time_and_names_the_file() {
    for (tier, rounds) in [("auto", SAMPLED), ("interp", SAMPLED / 8), ("jit", SAMPLED)] {
        let (_, output) = repeated_primes(&["--tier", tier, "--profile=json"], rounds);
        let report: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        let profile = &report["profile"];
        let parts = profile["parts_ns"].as_object().unwrap();
        let sum: u64 = parts.values().map(|part| part.as_u64().unwrap()).sum();
        let whole = profile["cpu_ns"].as_u64().unwrap();
        assert!(whole > 0 && sum >= whole, "{report}");
        assert!(sum < whole + whole / 10, "parts are not counted twice: {report}");
        // Most of this program is one loop.
        let in_guest: u64 = ["interpret", "compiled"].iter().map(|part| parts[*part].as_u64().unwrap()).sum();
        assert!(in_guest > 0, "{report}");
        let functions = profile["functions"].as_array().unwrap();
        assert!(functions.iter().any(|function| function["file"] == "primes"), "{report}");
        let never = if tier == "interp" { "compiled_ns" } else { "nothing" };
        assert!(functions.iter().all(|function| function[never].as_u64().unwrap_or(0) == 0), "{report}");
    }
}

#[test]
fn a_profile_goes_to_a_file_and_programs_in_turn_append() {
    let file = temporary().join(format!("profile-{}", std::process::id()));
    let _ = std::fs::remove_file(&file);
    for turn in 1..=2 {
        let (_, output) = repeated_primes(&["--profile-to", file.to_str().unwrap()], SAMPLED);
        assert!(output.stderr.is_empty());
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches("CPU time  ").count(), turn, "{text}");
        assert!(text.contains("tier 0") && text.contains("system calls") && text.contains("[primes]"), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
}

/// Before the program runs, for what it did would be lost.
#[test]
fn a_file_that_cannot_be_written_is_found_at_once() {
    for option in ["--profile-to", "--strace-to"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tradux"));
        let output = command.args(["run", option, "/no/such/folder/file"]).arg(program("hello")).output().unwrap();
        assert_eq!(output.status.code(), Some(126), "{option}");
        assert!(output.stdout.is_empty(), "{option}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("tradux: ") && text.contains("No such file or directory"), "{option}: {text}");
    }
}

/// Reads the words of a dump in this host's byte order.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
    }
}

/// The format of `tools/perf/Documentation/jit-interface.txt`: start and size in hexadecimal, and the rest is the name.
#[test]
fn a_perf_map_has_a_line_for_each_piece_of_code() {
    let (pid, output) = primes(&["--tier", "jit", "--perf", "map"]);
    assert!(output.stderr.is_empty());
    let file = Path::new("/tmp").join(format!("perf-{pid}.map"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let mut pieces = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let mut number = || u64::from_str_radix(words.next().unwrap(), 16).unwrap();
        let (start, size) = (number(), number());
        let name = words.next().unwrap();
        assert!(start > 0 && size > 0, "{line}");
        assert!(name.contains("[primes] tier"), "{line}");
        pieces.push((start, size));
    }
    assert!(!pieces.is_empty());
    pieces.sort_unstable();
    assert!(pieces.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "pieces overlap: {text}");
}

/// The format of `tools/perf/Documentation/jitdump-specification.txt`: a header, then records one after the other.
#[test]
fn a_dump_holds_the_code_itself() {
    let (pid, output) = primes(&["--tier", "jit", "--perf", "jitdump"]);
    assert!(output.stderr.is_empty());
    let file = temporary().join(format!("jit-{pid}.dump"));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let words = Words(&bytes);
    assert_eq!((words.u32(0), words.u32(4), words.u32(20)), (0x4a69_5444, 1, pid));
    let mut at = words.u32(8) as usize;
    let (mut count, mut last_time) = (0, 0);
    while at < bytes.len() {
        let (kind, size) = (words.u32(at), words.u32(at + 4) as usize);
        assert_eq!(kind, 0, "only code is loaded");
        assert!(words.u64(at + 8) >= last_time, "records are in the order of time");
        last_time = words.u64(at + 8);
        assert_eq!(words.u32(at + 16), pid);
        let (code_size, index) = (words.u64(at + 40) as usize, words.u64(at + 48));
        assert_eq!(index, count);
        let name_len = bytes[at + 56..].iter().position(|byte| *byte == 0).unwrap();
        let name = std::str::from_utf8(&bytes[at + 56..at + 56 + name_len]).unwrap();
        assert!(name.contains("[primes]"), "{name}");
        assert_eq!(size, 56 + name_len + 1 + code_size);
        assert!(code_size > 0);
        at += size;
        count += 1;
    }
    assert_eq!(at, bytes.len());
    assert!(count > 0);
}
