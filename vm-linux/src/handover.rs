//! [`Handover`]: what an emulator tells the one that takes its place when the guest executes another program.
//!
//! The new emulator is started with the guest's own arguments and environment, so that they show in `/proc` as they are
//! and are bounded as they are. One more variable, which the guest does not see, holds what else it has to know.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vm_engine::{Config, TierPolicy};

use crate::host;
use crate::kernel::Limits;
use crate::layout::Rlimit;
use crate::process::Options;
use crate::trace::{Filter, InheritedTrace, TraceOptions};

/// The variable.
const VARIABLE: &[u8] = b"TRADUX_HANDOVER=";

/// What the emulator that runs the guest's next program is started with.
#[derive(Clone, Debug)]
pub struct Handover {
    /// How to load and run the program.
    pub options: Options,
    /// What the embedder asked to be carried along (see [`Options::carried`]).
    pub carried: String,
}

/// What a handover says beside the options.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inherited {
    /// The program's open file.
    pub(crate) fd: i32,
    /// The guest's blocked signals.
    pub(crate) mask: u64,
    /// Signals that the guest ignores and the host does not.
    pub(crate) ignored: u64,
    /// Limits that the guest set and that the host was not told of.
    pub(crate) limits: Limits,
    /// What the tracer goes on with.
    pub(crate) trace: Option<InheritedTrace>,
}

impl Handover {
    /// The handover that this process was started with, if any.
    ///
    /// To be called once, before anything else that looks at arguments: the descriptor that it names is taken over.
    #[must_use]
    pub fn take() -> Option<Self> {
        let mut env = host::environment();
        // The last one is the emulator's: the guest may have others.
        let at = env.iter().rposition(|variable| variable.as_bytes().starts_with(VARIABLE))?;
        let text = env.remove(at).into_vec().split_off(VARIABLE.len());
        let env = env.into_iter().map(uncovered).collect();
        let mut args = std::env::args_os();
        let argv0 = args.next();
        let mut options = Options { argv0, args: args.collect(), env, ..Options::default() };
        let mut inherited = Inherited { fd: -1, ..Inherited::default() };
        let mut carried = String::new();
        let mut trace = TraceOptions::default();
        for field in text.split(|byte| *byte == b';') {
            let mut parts = field.splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next()?, decode(parts.next()?)?);
            let word = || std::str::from_utf8(&value).ok();
            match name {
                b"fd" => inherited.fd = word()?.parse().ok()?,
                b"mask" => inherited.mask = word()?.parse().ok()?,
                b"ignored" => inherited.ignored = word()?.parse().ok()?,
                b"limits" => inherited.limits = parse_limits(word()?)?,
                b"name" => options.program = PathBuf::from(OsString::from_vec(value)),
                b"sysroot" => options.sysroot = Some(OsString::from_vec(value).into()),
                b"root" => options.root = Some(OsString::from_vec(value).into()),
                b"emulator" => options.emulator = Some(OsString::from_vec(value).into()),
                b"strace" => trace.filter = word()?.parse().ok()?,
                b"trace" => trace.inherited = Some(InheritedTrace::decode(word()?)?),
                b"tier" => options.engine.tier = word()?.parse().ok()?,
                b"deterministic" => options.engine.deterministic = value == b"1",
                b"count" => options.engine.count_instructions = value == b"1",
                b"disturb" => options.engine.disturb = Some(word()?.parse().ok()?),
                b"carried" => carried = String::from_utf8(value).ok()?,
                _ => return None,
            }
        }
        options.strace = trace.inherited.is_some().then_some(trace);
        options.file = Some(Arc::new(host::take_descriptor(inherited.fd)?));
        options.inherited =
            Some(InheritedState { mask: inherited.mask, ignored: inherited.ignored, limits: inherited.limits });
        options.carried.clone_from(&carried);
        Some(Self { options, carried })
    }
}

/// Signals and limits as the program before left them.
#[derive(Clone, Debug)]
pub struct InheritedState {
    pub(crate) mask: u64,
    pub(crate) ignored: u64,
    pub(crate) limits: Limits,
}

/// What of [`Options`] goes on in the next program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) emulator: Option<PathBuf>,
    sysroot: Option<PathBuf>,
    root: Option<PathBuf>,
    filter: Option<Filter>,
    tier: TierPolicy,
    deterministic: bool,
    count: bool,
    disturb: Option<u64>,
    carried: String,
}

impl Settings {
    pub(crate) fn of(options: &Options) -> Self {
        let Config { tier, deterministic, count_instructions, disturb, .. } = options.engine;
        // The guest may change its directory meanwhile.
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        Self {
            emulator: options.emulator.clone(),
            sysroot: options.sysroot.as_deref().map(real),
            root: options.root.as_deref().map(real),
            filter: options.strace.as_ref().map(|trace| trace.filter.clone()),
            tier,
            deterministic,
            count: count_instructions,
            disturb,
            carried: options.carried.clone(),
        }
    }

    /// The variable for a program that is executed by the name `name`.
    pub(crate) fn variable(&self, name: &[u8], inherited: Inherited) -> Vec<u8> {
        let flag = |value: bool| if value { b"1".to_vec() } else { b"0".to_vec() };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.as_os_str().as_bytes().to_vec());
        let fields = [
            ("fd", Some(inherited.fd.to_string().into_bytes())),
            ("mask", Some(inherited.mask.to_string().into_bytes())),
            ("ignored", Some(inherited.ignored.to_string().into_bytes())),
            ("limits", Some(limits_text(&inherited.limits).into_bytes())),
            ("name", Some(name.to_vec())),
            ("sysroot", path(&self.sysroot)),
            ("root", path(&self.root)),
            ("emulator", path(&self.emulator)),
            ("strace", self.filter.as_ref().map(|filter| filter.to_string().into_bytes())),
            ("trace", inherited.trace.map(|trace| trace.encode().into_bytes())),
            ("tier", Some(self.tier.name().as_bytes().to_vec())),
            ("deterministic", Some(flag(self.deterministic))),
            ("count", Some(flag(self.count))),
            ("disturb", self.disturb.map(|seed| seed.to_string().into_bytes())),
            ("carried", Some(self.carried.clone().into_bytes())),
        ];
        let mut out = VARIABLE.to_vec();
        for (name, value) in fields {
            let Some(value) = value else { continue };
            if out.len() > VARIABLE.len() {
                out.push(b';');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            encode(&value, &mut out);
        }
        out
    }
}

/// Number, soft and hard limit of each.
fn limits_text(limits: &Limits) -> String {
    let one = |(resource, Rlimit { soft, hard }): &(u32, Rlimit)| format!("{resource}.{soft}.{hard}");
    limits.iter().map(one).collect::<Vec<_>>().join("/")
}

/// The inverse of [`limits_text`].
fn parse_limits(text: &str) -> Option<Limits> {
    let one = |text: &str| {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let (resource, soft, hard): (u64, u64, u64) = (next()?, next()?, next()?);
        Some((u32::try_from(resource).ok()?, Rlimit { soft, hard }))
    };
    text.split('/').filter(|part| !part.is_empty()).map(one).collect()
}

/// Writes bytes so that no separator is among them.
fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => out.push(*byte),
            _ => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
}

/// The inverse of [`encode`].
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            out.push(*first);
        }
    }
    Some(out)
}

/// Begins the name of a variable of the guest's that the host would take for one of its own.
const COVER: &[u8] = b"TRADUX_GUEST_";
/// Variables that decide what the host's dynamic linker and C library load into the emulator.
const COVERED: [&[u8]; 3] = [b"LD_", b"GLIBC_TUNABLES=", b"MALLOC_"];

/// A variable of the guest's as the next emulator is started with it: one that is meant for the guest's dynamic linker
/// is not to reach the host's.
pub(crate) fn covered(variable: CString) -> CString {
    let bytes = variable.as_bytes();
    if !COVERED.iter().chain([&COVER]).any(|name| bytes.starts_with(name)) {
        return variable;
    }
    // Made of a string without a NUL byte.
    CString::new([COVER, bytes].concat()).unwrap_or(variable)
}

/// The inverse of [`covered`].
fn uncovered(variable: OsString) -> OsString {
    match variable.as_bytes().strip_prefix(COVER) {
        Some(own) => OsString::from_vec(own.to_vec()),
        None => variable,
    }
}

/// The environment of this process without a handover.
#[must_use]
pub fn environment() -> Vec<OsString> {
    let is_handover = |variable: &&OsString| variable.as_bytes().starts_with(VARIABLE);
    host::environment().into_iter().filter(|variable| !is_handover(&variable)).collect()
}

/// Names this thread, and so its process, after the program that it runs, as a kernel does (`PR_SET_NAME`).
pub(crate) fn set_name(program: &OsStr) {
    let bytes = program.as_bytes();
    let base = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
    let mut name = [0; 16];
    let len = base.len().min(15);
    name[..len].copy_from_slice(&base[..len]);
    let mut args = [
        host::Arg::Int(libc::PR_SET_NAME as u64),
        host::Arg::Bytes(&mut name),
        host::Arg::Int(0),
        host::Arg::Int(0),
        host::Arg::Int(0),
    ];
    let _ = host::call(&host::PRCTL_PTR, &mut args);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_for_the_dynamic_linker_reach_the_guest_only() {
        for text in ["LD_PRELOAD=/evil.so", "TRADUX_GUEST_X=1", "PATH=/bin", "GLIBC_TUNABLES=x", "=", "LDX=1"] {
            let covered = covered(CString::new(text).unwrap());
            let hidden = ["LD_", "GLIBC_TUNABLES", "TRADUX_GUEST_X"].iter().any(|name| text.starts_with(name));
            assert_eq!(covered.to_str() != Ok(text), hidden, "{text}");
            assert_eq!(uncovered(OsString::from_vec(covered.into_bytes())), text);
        }
    }

    #[test]
    fn limits_come_through() {
        for limits in [
            vec![],
            vec![(3, Rlimit { soft: 1 << 18, hard: u64::MAX })],
            vec![(2, Rlimit { soft: 0, hard: 1 }), (9, Rlimit { soft: u64::MAX, hard: u64::MAX })],
        ] {
            assert_eq!(parse_limits(&limits_text(&limits)), Some(limits));
        }
        for wrong in ["3", "3.1", "3.1.x", "-1.2.3", "3.1.2/4"] {
            assert_eq!(parse_limits(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn any_bytes_come_through() {
        let bytes: Vec<u8> = (1..=255).collect();
        let mut text = Vec::new();
        encode(&bytes, &mut text);
        assert!(!text.contains(&b';') && !text.contains(&b'=') && text.is_ascii());
        assert_eq!(decode(&text), Some(bytes));
        assert_eq!(decode(b"%4"), None);
        assert_eq!(decode(b"%zz"), None);
    }
}
