//! `stat`, `statm` and `status`: the host's, with the guest's memory, threads and signals in place of the emulator's.

use vm_core::Perms;
use vm_mem::Sharing;

use crate::errno::Errno;
use crate::host::signal::SIGNALS;
use crate::host::signal::bit;
use crate::kernel::Kernel;
use crate::layout::Rlimit;
use crate::signal::{SIG_DFL, SIG_IGN};

use super::maps::{self, Resident};

const PAGE: u64 = vm_core::PAGE_SIZE;

/// The host's file `name` of the process or of a thread.
fn host_text(tid: Option<i32>, name: &str) -> Result<String, Errno> {
    let path = match tid {
        Some(tid) => format!("/proc/self/task/{tid}/{name}"),
        None => format!("/proc/self/{name}"),
    };
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

/// Bytes of guest memory by what they are for, as a kernel counts them (`vm_stat_account`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) total: u64,
    /// Private and writable, but for the stack.
    data: u64,
    stack: u64,
    /// Executable and not writable.
    executable: u64,
}

/// What counts of one mapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) bytes: u64,
    pub(super) writable: bool,
    pub(super) executable: bool,
    pub(super) is_shared: bool,
    pub(super) is_stack: bool,
}

impl Usage {
    fn of(k: &Kernel) -> Self {
        let mut usage = Self::default();
        for region in k.space.regions() {
            usage.add(&Counted {
                bytes: region.range.len(),
                writable: region.perms.contains(Perms::WRITE),
                executable: region.perms.contains(Perms::EXECUTE),
                is_shared: region.sharing == Sharing::Shared,
                is_stack: region.name.as_deref() == Some("[stack]"),
            });
        }
        usage
    }

    /// Counts a mapping.
    pub(super) fn add(&mut self, mapping: &Counted) {
        let Counted { bytes, writable, executable, is_shared, is_stack } = *mapping;
        self.total += bytes;
        if is_stack {
            self.stack += bytes;
        } else if executable && !writable {
            self.executable += bytes;
        } else if writable && !is_shared {
            self.data += bytes;
        }
    }
}

/// Sets of signals, as the guest set them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sets {
    blocked: u64,
    pending: u64,
    ignored: u64,
    caught: u64,
}

impl Sets {
    /// Those of the process and of its thread `tid`, by default the first.
    fn of(k: &Kernel, tid: Option<i32>) -> Self {
        let mut sets = Self::default();
        {
            let registry = k.threads.registry();
            let tid = tid.unwrap_or_else(crate::host::process_id);
            if let Some(mailbox) = registry.live.get(&tid) {
                sets.blocked = mailbox.blocked();
                sets.pending = mailbox.sent_set();
            }
        }
        let table = k.actions.table();
        for signal in 1..=SIGNALS {
            match table.get(signal).handler {
                SIG_DFL => {}
                SIG_IGN => sets.ignored |= bit(signal),
                _ => sets.caught |= bit(signal),
            }
        }
        sets
    }
}

/// `stat` (`proc_pid_stat(5)`).
pub(super) fn stat(k: &Kernel, tid: Option<i32>) -> Result<Vec<u8>, Errno> {
    let text = host_text(tid, "stat")?;
    let usage = Usage::of(k);
    let resident = maps::resident(k)?;
    let sets = Sets::of(k, tid);
    let threads = threads(k);
    let marks = &k.landmarks;
    // A signal number up to 31 has room in these fields.
    let old = |set: u64| set & 0x7fff_ffff;
    // Fields by their numbers in the manual.
    let changes = [
        (20, threads),
        (23, usage.total),
        (24, resident.total() / PAGE),
        (26, marks.code.0),
        (27, marks.code.1),
        (28, marks.stack),
        (31, old(sets.pending)),
        (32, old(sets.blocked)),
        (33, old(sets.ignored)),
        (34, old(sets.caught)),
        (45, marks.data.0),
        (46, marks.data.1),
        (47, marks.heap),
        (48, marks.args.0),
        (49, marks.args.1),
        (50, marks.env.0),
        (51, marks.env.1),
    ];
    Ok(with_fields(&text, &changes).into_bytes())
}

/// The text of a `stat` with other numbers in some of its fields.
pub(super) fn with_fields(text: &str, changes: &[(usize, u64)]) -> String {
    // The second field is a name in parentheses, with whatever characters.
    let Some(end) = text.rfind(')') else { return text.to_owned() };
    let (head, tail) = text.split_at(end + 1);
    let mut fields: Vec<String> = tail.split_whitespace().map(str::to_owned).collect();
    for (number, value) in changes {
        if let Some(field) = fields.get_mut(number - 3) {
            *field = value.to_string();
        }
    }
    format!("{head} {}\n", fields.join(" "))
}

/// The number in a field of the text of a `stat`.
pub(super) fn field(text: &str, number: usize) -> Option<u64> {
    text.rsplit(')').next()?.split_whitespace().nth(number - 3)?.parse().ok()
}

/// `sched`: times and switches are the thread's own, the number of threads is the process's.
pub(super) fn sched(k: &Kernel, tid: Option<i32>) -> Result<Vec<u8>, Errno> {
    Ok(with_threads(&host_text(tid, "sched")?, threads(k)).into_bytes())
}

/// The text of a `sched` with another number of threads in its first line.
pub(super) fn with_threads(text: &str, threads: u64) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.rsplit_once("#threads: ") {
        Some((head, _)) => format!("{head}#threads: {threads})\n{rest}"),
        None => text.to_owned(),
    }
}

/// How many threads the guest has.
fn threads(k: &Kernel) -> u64 {
    k.threads.registry().live.len().max(1) as u64
}

/// `limits`: with those that the host was not told of.
pub(super) fn limits(k: &Kernel) -> Result<Vec<u8>, Errno> {
    /// The limits by their numbers (`fs/proc/base.c`).
    const NAMES: [&str; 16] = [
        "Max cpu time",
        "Max file size",
        "Max data size",
        "Max stack size",
        "Max core file size",
        "Max resident set",
        "Max processes",
        "Max open files",
        "Max locked memory",
        "Max address space",
        "Max file locks",
        "Max pending signals",
        "Max msgqueue size",
        "Max nice priority",
        "Max realtime priority",
        "Max realtime timeout",
    ];
    let limits = k.limits();
    let text = host_text(None, "limits")?;
    let lines = text.lines().map(|line| {
        let known = limits.iter().find(|(number, _)| {
            NAMES
                .get(*number as usize)
                .and_then(|name| line.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with("  "))
        });
        known.map_or_else(|| line.to_owned(), |(_, limit)| limit_line(line, limit)) + "\n"
    });
    Ok(lines.collect::<String>().into_bytes())
}

/// A line of `limits` with other numbers in its two columns.
fn limit_line(line: &str, limit: &Rlimit) -> String {
    let number = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
    let (name, unit) = (line.get(..26).unwrap_or(line), line.get(68..).unwrap_or_default());
    format!("{name}{:<20} {:<20} {unit}", number(limit.soft), number(limit.hard))
}

/// `statm`: sizes in pages.
pub(super) fn statm(k: &Kernel) -> Result<Vec<u8>, Errno> {
    Ok(statm_of(&Usage::of(k), &maps::resident(k)?, code_size(k.landmarks.code)))
}

/// The same of a process with so much memory, of which `code` bytes are the program's.
pub(super) fn statm_of(usage: &Usage, resident: &Resident, code: u64) -> Vec<u8> {
    let [size, in_memory, file, text, data] =
        [usage.total, resident.total(), resident.file, code, usage.data + usage.stack].map(|bytes| bytes / PAGE);
    format!("{size} {in_memory} {file} {text} 0 {data} 0\n").into_bytes()
}

/// Bytes of the pages that hold a program's code, which is between these addresses.
pub(super) const fn code_size((start, end): (u64, u64)) -> u64 {
    end.next_multiple_of(PAGE).saturating_sub(start & !(PAGE - 1))
}

/// `status`.
pub(super) fn status(k: &Kernel, tid: Option<i32>) -> Result<Vec<u8>, Errno> {
    let text = host_text(tid, "status")?;
    let numbers = Numbers {
        usage: Usage::of(k),
        resident: maps::resident(k)?,
        threads: threads(k),
        code: code_size(k.landmarks.code),
    };
    let sets = Sets::of(k, tid);
    let guests = |line| sets.line(line).or_else(|| numbers.line(line)).unwrap_or_else(|| line.to_owned());
    Ok(text.lines().map(|line| guests(line) + "\n").collect::<String>().into_bytes())
}

impl Sets {
    /// The line of `status` in place of the host's; `None` if it is about something else.
    fn line(&self, host: &str) -> Option<String> {
        let (name, value) = host.split_once(':')?;
        let set = match name {
            "SigPnd" => u64::from_str_radix(value.trim(), 16).unwrap_or(0) | self.pending,
            "SigBlk" => self.blocked,
            "SigIgn" => self.ignored,
            "SigCgt" => self.caught,
            _ => return None,
        };
        Some(format!("{name}:\t{set:016x}"))
    }
}

/// What `status` says of the memory and threads of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub(super) usage: Usage,
    pub(super) resident: Resident,
    pub(super) threads: u64,
    /// Bytes of the program's code.
    pub(super) code: u64,
}

impl Numbers {
    /// The line of `status` in place of the host's; `None` if it is about something else.
    pub(super) fn line(&self, host: &str) -> Option<String> {
        let Self { usage, resident, threads, code } = self;
        let (name, value) = host.split_once(':')?;
        let host_kib =
            || value.trim().strip_suffix(" kB").and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0);
        let bytes = match name {
            "Threads" => return Some(format!("Threads:\t{threads}")),
            "VmPeak" | "VmSize" => usage.total,
            // The most there has been is known of the whole process only.
            "VmHWM" => (host_kib() * 1024).min(usage.total).max(resident.total()),
            "VmRSS" => resident.total(),
            "RssAnon" => resident.anonymous,
            "RssFile" => resident.file,
            "RssShmem" => 0,
            "VmData" => usage.data,
            "VmStk" => usage.stack,
            "VmExe" => (*code).min(usage.executable),
            "VmLib" => usage.executable.saturating_sub(*code),
            "VmSwap" => resident.swapped,
            _ => return None,
        };
        Some(format!("{name}:\t{:8} kB", bytes / 1024))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of Linux 6.1.
    #[test]
    fn limits_keep_their_columns() {
        let host = "Max address space         unlimited            unlimited            bytes     ";
        let guest = "Max address space         4096                 unlimited            bytes     ";
        assert_eq!(limit_line(host, &Rlimit { soft: 4096, hard: u64::MAX }), guest);
        assert_eq!(limit_line(guest, &Rlimit { soft: u64::MAX, hard: u64::MAX }), host);
    }

    #[test]
    fn fields_are_counted_behind_the_name() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194304\n";
        assert_eq!(with_fields(text, &[(3, 9), (7, 5), (90, 1)]), "7 (a) b) 9 1 7 7 5 -1 4194304\n");
        assert_eq!(with_fields("nothing", &[(3, 9)]), "nothing");
        assert_eq!((field(text, 4), field(text, 9), field(text, 90)), (Some(1), Some(4_194_304), None));
    }

    #[test]
    fn the_number_of_threads_ends_the_first_line() {
        let text = "a (#threads: 9) (7, #threads: 3)\n---\nse.x : 1\n";
        assert_eq!(with_threads(text, 1), "a (#threads: 9) (7, #threads: 1)\n---\nse.x : 1\n");
        assert_eq!(with_threads("nothing", 1), "nothing");
    }
}
