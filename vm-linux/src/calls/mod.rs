//! The handlers: one function a system call, named as the call, grouped by subject.
//!
//! A handler checks in the kernel's order and answers with the kernel's error numbers. Calls that differ from the host's
//! only in where pointers and names lead have no handler: their row names the host's call.

pub(crate) mod descriptor;
pub(crate) mod dir;
pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod futex;
pub(crate) mod handle;
pub(crate) mod info;
pub(crate) mod ioctl;
pub(crate) mod ipc;
pub(crate) mod mem;
pub(crate) mod net;
pub(crate) mod placement;
pub(crate) mod poll;
pub(crate) mod privilege;
pub(crate) mod proc;
pub(crate) mod procfs;
pub(crate) mod sched;
pub(crate) mod signal;
pub(crate) mod thread;
pub(crate) mod time;
