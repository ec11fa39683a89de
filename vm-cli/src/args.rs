//! What can be said on the command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use vm_core::GuestArch;
use vm_engine::TierPolicy;
use vm_linux::{Filter, TraceOptions};

/// Runs Linux programs built for one processor on another.
#[derive(Debug, Parser)]
#[command(
    name = "tradux",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  \
        tradux run ./hello                       run a riscv64 program\n  \
        tradux run --stats ./prog a b < input    and print statistics to standard error\n  \
        tradux run --profile ./prog              and say where its time went\n  \
        tradux run -L /opt/riscv ./prog          look files up below /opt/riscv first\n  \
        tradux disasm ./prog main                disassemble a function\n  \
        tradux translate --to x86-64 ./prog main  host code of a function, block by block\n  \
        tradux ir --opt --hex b3027300           the IR of `add x5, x6, x7`"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program
    ///
    /// The program's standard input, output and error are this command's. The exit status is the program's; a program
    /// that a signal kills makes this command die by the same signal. 127 says that there is no such file, 126 that it
    /// cannot be executed.
    Run(RunArgs),
    /// Disassemble guest code
    Disasm(CodeArgs),
    /// Show guest code beside the IR that it is lifted to
    Ir(IrArgs),
    /// Show the host code that guest code is compiled to, with its size
    Translate(TranslateArgs),
    /// Show guests, their extensions, and hosts that this build knows
    Info,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How statistics and profiles are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// How machine code is named to the host's perf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PerfFormat {
    /// A map of addresses, perf-PID.map in /tmp
    Map,
    /// A dump with the code itself, jit-PID.dump in the folder for temporary files; for `perf inject --jit`
    Jitdump,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Which tiers run the program: `auto` interprets cold code and compiles hot code, `interp` only interprets, `jit`
    /// compiles everything before it runs, `baseline` does so by the quick compiler alone
    #[arg(long, value_name = "TIER", default_value_t = TierPolicy::Auto)]
    pub(crate) tier: TierPolicy,
    /// Print statistics to standard error when the program ends
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub(crate) stats: Option<ReportFormat>,
    /// Print to standard error, when the program ends, where its CPU time went and which of its functions took it
    ///
    /// Names come from the symbol tables of the files that the program has mapped. Children that the program forks are not
    /// seen unless they execute a program themselves.
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub(crate) profile: Option<ReportFormat>,
    /// Append the profile to this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) profile_to: Option<PathBuf>,
    /// Name compiled code to the host's `perf`, in a file that is written when the program ends
    #[arg(long, value_name = "FORMAT")]
    pub(crate) perf: Option<PerfFormat>,
    /// Print system calls to standard error, as strace does: all of them, or those that FILTER names
    ///
    /// FILTER is a list of names and of the classes %file, %desc, %process, %network, %signal, %ipc and %memory, separated
    /// by commas; `!` before it shows all others. Signals are shown as well, but for those that are ignored, those
    /// without effect in processes with several threads, and stops that others ask for.
    #[arg(long, value_name = "FILTER", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub(crate) strace: Option<Filter>,
    /// Append system calls to this file instead, each line with the number of its thread
    #[arg(long, value_name = "FILE")]
    pub(crate) strace_to: Option<PathBuf>,
    /// Compile at once on the thread that runs the program, so that equal runs take equal steps
    #[arg(long)]
    pub(crate) deterministic: bool,
    /// Interrupt, evict, invalidate and delay at random, to find what a program should not notice
    #[arg(long, value_name = "SEED", hide = true)]
    pub(crate) disturb: Option<u64>,
    /// Look absolute file names of the program up below this directory first. Files that are new there are the host's;
    /// so are /dev, /proc and /sys
    #[arg(short = 'L', long, value_name = "DIR", env = "TRADUX_SYSROOT")]
    pub(crate) sysroot: Option<PathBuf>,
    /// Confine the program to this directory: no file name leads out of it. PROGRAM is a name inside. Where it has no
    /// /dev, /proc or /sys of its own, common devices and the host's processes show. A sysroot is not used then
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Set a variable of the program's environment, which is otherwise this command's
    #[arg(short = 'E', long = "env", value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) env: Vec<OsString>,
    /// What the program finds as its own name
    #[arg(short = '0', long, value_name = "NAME")]
    pub(crate) argv0: Option<OsString>,
    /// The program, and its arguments as they are
    #[arg(required = true, value_name = "PROGRAM", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,
}

impl RunArgs {
    /// Which system calls are shown, and where.
    pub(crate) fn trace(&self) -> Option<TraceOptions> {
        let wanted = self.strace.is_some() || self.strace_to.is_some();
        let filter = self.strace.clone().unwrap_or_default();
        wanted.then(|| TraceOptions { filter, file: self.strace_to.clone(), ..TraceOptions::default() })
    }
}

fn assignment(text: &str) -> Result<OsString, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(OsStr::from_bytes(text.as_bytes()).to_owned()),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Which guest code is meant.
#[derive(Debug, Args)]
pub(crate) struct CodeArgs {
    /// An ELF file
    #[arg(required_unless_present = "hex", conflicts_with = "hex")]
    pub(crate) file: Option<PathBuf>,
    /// A symbol of the file, or an address (0x...); by default its entry point
    #[arg(conflicts_with = "hex")]
    pub(crate) place: Option<String>,
    /// Code as hexadecimal digits in memory order, in place of a file
    #[arg(long, value_name = "DIGITS")]
    pub(crate) hex: Option<String>,
    /// Address of the code given with --hex
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "0x1000", requires = "hex")]
    pub(crate) pc: u64,
    /// Guest of the code given with --hex
    #[arg(long, value_name = "GUEST", default_value_t = GuestArch::Riscv64, requires = "hex")]
    pub(crate) guest: GuestArch,
    /// Most instructions to show; by default all of the symbol or of the digits, else 32
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub(crate) count: Option<usize>,
}

/// Arguments of `ir`.
#[derive(Debug, Args)]
pub(crate) struct IrArgs {
    /// Show the IR after all passes
    #[arg(long)]
    pub(crate) opt: bool,
    #[command(flatten)]
    pub(crate) code: CodeArgs,
}

/// A processor that code can be generated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Host {
    /// 64-bit x86
    #[value(name = "x86-64")]
    X86_64,
    /// 64-bit Arm
    Aarch64,
    /// 64-bit RISC-V
    Riscv64,
    /// IBM z/Architecture
    S390x,
}

impl Host {
    /// Name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }
}

/// Arguments of `translate`.
#[derive(Debug, Args)]
pub(crate) struct TranslateArgs {
    /// The processor to generate code for; `tradux info` lists those of this build. The feature `all-hosts` adds others
    #[arg(long, value_name = "HOST")]
    pub(crate) to: Host,
    /// Compile all blocks as one region, as hot code is, and not each for itself
    #[arg(long)]
    pub(crate) region: bool,
    #[command(flatten)]
    pub(crate) code: CodeArgs,
}

/// Reads an address: hexadecimal with 0x, else decimal.
pub(crate) fn address(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_after_the_program_are_its_own() {
        let parsed = Arguments::parse_from(["tradux", "run", "--stats", "prog", "--strace", "-L", "x"]);
        let Command::Run(run) = parsed.command else { panic!("run was asked for") };
        assert_eq!(run.stats, Some(ReportFormat::Text));
        assert!(run.trace().is_none() && run.sysroot.is_none());
        assert_eq!(run.command, ["prog", "--strace", "-L", "x"]);
    }

    #[test]
    fn traces_are_filtered_and_directed() {
        let trace = |words: &[&str]| {
            let parsed = Arguments::try_parse_from(["tradux", "run"].iter().chain(words).chain(&["prog"])).ok()?;
            let Command::Run(run) = parsed.command else { panic!("run was asked for") };
            run.trace()
        };
        assert_eq!(trace(&["--strace"]), Some(TraceOptions::default()));
        assert_eq!(trace(&["--strace=read,%file"]).unwrap().filter, "read,%file".parse().unwrap());
        assert_eq!(trace(&["--strace-to", "log"]).unwrap().file.unwrap(), PathBuf::from("log"));
        assert_eq!(trace(&["--strace=no_such_call"]), None);
    }

    #[test]
    fn addresses_are_hexadecimal_or_decimal() {
        assert_eq!(address("0x10"), Ok(16));
        assert_eq!(address("10"), Ok(10));
        assert!(address("main").is_err());
    }
}
