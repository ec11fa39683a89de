//! Who runs a case, and one run of it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::cases::{Case, Script};
use super::configure::USER;
use super::sysroot::{self, Sysroot};
use crate::child::{Invocation, Outcome};
use crate::jail::{self, Inside};
use crate::tools::{Qemu, output_of};
use crate::workspace::Workspace;

/// The kinds of runners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project
    Tradux,
    /// The reference emulator
    Qemu,
    /// This machine itself
    Native,
}

/// A way to run programs of one tree.
pub(crate) struct Runner {
    sysroot: Sysroot,
    how: How,
}

enum How {
    Native,
    Qemu {
        qemu: Qemu,
        /// Its CPU, if not the default one.
        cpu: Option<&'static str>,
    },
    Tradux {
        program: PathBuf,
        tier: String,
        /// Further options.
        options: Vec<String>,
        /// Whether it can confine programs to a tree (`--root`).
        confines: bool,
    },
}

/// The CPU of the reference emulator: the architecture's base, for which Debian builds.
pub(crate) const QEMU_CPU: &str = "rv64";

impl Runner {
    /// Programs of this machine's own architecture.
    pub(crate) fn native(sysroot: Sysroot) -> Runner {
        Runner { sysroot, how: How::Native }
    }

    /// Programs on the reference emulator, which must be static to be seen inside a tree.
    pub(crate) fn qemu(sysroot: Sysroot, qemu: Qemu, cpu: Option<&'static str>) -> Result<Runner> {
        let path = fs::canonicalize(&qemu.path)
            .with_context(|| format!("{} must be a file of its own, fetched into target/tools", qemu.path.display()))?;
        Ok(Runner { sysroot, how: How::Qemu { qemu: Qemu { path, ..qemu }, cpu } })
    }

    /// Programs on tradux.
    pub(crate) fn tradux(sysroot: Sysroot, program: PathBuf, tier: &str) -> Result<Runner> {
        let help = output_of(Command::new(&program).args(["run", "--help"]))?;
        let confines = help.contains("--root");
        if !confines {
            println!("note: this tradux has no --root; programs run with -L, and confined cases are skipped");
        }
        let how = How::Tradux { program, tier: tier.to_owned(), options: Vec::new(), confines };
        Ok(Runner { sysroot, how })
    }

    /// The same with further options of tradux.
    pub(crate) fn with_options(mut self, more: &[&str]) -> Runner {
        if let How::Tradux { options, .. } = &mut self.how {
            options.extend(more.iter().map(|&option| option.to_owned()));
        }
        self
    }

    /// Debian's name of the architecture of its programs.
    pub(crate) fn architecture(&self) -> &str {
        &self.sysroot.architecture
    }

    /// The runner's name in folders.
    fn name(&self) -> &'static str {
        match &self.how {
            How::Native => "native",
            How::Qemu { .. } => "qemu",
            How::Tradux { .. } => "tradux",
        }
    }

    /// For people.
    pub(crate) fn described(&self) -> String {
        let architecture = &self.sysroot.architecture;
        match &self.how {
            How::Native => format!("this machine ({architecture})"),
            How::Qemu { qemu, cpu: Some(cpu) } => format!("{} -cpu {cpu}", qemu.version),
            How::Qemu { qemu, cpu: None } => qemu.version.clone(),
            How::Tradux { program, tier, .. } => format!("{} with tier {tier}", program.display()),
        }
    }

    /// Why this runner is not asked for a case.
    pub(crate) fn cannot(&self, case: &Case) -> Option<String> {
        match &self.how {
            How::Native => None,
            How::Qemu { .. } => case.not_qemu.as_ref().map(|why| format!("not on qemu-user: {why}")),
            How::Tradux { confines: true, .. } => None,
            How::Tradux { confines: false, .. } => {
                (case.confined || case.root).then(|| "needs a tradux with --root".to_owned())
            }
        }
    }

    fn inside(&self, case: &Case, scratch: &Path) -> Inside {
        let mut guest: Vec<OsString> = case.interpreter.iter().map(OsString::from).collect();
        if case.script == Script::Argument {
            guest.push(case.files[0].0.clone().into());
        }
        let user = if case.root { 0 } else { USER };
        let inside = |words| Inside::new(&self.sysroot.folder, scratch, user, words).repeated(case.repeat);
        match &self.how {
            How::Native => inside(guest).with_chroot(),
            How::Qemu { qemu, .. } => inside(guest).with_chroot().with_binfmt(&qemu.path),
            How::Tradux { program, tier, options, confines } => {
                let root = jail::mounted(scratch);
                let mut words: Vec<OsString> = vec![program.into(), "run".into(), "--tier".into(), tier.into()];
                words.extend(options.iter().map(OsString::from));
                words.push(if *confines { "--root".into() } else { "-L".into() });
                words.push(root.clone().into());
                words.push("--".into());
                if !*confines {
                    guest[0] = root.join(case.interpreter[0].trim_start_matches('/')).into();
                }
                words.extend(guest);
                inside(words)
            }
        }
    }
}

/// One run of one case.
pub(crate) struct Job<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) case: &'a Case,
    /// Whether what it wrote stays.
    pub(crate) keep: bool,
    /// Seconds, in place of the case's own.
    pub(crate) timeout: Option<u64>,
    /// Tells runs on the same runner apart.
    pub(crate) turn: &'static str,
}

impl Job<'_> {
    /// Runs the case in a fresh copy of the runner's tree.
    pub(crate) fn run(&self, runner: &Runner) -> Result<Outcome> {
        let name = format!("{}.{}.{}", self.case.name, runner.name(), self.turn);
        // Two runs of xtask at the same time must not meet; what is kept has a name that can be found.
        let name = if self.keep { name } else { format!("{name}.{}", std::process::id()) };
        let scratch = runs(self.workspace).join(name);
        sysroot::remove_tree(&scratch)?;
        let work = jail::upper(&scratch).join("work");
        fs::create_dir_all(&work)?;
        for (name, text) in &self.case.files {
            let path = work.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text)?;
            if text.starts_with("#!") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
        for name in &self.case.guests {
            let program = self.workspace.guests(super::machine_of(runner.architecture())).join(name);
            fs::copy(&program, work.join(name)).with_context(|| format!("{} is missing", program.display()))?;
        }
        let words = jail::words(&runner.inside(self.case, &scratch))?;
        let mut invocation = Invocation::new(&scratch, words);
        invocation.environment = environment(self.case, runner);
        invocation.limit = Duration::from_secs(self.timeout.unwrap_or(self.case.timeout));
        if self.case.script == Script::Input {
            invocation.input = self.case.files[0].1.clone().into_bytes();
        }
        let mut outcome = invocation.run()?;
        let text = fs::read_to_string(jail::usage(&scratch)).unwrap_or_default();
        if let Some((cpu, peak)) = text.split_once(' ') {
            (outcome.cpu, outcome.peak_kib) = (Duration::from_micros(cpu.parse()?), peak.parse()?);
        }
        if self.keep {
            fs::write(scratch.join("stdout"), &outcome.stdout)?;
            fs::write(scratch.join("stderr"), &outcome.stderr)?;
            println!("kept {}; the run was: {}", self.workspace.shown(&scratch), invocation.shown());
        } else {
            sysroot::remove_tree(&scratch)?;
        }
        Ok(outcome)
    }
}

/// The whole environment of a case: nothing of the machine's own gets in.
fn environment(case: &Case, runner: &Runner) -> Vec<(OsString, OsString)> {
    let name = if case.root { "root" } else { "user" };
    let mut variables = vec![
        // Without /usr/local: a tree has nothing there, and with a prefix alone the machine's own programs would be found.
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/work"),
        ("USER", name),
        ("LOGNAME", name),
        ("SHELL", "/bin/sh"),
        ("TMPDIR", "/tmp"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONHASHSEED", "0"),
        ("PERL_HASH_SEED", "0"),
    ];
    if let How::Qemu { cpu: Some(cpu), .. } = runner.how {
        variables.push(("QEMU_CPU", cpu));
    }
    variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn runs(workspace: &Workspace) -> PathBuf {
    sysroot::folder(workspace).join("runs")
}

/// Whether namespaces can be made here at all.
pub(crate) fn probe(workspace: &Workspace) -> Result<()> {
    let folder = runs(workspace).join(format!("probe.{}", std::process::id()));
    let lower = folder.join("lower");
    for name in ["proc", "sys", "dev", "work"] {
        fs::create_dir_all(lower.join(name))?;
    }
    let words = jail::words(&Inside::new(&lower, &folder.join("scratch"), USER, vec!["true".into()]))?;
    let mut invocation = Invocation::new(&folder, words);
    invocation.limit = Duration::from_secs(10);
    let outcome = invocation.run()?;
    sysroot::remove_tree(&folder)?;
    if outcome.ending != crate::child::Ending::Status(0) {
        let errors = String::from_utf8_lossy(&outcome.stderr);
        bail!("{}", errors.lines().next().unwrap_or("no message"));
    }
    Ok(())
}

/// Packages whose versions differ between two trees by more than the number of a rebuild.
pub(crate) fn version_differences(one: &Runner, other: &Runner) -> Vec<String> {
    let upstream = |version: &str| version.split("+b").next().unwrap_or("").to_owned();
    let mut lines = Vec::new();
    for left in &one.sysroot.packages {
        let right = other.sysroot.packages.iter().find(|right| right.package == left.package);
        if let Some(right) = right
            && upstream(&right.version) != upstream(&left.version)
        {
            lines.push(format!("{} is {} here and {} there", left.package, left.version, right.version));
        }
    }
    lines
}
