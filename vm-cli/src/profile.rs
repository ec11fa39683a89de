//! The profile of a run, for `--profile`.

use std::collections::HashMap;
use std::fmt::Write as _;

use vm_engine::{Activity, Profile};
use vm_linux::Process;
use vm_linux::symbols::{Named, Symbols};

/// Functions that a text names; the rest is one line.
const FUNCTIONS: usize = 30;

/// CPU time of one guest function in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Time {
    interpreted: u64,
    compiled: u64,
}

impl Time {
    const fn all(self) -> u64 {
        self.interpreted + self.compiled
    }
}

/// Tables for people: where the time went, and which functions took it.
pub(crate) fn text(process: &Process, profile: &Profile) -> String {
    let functions = functions(process, profile);
    let mut out = format!("CPU time                  {:.1} ms\n", ms(profile.process_ns));
    for (name, _, time, what) in parts(profile) {
        // Writing to a string cannot fail, here and below.
        let _ =
            writeln!(out, "  {name:<22} {:>6.1} %  {:>9.1} ms  {what}", percent(time, profile.process_ns), ms(time));
    }
    let guest: u64 = functions.iter().map(|(_, time)| time.all()).sum();
    out += "\nguest functions\n     share         ms   tier 0  function\n";
    for (name, time) in functions.iter().take(FUNCTIONS) {
        let _ = writeln!(
            out,
            "  {:>6.1} %  {:>9.1}  {:>5.1} %  {name}",
            percent(time.all(), guest),
            ms(time.all()),
            percent(time.interpreted, time.all())
        );
    }
    if functions.len() > FUNCTIONS {
        let rest: u64 = functions[FUNCTIONS..].iter().map(|(_, time)| time.all()).sum();
        let count = functions.len() - FUNCTIONS;
        let _ = writeln!(out, "  {:>6.1} %  {:>9.1}           {count} others", percent(rest, guest), ms(rest));
    }
    out.truncate(out.trim_end().len());
    out
}

/// The same with every function, times in nanoseconds.
pub(crate) fn json(process: &Process, profile: &Profile) -> serde_json::Value {
    let times: serde_json::Map<String, serde_json::Value> =
        parts(profile).into_iter().map(|(_, key, time, _)| (key.to_owned(), time.into())).collect();
    let functions: Vec<serde_json::Value> = functions(process, profile)
        .into_iter()
        .map(|(name, time)| {
            serde_json::json!({
                "function": name.symbol,
                "file": name.file,
                "interpreted_ns": time.interpreted,
                "compiled_ns": time.compiled,
            })
        })
        .collect();
    serde_json::json!({ "profile": { "cpu_ns": profile.process_ns, "parts_ns": times, "functions": functions } })
}

/// Parts of the CPU time: for people, as a key, nanoseconds, and what is in it. They add up to the whole.
fn parts(profile: &Profile) -> Vec<(&'static str, &'static str, u64, &'static str)> {
    let of = |activity: Activity| profile.cpu_ns[activity as usize];
    let mut parts = vec![
        ("tier 0", "interpret", of(Activity::Interpret), "interpreting"),
        ("compiled code", "compiled", of(Activity::Compiled), "and what it calls"),
        ("translating", "translate", of(Activity::Translate), "for tier 0: fetch, decode, lift, lower"),
        (
            "compiling",
            "compile",
            of(Activity::Compile) + profile.background_ns,
            "translation for it included; all threads",
        ),
        ("dispatch", "dispatch", of(Activity::Dispatch), "between blocks and tiers"),
        ("system calls", "system", of(Activity::Outside), "and signals, on the program's threads"),
        ("sampling", "sampling", profile.sampler_ns, "this profile"),
    ];
    let known: u64 = parts.iter().map(|(_, _, time, _)| time).sum();
    parts.push(("other", "other", profile.process_ns.saturating_sub(known), "loading the program, ends of threads"));
    parts
}

/// Times of guest functions, the longest first.
fn functions(process: &Process, profile: &Profile) -> Vec<(Named, Time)> {
    let mut symbols = Symbols::new();
    let mut times: HashMap<Named, Time> = HashMap::new();
    for sample in &profile.samples {
        let name = Named { offset: 0, ..symbols.name(&process.place(sample.pc)) };
        let time = times.entry(name).or_default();
        match sample.activity {
            Activity::Interpret => time.interpreted += sample.cpu_ns,
            Activity::Compiled => time.compiled += sample.cpu_ns,
            Activity::Outside | Activity::Dispatch | Activity::Translate | Activity::Compile => {}
        }
    }
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_by(|(a, time_a), (b, time_b)| time_b.all().cmp(&time_a.all()).then_with(|| a.cmp(b)));
    times
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_whole() {
        let profile = Profile {
            cpu_ns: [1, 2, 3, 4, 5, 6],
            process_ns: 100,
            background_ns: 20,
            sampler_ns: 7,
            ..Profile::default()
        };
        let parts = parts(&profile);
        assert_eq!(parts.iter().map(|(_, _, time, _)| time).sum::<u64>(), 100);
        assert!(parts.contains(&("compiling", "compile", 24, "translation for it included; all threads")));
        assert_eq!(parts.last().map(|(_, key, time, _)| (*key, *time)), Some(("other", 52)));
    }
}
