//! What a run tells beside what the program itself prints: statistics, a profile, names for the host's profiler.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum as _;
use vm_linux::Process;
use vm_linux::perf::CodeLog;

use crate::args::{PerfFormat, ReportFormat, RunArgs};
use crate::{complain, profile, say, statistics};

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reports {
    pub(crate) stats: Option<ReportFormat>,
    profile: Option<ReportFormat>,
    profile_to: Option<PathBuf>,
    perf: Option<PerfFormat>,
}

/// Reports of a process that runs.
pub(crate) struct Running {
    wanted: Reports,
    log: Option<Arc<CodeLog>>,
}

impl Reports {
    pub(crate) fn of(args: &RunArgs) -> Self {
        // The guest may change its directory before anything is written.
        let profile_to =
            args.profile_to.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        let profile = args.profile.or_else(|| profile_to.is_some().then_some(ReportFormat::Text));
        Self { stats: args.stats, profile, profile_to, perf: args.perf }
    }

    /// Whether there is a file where the profile is to go: what a run has to tell should not be lost for a wrong name.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(path) = &self.profile_to else { return Ok(()) };
        appending(path).map(drop).map_err(|error| failed(path, &error))
    }

    /// As a text, for the program that takes this one's place.
    pub(crate) fn carried(&self) -> String {
        let name = |format: Option<ReportFormat>| Some(format?.to_possible_value()?.get_name().to_owned());
        let fields = [
            ("stats", name(self.stats)),
            ("profile", name(self.profile)),
            ("profile-to", self.profile_to.as_ref().map(|path| path.to_string_lossy().into_owned())),
            ("perf", self.perf.and_then(|format| Some(format.to_possible_value()?.get_name().to_owned()))),
        ];
        let lines = fields.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?)));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What [`Reports::carried`] said.
    pub(crate) fn from_carried(text: &str) -> Self {
        let mut reports = Self::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "stats" => reports.stats = ReportFormat::from_str(value, false).ok(),
                "profile" => reports.profile = ReportFormat::from_str(value, false).ok(),
                "profile-to" => reports.profile_to = Some(value.into()),
                "perf" => reports.perf = PerfFormat::from_str(value, false).ok(),
                _ => {}
            }
        }
        reports
    }

    /// Begins with what has to be watched while `process` runs.
    pub(crate) fn begin(self, process: &Process) -> Running {
        if self.profile.is_some() {
            process.start_profile();
        }
        let log = self.perf.map(|format| process.log_code(format == PerfFormat::Jitdump));
        Running { wanted: self, log }
    }
}

impl Running {
    /// Says everything about `process`, which has ended.
    pub(crate) fn end(&self, process: &Process) {
        match self.wanted.stats {
            Some(ReportFormat::Text) => say(&statistics::text(process)),
            Some(ReportFormat::Json) => say(&statistics::json(process)),
            None => {}
        }
        if let (Some(format), Some(profile)) = (self.wanted.profile, process.profile()) {
            let text = match format {
                ReportFormat::Text => profile::text(process, &profile),
                ReportFormat::Json => profile::json(process, &profile).to_string(),
            };
            match &self.wanted.profile_to {
                None => say(&text),
                Some(path) => written(path, append(path, &text)),
            }
        }
        if let (Some(format), Some(log)) = (self.wanted.perf, &self.log) {
            let pid = std::process::id();
            match format {
                // The one place where perf looks for it.
                PerfFormat::Map => {
                    let path = Path::new("/tmp").join(format!("perf-{pid}.map"));
                    written(&path, log.write_map(&path));
                }
                PerfFormat::Jitdump => {
                    let path = std::env::temp_dir().join(format!("jit-{pid}.dump"));
                    written(&path, log.write_dump(&path));
                }
            }
        }
    }
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    // A program that executes another leaves its process's file to that.
    writeln!(appending(path)?, "{text}")
}

fn appending(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn written(path: &Path, result: std::io::Result<()>) {
    if let Err(error) = result {
        complain(&failed(path, &error));
    }
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_carried_to_the_next_program() {
        let all = Reports {
            stats: Some(ReportFormat::Json),
            profile: Some(ReportFormat::Text),
            profile_to: Some("a folder/profile=1".into()),
            perf: Some(PerfFormat::Map),
        };
        for reports in [all, Reports::default(), Reports { perf: Some(PerfFormat::Jitdump), ..Reports::default() }] {
            assert_eq!(Reports::from_carried(&reports.carried()), reports);
        }
    }
}
