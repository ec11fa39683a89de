//! `--strace` against strace: the same calls, made by the same source on both architectures, read the same.
//!
//! `tests/strace/traced.txt` is what strace 6.1 prints of the native build of `guests/src/traced.c` from its first call
//! on. `UPDATE_GOLDEN=1` records it anew with the strace of this machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A program that `cargo xtask guests` builds, if it has.
fn built(arch: &str, name: &str) -> Option<PathBuf> {
    let path = repository("target/guests").join(arch).join(name);
    if !path.exists() {
        println!("skipped, because `cargo xtask guests` has not built {name}");
        assert!(std::env::var_os("CI").is_none(), "nothing may be skipped here");
        return None;
    }
    Some(path)
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Waits until `done` says so. A child that takes a minute for it is killed.
fn wait_until(child: &mut Child, mut done: impl FnMut(&mut Child) -> bool) {
    let begun = Instant::now();
    while !done(child) {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("what is waited for does not happen");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a guest program; gives its output and the trace in its file.
fn traced(name: &str, args: &[&str], options: &[&str]) -> Option<(Output, String)> {
    let program = built("riscv64", name)?;
    let dir = folder("strace");
    let file = dir.join("trace.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradux"));
    command.current_dir(&dir).arg("run").args(options).arg("--strace-to").arg(&file).arg(program).args(args);
    let output = command.output().unwrap();
    Some((output, std::fs::read_to_string(file).unwrap()))
}

/// A trace from the mark on, without what differs from run to run and from machine to machine: addresses, numbers of
/// segments, the width of the first column, and the restorer that x86-64 has beside a handler.
fn plain(trace: &str) -> String {
    let from = trace.find("close(-4242)").expect("the mark where the comparison begins");
    let mut lines = Vec::new();
    let mut segment = String::new();
    for line in trace[from..].lines() {
        // Numbers of threads stand before lines of a file.
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let (text, result) = call.rsplit_once(" = ").unwrap_or((call, ""));
        let text = text.trim_end();
        if text.starts_with("shmget") {
            result.clone_into(&mut segment);
        }
        let text = if text.starts_with("shmctl") { text.replace(&segment, "SEGMENT") } else { text.to_owned() };
        let result = if text.starts_with("shmget") { "SEGMENT" } else { result };
        let mut line = String::new();
        for word in format!("{text} = {result}").split_inclusive([' ', ',', '(', ')', '{', '=', '[']) {
            let digits =
                word.strip_prefix("0x").map_or("", |rest| rest.trim_end_matches(|c: char| !c.is_ascii_hexdigit()));
            if digits.len() > 4 {
                line.push_str("ADDRESS");
                line.push_str(&word[2 + digits.len()..]);
            } else {
                line.push_str(word);
            }
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

#[test]
fn calls_read_as_strace_prints_them() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strace/traced.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let Some(native) = built(std::env::consts::ARCH, "traced") else { return };
        let output = Command::new("strace").arg(native).current_dir(folder("native")).output().unwrap();
        std::fs::write(&golden, plain(&String::from_utf8(output.stderr).unwrap())).unwrap();
    }
    let Some((output, trace)) = traced("traced", &[], &[]) else { return };
    assert_eq!(output.status.code(), Some(3));
    let expected = std::fs::read_to_string(golden).unwrap();
    let found = plain(&trace);
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[test]
fn signals_and_ends_are_shown() {
    let Some((output, trace)) = traced("leave", &["null", "0"], &[]) else { return };
    assert!(output.stderr.is_empty());
    let lines: Vec<&str> = trace.lines().map(|line| line.split_once(' ').unwrap().1.trim_start()).collect();
    let end = &lines[lines.len() - 2..];
    assert_eq!(end[0], "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---");
    assert_eq!(end[1], "+++ killed by SIGSEGV +++");
    let (_, trace) = traced("leave", &["raise", "15"], &[]).unwrap();
    assert!(trace.contains("--- SIGTERM {si_signo=SIGTERM, si_code=SI_TKILL, si_pid="), "{trace}");
    let (_, trace) = traced("leave", &["exit", "300"], &["--strace=%process"]).unwrap();
    let lines: Vec<&str> = trace.lines().map(|line| line.split_once(' ').unwrap().1.trim_start()).collect();
    assert_eq!(lines, ["exit_group(300)                   = ?", "+++ exited with 44 +++"]);
}

/// A call that a handler interrupts says how it goes on, and the return from the handler what it goes back to.
#[test]
fn interruptions_are_shown() {
    let filter = "--strace=rt_sigreturn,clock_nanosleep,epoll_pwait";
    let Some((output, trace)) = traced("sys-sig_interrupts", &[], &[filter]) else { return };
    assert!(output.status.success(), "{trace}");
    let calls = |start: &str| {
        let lines = trace.lines().map(|line| line.split_once(' ').unwrap().1.trim_start());
        lines.filter(|line| line.starts_with(start)).collect::<Vec<_>>()
    };
    let returns = calls("rt_sigreturn(");
    assert!(!returns.is_empty() && returns.len() == calls("rt_sigreturn({mask=[").len(), "{trace}");
    assert!(returns.iter().any(|line| line.ends_with(" = -1 EINTR (Interrupted system call)")), "{trace}");
    let interrupted = " = ? ERESTART_RESTARTBLOCK (Interrupted by signal)";
    assert!(calls("clock_nanosleep(").iter().any(|line| line.ends_with(interrupted)), "{trace}");
    let plain = |line: &&str| line.ends_with(" = -1 EINTR (Interrupted system call)");
    assert!(calls("epoll_pwait").iter().any(plain), "{trace}");
}

/// A program that kills itself comes back from no call and has an end.
#[test]
fn a_kill_of_oneself_is_shown() {
    let Some((output, trace)) = traced("leave", &["kill", "9"], &[]) else { return };
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9));
    let lines: Vec<&str> = trace.lines().map(|line| line.split_once(' ').unwrap().1.trim_start()).collect();
    let [.., call, end] = lines[..] else { panic!("{trace}") };
    assert!(call.starts_with("kill(") && call.contains(", SIGKILL) ") && call.ends_with(" = ?"), "{trace}");
    assert_eq!(end, "+++ killed by SIGKILL +++");
}

/// With several processes every line says whose it is, and programs that they execute are traced on.
#[test]
fn lines_name_their_process() {
    let Some(program) = built("riscv64", "sys-exec_self") else { return };
    let dir = folder("strace-numbers");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradux"));
    let output = command.current_dir(dir).args(["run", "--strace"]).arg(program).output().unwrap();
    let trace = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    // The child may be faster than its parent's call comes back.
    let first = lines.iter().position(|line| line.starts_with("[pid ")).expect("a child");
    assert!(lines[..first].iter().all(|line| !line.contains("clone(")), "{trace}");
    assert!(lines[first..].iter().all(|line| line.starts_with("[pid ")), "{trace}");
    let numbers: std::collections::BTreeSet<&str> =
        lines[first..].iter().filter_map(|line| line.split(']').next()).collect();
    assert!(numbers.len() > 3, "{trace}");
    // The trace goes on in the programs that they execute, without the handover's variable among theirs.
    assert!(trace.contains("execve(\"/proc/self/exe\", [], "), "{trace}");
    assert!(trace.contains("/* 0 vars */) = 0\n") && trace.contains("+++ exited with 64 +++\n"), "{trace}");
}

/// A program that closes every descriptor there is, as those do that start others, is traced on.
#[test]
fn the_trace_outlives_descriptors() {
    let Some((_, trace)) = traced("traced", &[], &["--strace=close_range,exit_group"]) else { return };
    let lines: Vec<&str> = trace.lines().map(|line| line.split_once(' ').unwrap().1.trim_start()).collect();
    assert_eq!(lines.iter().filter(|line| line.starts_with("close_range(3, 4294967295, 0)")).count(), 2, "{trace}");
    assert_eq!(lines.last(), Some(&"+++ exited with 3 +++"));
}

/// A signal from outside that ends the program is shown before its end, as are those of the program itself.
#[test]
fn deadly_signals_from_others_are_shown() {
    let Some(program) = built("riscv64", "sys-proc_other") else { return };
    let file = folder("strace-killed").join("trace.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradux"));
    // With two arguments it does nothing but wait.
    let mut child = command.args(["run", "--strace-to"]).arg(&file).arg(program).args(["1", "2"]).spawn().unwrap();
    let trace = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_until(&mut child, |_| !trace().is_empty());
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    wait_until(&mut child, |child| child.try_wait().unwrap().is_some());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(15));
    let trace = trace();
    let lines: Vec<&str> = trace.lines().map(|line| line.split_once(' ').unwrap().1.trim_start()).collect();
    let shown = "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=";
    assert!(lines[lines.len() - 2].starts_with(shown), "{trace}");
    assert_eq!(lines.last(), Some(&"+++ killed by SIGTERM +++"), "{trace}");
}

/// A program that stops itself shows so before it stops, and its next call after it was let go on.
#[test]
fn stops_are_shown() {
    stops("kill", "kill({pid}, SIGSTOP)", "SI_USER, si_pid={pid}, si_uid=");
    let info = "SI_QUEUE, si_pid={pid}, si_uid=";
    stops("queue", &["rt_sigqueueinfo({pid}, SIGSTOP, {si_signo=SIGSTOP, si_code=", info].concat(), info);
}

/// A program that stops itself in the way `how` of `guests/src/leave.c`. `call` begins the line of the call and `info` the
/// signal's record, both with the process's number for `{pid}`.
fn stops(how: &str, call: &str, info: &str) {
    let Some(program) = built("riscv64", "leave") else { return };
    let file = folder("strace-stopped").join("trace.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tradux"));
    command.args(["run", "--strace-to"]).arg(&file).arg(program).args([how, "19"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let trace = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_until(&mut child, |child| {
        assert_eq!(child.try_wait().unwrap(), None, "{}", trace());
        trace().contains("--- stopped by SIGSTOP ---")
    });
    // It may be on its way into the call that stops it.
    wait_until(&mut child, |child| {
        assert!(Command::new("kill").args(["-CONT", &child.id().to_string()]).status().unwrap().success());
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(98));
    let trace = trace();
    let lines: Vec<&str> = trace.lines().map(|line| line.split_once(' ').unwrap().1.trim_start()).collect();
    let stopped = lines.iter().position(|line| *line == "--- stopped by SIGSTOP ---").unwrap();
    let pid = child.id();
    let expected = |text: &str| text.replace("{pid}", &pid.to_string());
    assert!(lines[stopped - 2].starts_with(&expected(call)) && lines[stopped - 2].ends_with(" = 0"), "{trace}");
    let shown = format!("--- SIGSTOP {{si_signo=SIGSTOP, si_code={}", expected(info));
    assert!(lines[stopped - 1].starts_with(&shown), "{trace}");
    let mut after = lines[stopped + 1..].iter().skip_while(|line| line.starts_with("--- SIGCONT {si_signo=SIGCONT, "));
    assert!(lines[stopped + 1].starts_with("--- SIGCONT "), "{trace}");
    assert!(after.next().unwrap().starts_with("write(1, \"survived\\n\", 9)"), "{trace}");
}

/// Signals whose default action is nothing are shown, and change nothing: the program checks that itself.
#[test]
fn signals_without_effect_are_shown() {
    let Some((output, trace)) = traced("unnoticed", &[], &[]) else { return };
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "unnoticed: 24 checks, 0 failed\n", "{trace}");
    // The first line is the program's; its children's have other numbers.
    let pid = trace.split_once(' ').unwrap().0;
    let lines: Vec<String> = trace
        .lines()
        .filter_map(|line| line.split_once(' ').filter(|(number, _)| *number == pid))
        .map(|(_, line)| line.trim_start().replace(pid, "SELF"))
        .collect();
    // As strace 6.1 shows them; in strace's own order, but that a signal comes after the call that it would have
    // interrupted, and that signals which are ignored are not shown.
    let user = |signal: &str| format!("--- {signal} {{si_signo={signal}, si_code=SI_USER, si_pid=SELF, si_uid=");
    for (signal, sent, shown) in [("SIGWINCH", 3, 3), ("SIGURG", 2, 1), ("SIGCONT", 1, 1), ("SIGCHLD", 3, 2)] {
        let calls: Vec<usize> = (0..lines.len())
            .filter(|at| lines[*at].starts_with(&format!("kill(SELF, {signal})")) && lines[*at].ends_with(" = 0"))
            .collect();
        assert_eq!(calls.len(), sent, "{signal}: {trace}");
        let all = lines.iter().filter(|line| line.starts_with(&user(signal))).count();
        assert_eq!(all, shown, "{signal}: {trace}");
    }
    let after = |call: &str| {
        let at = lines.iter().position(|line| line.starts_with(call)).unwrap_or_else(|| panic!("{call}: {trace}"));
        lines[at + 1].as_str()
    };
    for signal in ["SIGWINCH", "SIGURG", "SIGCONT", "SIGCHLD"] {
        assert!(after(&format!("kill(SELF, {signal})")).starts_with(&user(signal)), "{trace}");
    }
    assert!(after("rt_sigprocmask(SIG_UNBLOCK, [CHLD], NULL, 8)").starts_with(&user("SIGCHLD")), "{trace}");
    // Of children: the signal that each has sent, and its end.
    for (signal, number) in [("SIGWINCH", 28), ("SIGURG", 23), ("SIGCONT", 18)] {
        let from_child = |line: &&String| line.starts_with(&format!("--- {signal} ")) && !line.contains("si_pid=SELF");
        assert_eq!(lines.iter().filter(from_child).count(), 1, "{trace}");
        let end = |line: &&String| {
            line.starts_with("--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=")
                && line.contains(&format!(", si_status={number}, si_utime="))
        };
        assert_eq!(lines.iter().filter(end).count(), 1, "{trace}");
    }
    for call in ["clock_nanosleep", "epoll_pwait", "ppoll"] {
        let ends = |line: &&String| {
            let own = line.starts_with(&format!("{call}(")) || line.starts_with(&format!("<... {call} resumed>"));
            own && !line.ends_with(" <unfinished ...>")
        };
        let ends: Vec<&String> = lines.iter().filter(ends).collect();
        assert!(ends.len() == 1 && ends[0].contains(" = 0"), "{call}: {ends:?}: {trace}");
    }
}

/// A call whose result comes after another thread's line has its beginning before that line.
#[test]
fn calls_of_several_threads_are_resumed() {
    let Some((output, trace)) = traced("sys-futex_requeue", &[], &["--strace=futex,clone,clone3,exit_group"]) else {
        return;
    };
    assert!(output.status.success());
    let mut open: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
    let mut resumed = 0;
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let (name, rest) = match call.strip_prefix("<... ") {
            Some(call) => call.split_once(" resumed>").expect("the rest of a call"),
            None => call.split_once(['(', ' ']).unwrap(),
        };
        if call.starts_with("<... ") {
            assert_eq!(open.remove(thread), Some(name), "{trace}");
            resumed += 1;
        }
        if call.ends_with(" <unfinished ...>") {
            assert_eq!(open.insert(thread, name), None, "{trace}");
        } else {
            assert!(rest.contains(" = ") || call.starts_with("+++") || call.starts_with("---"), "{line}\n{trace}");
        }
    }
    assert!(resumed > 0, "{trace}");
}
