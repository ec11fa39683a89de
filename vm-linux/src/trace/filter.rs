//! [`Filter`]: the choice of system calls that are shown.

use std::fmt;
use std::str::FromStr;

use crate::table::{self, Row};

/// A choice of system calls: names and classes, as strace's `-e trace=` takes them.
///
/// A list separated by commas of names (`read`), classes (`%file`, `%desc`, `%process`, `%network`, `%signal`, `%ipc`,
/// `%memory`) and `all` or `none`; an exclamation mark before the list shows all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// As it was written.
    text: String,
    /// For each row of the table, whether it is shown.
    shown: Vec<bool>,
}

/// Why a text names no [`Filter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No system call has this name.
    #[error("no system call is called {0}")]
    Name(String),
    /// There is no such class of system calls.
    #[error(
        "no class of system calls is called {0}; there are %file, %desc, %process, %network, %signal, %ipc and %memory"
    )]
    Class(String),
}

/// Classes that are a matter of names.
const CLASSES: &[(&str, &[&str])] = &[
    (
        "process",
        &[
            "clone",
            "clone3",
            "execve",
            "execveat",
            "exit",
            "exit_group",
            "wait4",
            "waitid",
            "kill",
            "tkill",
            "tgkill",
            "pidfd_open",
            "pidfd_send_signal",
            "rt_sigqueueinfo",
            "rt_tgsigqueueinfo",
            "unshare",
        ],
    ),
    (
        "network",
        &[
            "socket",
            "socketpair",
            "bind",
            "listen",
            "accept",
            "accept4",
            "connect",
            "getsockname",
            "getpeername",
            "sendto",
            "recvfrom",
            "sendmsg",
            "recvmsg",
            "sendmmsg",
            "recvmmsg",
            "setsockopt",
            "getsockopt",
            "shutdown",
        ],
    ),
    (
        "signal",
        &[
            "rt_sigaction",
            "rt_sigprocmask",
            "rt_sigpending",
            "rt_sigsuspend",
            "rt_sigtimedwait",
            "rt_sigqueueinfo",
            "rt_tgsigqueueinfo",
            "rt_sigreturn",
            "sigaltstack",
            "kill",
            "tkill",
            "tgkill",
            "signalfd4",
            "pidfd_send_signal",
        ],
    ),
    (
        "ipc",
        &[
            "msgget",
            "msgctl",
            "msgrcv",
            "msgsnd",
            "semget",
            "semctl",
            "semop",
            "semtimedop",
            "shmget",
            "shmctl",
            "shmat",
            "shmdt",
        ],
    ),
    (
        "memory",
        &[
            "brk",
            "mmap",
            "munmap",
            "mremap",
            "mprotect",
            "madvise",
            "msync",
            "mlock",
            "mlock2",
            "munlock",
            "mlockall",
            "munlockall",
            "mincore",
            "mbind",
            "get_mempolicy",
            "set_mempolicy",
            "migrate_pages",
            "move_pages",
            "shmat",
            "shmdt",
        ],
    ),
];

impl Filter {
    /// Whether calls of this row are shown.
    pub(crate) fn shows(&self, row: &Row) -> bool {
        table::rows()
            .binary_search_by_key(&row.generic, |row| row.generic)
            .is_ok_and(|index| self.shown.get(index).copied().unwrap_or(true))
    }
}

impl Default for Filter {
    /// All calls.
    fn default() -> Self {
        Self { text: "all".to_owned(), shown: vec![true; table::rows().len()] }
    }
}

/// Whether a row belongs to a class.
fn is_in(row: &Row, class: &str) -> Result<bool, FilterError> {
    let takes = |test: fn(crate::shape::Shape) -> bool| row.shapes().iter().any(|shape| test(*shape));
    Ok(match class {
        "file" => takes(|shape| shape.is_string() && shape != crate::shape::Shape::Str),
        "desc" => takes(|shape| matches!(shape, crate::shape::Shape::Fd | crate::shape::Shape::DirFd)),
        _ => {
            let class = CLASSES.iter().find(|(name, _)| *name == class);
            class.ok_or_else(|| FilterError::Class(String::new()))?.1.contains(&row.name)
        }
    })
}

impl fmt::Display for Filter {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(whole: &str) -> Result<Self, FilterError> {
        let text = whole.strip_prefix("trace=").unwrap_or(whole);
        let (others, list) = match text.strip_prefix('!') {
            Some(list) => (true, list),
            None => (false, text),
        };
        let mut shown = vec![others; table::rows().len()];
        for word in list.split(',').filter(|word| !word.is_empty()) {
            let mut found = false;
            for (shown, row) in shown.iter_mut().zip(table::rows()) {
                let named = match word.strip_prefix('%') {
                    Some(class) => is_in(row, class).map_err(|_| FilterError::Class(word.to_owned()))?,
                    None => word == row.name || word == "all",
                };
                if named {
                    *shown = !others;
                    found = true;
                }
            }
            if !found && !word.starts_with('%') && word != "none" {
                return Err(FilterError::Name(word.to_owned()));
            }
        }
        Ok(Self { text: whole.to_owned(), shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_calls_and_classes() {
        let shows = |filter: &str, name: &str| filter.parse::<Filter>().unwrap().shows(table::by_name(name).unwrap());
        assert!(shows("read,write", "read") && !shows("read,write", "openat"));
        assert!(shows("!read", "openat") && !shows("!read", "read"));
        assert!(shows("%file", "openat") && !shows("%file", "read") && shows("%desc", "read"));
        assert!(shows("%network,exit", "exit") && shows("%network,exit", "bind"));
        assert!(shows("all", "brk") && !shows("none", "brk") && shows("trace=brk", "brk"));
        assert_eq!("nonsense".parse::<Filter>(), Err(FilterError::Name("nonsense".to_owned())));
        assert_eq!("%colour".parse::<Filter>(), Err(FilterError::Class("%colour".to_owned())));
    }

    #[test]
    fn classes_name_calls_that_exist() {
        for name in CLASSES.iter().flat_map(|(_, names)| *names) {
            assert!(table::by_name(name).is_some(), "{name}");
        }
    }
}
