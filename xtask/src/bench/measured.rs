//! What one row of a table measured, and what a run of tradux says of itself.

use anyhow::{Context, Result};

use super::Runner;
use crate::child::Outcome;
use crate::statistics::median;

/// CPU seconds by runner, by measuring round. Nothing where a runner was not asked.
type Series = [Vec<f64>; Runner::ALL.len()];

/// One row.
pub(super) struct Measured {
    pub(super) name: String,
    /// The group that means are taken over.
    pub(super) group: &'static str,
    /// Steady seconds a unit of work.
    pub(super) steady: Series,
    /// Seconds of whole runs of the same work.
    pub(super) whole: Series,
    /// Peak memory in KiB.
    pub(super) peak: [u64; Runner::ALL.len()],
    /// Whether every output was what the native program printed for the same work.
    pub(super) same: bool,
    /// What tradux says of a whole run, start-up included.
    pub(super) once: Statistics,
    /// Share of the guest instructions that ran compiled in steady state.
    pub(super) compiled_steady: Option<f64>,
    /// Interpreter: nanoseconds a guest instruction in steady state.
    pub(super) interpreter_ns: Option<f64>,
    /// Guest instructions a unit of work.
    pub(super) instructions: Option<f64>,
}

impl Measured {
    pub(super) fn new(name: &str, group: &'static str) -> Measured {
        Measured {
            name: name.to_owned(),
            group,
            steady: Default::default(),
            whole: Default::default(),
            peak: Default::default(),
            same: true,
            once: Statistics::default(),
            compiled_steady: None,
            interpreter_ns: None,
            instructions: None,
        }
    }

    /// Notes the peak memory of a run.
    pub(super) fn note_peak(&mut self, runner: Runner, kib: u64) {
        let peak = &mut self.peak[runner.index()];
        *peak = (*peak).max(kib);
    }

    /// How many times longer `slow` takes than `fast` in steady state: the median of the ratios within each measuring
    /// round.
    pub(super) fn steady_ratio(&self, slow: Runner, fast: Runner) -> Option<f64> {
        ratio(&self.steady, slow, fast)
    }

    /// The same of whole runs.
    pub(super) fn whole_ratio(&self, slow: Runner, fast: Runner) -> Option<f64> {
        ratio(&self.whole, slow, fast)
    }

    /// Steady nanoseconds a guest instruction on tradux.
    pub(super) fn tradux_ns(&self) -> Option<f64> {
        Some(median(&self.steady[Runner::Tradux.index()])? * 1e9 / self.instructions?)
    }
}

fn ratio(series: &Series, slow: Runner, fast: Runner) -> Option<f64> {
    let pairs = series[slow.index()].iter().zip(&series[fast.index()]);
    median(&pairs.map(|(slow, fast)| slow / fast).collect::<Vec<_>>())
}

/// What `--stats=json` says of one run: the sum over all processes that printed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Statistics {
    /// CPU seconds.
    pub(super) cpu: f64,
    /// Guest instructions that the interpreter ran.
    pub(super) interpreted: u64,
    /// Guest instructions that ran compiled.
    pub(super) compiled: u64,
    /// Seconds of compiling.
    pub(super) compiling: f64,
}

impl Statistics {
    /// Of a run with that option, which prints one JSON object a process as a line of standard error.
    ///
    /// # Errors
    /// If there is none, or one lacks a number.
    pub(super) fn of(outcome: &Outcome) -> Result<Statistics> {
        let errors = String::from_utf8_lossy(&outcome.stderr);
        let objects = errors.lines().filter(|line| line.starts_with('{'));
        let objects = objects.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut sum = Statistics { cpu: outcome.cpu.as_secs_f64(), ..Statistics::default() };
        let mut found = false;
        for json in objects.filter(|json| json.get("instructions").is_some()) {
            let count = |path: &str| {
                let number = json.pointer(path).and_then(serde_json::Value::as_u64);
                number.with_context(|| format!("--stats=json does not say {path}"))
            };
            sum.interpreted += count("/instructions/interpreted")?;
            sum.compiled += count("/instructions/compiled")?;
            sum.compiling += count("/regions/compile_ns")? as f64 / 1e9;
            found = true;
        }
        found.then_some(sum).context("--stats=json printed no JSON")
    }

    /// All guest instructions.
    pub(super) fn all(&self) -> f64 {
        (self.interpreted + self.compiled) as f64
    }

    /// Share of the guest instructions that ran compiled.
    pub(super) fn compiled_share(&self) -> Option<f64> {
        (self.all() > 0.0).then(|| self.compiled as f64 / self.all())
    }

    /// Share of the CPU time that compiling took.
    pub(super) fn compiling_share(&self) -> Option<f64> {
        (self.cpu > 0.0).then(|| self.compiling / self.cpu)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::child::Ending;

    #[test]
    fn statistics_of_several_processes_add_up() {
        let outcome = |stderr: &str| Outcome {
            ending: Ending::Status(0),
            stdout: Vec::new(),
            stderr: stderr.into(),
            cpu: Duration::from_secs(2),
            peak_kib: 0,
        };
        let one = r#"{"instructions":{"interpreted":10,"compiled":30},"regions":{"compile_ns":500000000}}"#;
        let text = format!("{one}\n{{not ours}}\n{one}\n");
        let sum = Statistics::of(&outcome(&text)).expect("two objects");
        assert_eq!(sum, Statistics { cpu: 2.0, interpreted: 20, compiled: 60, compiling: 1.0 });
        assert_eq!((sum.compiled_share(), sum.compiling_share()), (Some(0.75), Some(0.5)));
        assert!(Statistics::of(&outcome("a word\n")).is_err());
        assert!(Statistics::of(&outcome(r#"{"instructions":{}}"#)).is_err());
    }

    #[test]
    fn ratios_are_within_rounds() {
        let mut row = Measured::new("row", "group");
        row.steady[Runner::Qemu.index()] = vec![6.0, 8.0, 30.0];
        row.steady[Runner::Tradux.index()] = vec![2.0, 4.0, 10.0];
        assert_eq!(row.steady_ratio(Runner::Qemu, Runner::Tradux), Some(3.0));
        assert_eq!(row.whole_ratio(Runner::Qemu, Runner::Tradux), None);
    }
}
