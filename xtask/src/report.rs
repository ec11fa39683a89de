//! Counting of what passed, failed and was skipped, and the table at the end of a test run.

use std::time::{Duration, Instant};

/// Something that was not run.
pub(crate) struct Skip {
    /// What was not run.
    pub(crate) what: String,
    /// What is missing, and how to get it.
    pub(crate) why: String,
    /// Whether nobody is required to have it; only such skips are allowed in CI.
    pub(crate) optional: bool,
}

/// The result of one step.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    /// One line for each failure.
    pub(crate) failures: Vec<String>,
    pub(crate) skips: Vec<Skip>,
}

impl Tally {
    /// Counts one success or one failure with its line.
    pub(crate) fn count(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(line) => self.failures.push(line),
        }
    }

    /// Notes something that was not run.
    pub(crate) fn skip(&mut self, what: impl Into<String>, why: impl Into<String>, optional: bool) {
        self.skips.push(Skip { what: what.into(), why: why.into(), optional });
    }

    /// Adds another tally's counts to this one.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }
}

/// The results of a whole run.
pub(crate) struct Report {
    started: Instant,
    rows: Vec<(&'static str, Duration, Tally)>,
}

impl Report {
    /// An empty report; the clock starts.
    pub(crate) fn new() -> Report {
        Report { started: Instant::now(), rows: Vec::new() }
    }

    /// Runs one step and keeps its tally.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Tally) {
        println!("\n==> {name}");
        let started = Instant::now();
        let tally = work();
        self.rows.push((name, started.elapsed(), tally));
    }

    /// Prints failures, skips, the table and the closing line. Returns whether the run counts as passed: nothing failed,
    /// and with `strict` nothing was skipped but optional parts.
    pub(crate) fn finish(&self, strict: bool) -> bool {
        let (mut passed, mut failed, mut skipped, mut required_skips) = (0, 0, 0, 0);
        println!();
        for (name, _, tally) in &self.rows {
            for failure in &tally.failures {
                println!("FAILED   {name}: {failure}");
            }
            for skip in &tally.skips {
                let kind = if skip.optional { "optional" } else { "required" };
                println!("skipped  {name}: {} ({kind}): {}", skip.what, skip.why);
                required_skips += u64::from(!skip.optional);
            }
        }
        println!("\n{:<12} {:>8} {:>8} {:>8} {:>9}", "step", "passed", "failed", "skipped", "seconds");
        for (name, time, tally) in &self.rows {
            let (bad, left) = (tally.failures.len() as u64, tally.skips.len() as u64);
            println!("{name:<12} {:>8} {bad:>8} {left:>8} {:>9.1}", tally.passed, time.as_secs_f64());
            passed += tally.passed;
            failed += bad;
            skipped += left;
        }
        println!("{:<12} {passed:>8} {failed:>8} {skipped:>8} {:>9.1}", "all", self.started.elapsed().as_secs_f64());
        if strict && required_skips > 0 {
            println!("\n{required_skips} required parts were skipped: with CI=true that is a failure");
        }
        println!("\n{passed} passed, {failed} failed, {skipped} skipped");
        failed == 0 && !(strict && required_skips > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_with(optional: Option<bool>, failure: bool) -> Report {
        let mut report = Report::new();
        report.step("only", || {
            let mut tally = Tally::default();
            tally.count(if failure { Err("it broke".into()) } else { Ok(()) });
            if let Some(optional) = optional {
                tally.skip("a part", "a tool is missing", optional);
            }
            tally
        });
        report
    }

    #[test]
    fn only_required_skips_fail_and_only_when_strict() {
        assert!(report_with(Some(false), false).finish(false));
        assert!(!report_with(Some(false), false).finish(true));
        assert!(report_with(Some(true), false).finish(true));
        assert!(!report_with(None, true).finish(false));
    }
}
