//! The table of `cargo xtask userland --bench`, as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::bench::table::{mebibytes, number};
use crate::statistics::geometric_mean;

/// The columns, in the order of `Row::runs`.
const NATIVE: usize = 0;
const QEMU: usize = 1;
const TRADUX: usize = 2;

/// What one case used: CPU time of all its processes and the peak resident memory in KiB of the largest, by runner.
/// Nothing where the runner was not asked or gave another output.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) runs: [Option<(Duration, u64)>; 3],
    /// Whether every runner gave the same output.
    pub(super) same: bool,
}

impl Row {
    fn seconds(&self, runner: usize) -> Option<f64> {
        self.runs[runner].map(|(cpu, _)| cpu.as_secs_f64())
    }

    fn ratio(&self, slow: usize, fast: usize) -> Option<f64> {
        Some(self.seconds(slow)? / self.seconds(fast)?)
    }
}

/// One line a case, then geometric means over the cases that have both numbers.
pub(super) fn print(rows: &[Row]) -> String {
    let mut text = String::from(
        "| case | native s | qemu rv64 x native | tradux x native | qemu rv64 / tradux | MiB native, qemu, tradux | same output |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let peak = [NATIVE, QEMU, TRADUX].map(|runner| row.runs[runner].map_or("-".into(), |(_, kib)| mebibytes(kib)));
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.name,
            number(row.seconds(NATIVE), 2),
            number(row.ratio(QEMU, NATIVE), 2),
            number(row.ratio(TRADUX, NATIVE), 2),
            number(row.ratio(QEMU, TRADUX), 2),
            peak.join(", "),
            if row.same { "yes" } else { "NO" }
        );
    }
    let mean = |slow: usize, fast: usize| {
        let values: Vec<f64> = rows.iter().filter_map(|row| row.ratio(slow, fast)).collect();
        (number(geometric_mean(&values), 2), values.len())
    };
    let (qemu, tradux, both) = (mean(QEMU, NATIVE), mean(TRADUX, NATIVE), mean(QEMU, TRADUX));
    let _ = writeln!(
        text,
        "\nGeometric means: qemu rv64 {} x native ({} cases), tradux {} x native ({} cases), qemu rv64 / tradux {} ({} cases).",
        qemu.0, qemu.1, tradux.0, tradux.1, both.0, both.1
    );
    text
}
