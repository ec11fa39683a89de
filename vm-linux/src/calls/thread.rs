//! Threads and processes: how they begin and end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vm_engine::threads;

use crate::errno::Errno;
use crate::host::{self, Arg, Forked};
use crate::kernel::{Args, Kernel, Stop, SysResult};
use crate::layout::Layout;
use crate::layout::riscv64::CloneArgs;
use crate::thread::{ChildNumbers, ChildRegisters, Thread, clear_tid};

use super::privilege::ALL_NAMESPACES;

/// `exit(status)`: of the calling thread.
pub(crate) fn exit(_: &mut Thread, a: &Args) -> SysResult {
    Err(Stop::ThreadExit(a.raw(0) as u8))
}

/// `exit_group(status)`: of the process.
pub(crate) fn exit_group(_: &mut Thread, a: &Args) -> SysResult {
    Err(Stop::Exit(a.raw(0) as u8))
}

/// `set_tid_address(address)`.
pub(crate) fn set_tid_address(t: &mut Thread, a: &Args) -> SysResult {
    t.clear_child_tid.store(a.raw(0), Ordering::Relaxed);
    Ok(host::thread_id() as u64)
}

// `linux/sched.h`.
const CSIGNAL: u64 = 0xff;
const CLONE_VM: u64 = 0x100;
const CLONE_FS: u64 = 0x200;
const CLONE_FILES: u64 = 0x400;
const CLONE_SIGHAND: u64 = 0x800;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_SYSVSEM: u64 = 0x4_0000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_DETACHED: u64 = 0x40_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;
const CLONE_NEWNS: u64 = libc::CLONE_NEWNS as u64;
const CLONE_NEWUSER: u64 = libc::CLONE_NEWUSER as u64;
const CLONE_NEWPID: u64 = libc::CLONE_NEWPID as u64;
const CLONE_IO: u64 = 0x8000_0000;
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// All that `clone3` knows; the lower half is what `clone` knows. Those that are not acted on change nothing here.
const CLONE_KNOWN: u64 = 0xffff_ffff | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;

/// `clone(flags, stack, parent_tid, tls, child_tid)`.
pub(crate) fn clone(t: &mut Thread, a: &Args) -> SysResult {
    let flags = a.raw(0) & 0xffff_ffff;
    // The address of the descriptor is where the parent's copy of the number would be.
    if flags & CLONE_PIDFD != 0 && flags & (CLONE_PARENT_SETTID | CLONE_DETACHED) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let args = CloneArgs {
        flags: flags & !CSIGNAL,
        pidfd: a.raw(2),
        child_tid: a.raw(4),
        parent_tid: a.raw(2),
        exit_signal: flags & CSIGNAL,
        stack: a.raw(1),
        tls: a.raw(3),
        ..CloneArgs::default()
    };
    check(&args)?;
    begin(t, &args)
}

/// `clone3(arguments, size)`.
pub(crate) fn clone3(t: &mut Thread, a: &Args) -> SysResult {
    /// `CLONE_ARGS_SIZE_VER0`.
    const LEAST: u64 = 64;
    /// `MAX_PID_NS_LEVEL`.
    const MOST_LEVELS: u64 = 32;
    /// `clone` takes its bits for a signal.
    const CLONE_NEWTIME: u64 = libc::CLONE_NEWTIME as u64;
    let size = a.raw(1);
    if size > vm_core::PAGE_SIZE {
        return Err(Errno::E2BIG.into());
    }
    if size < LEAST {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = t.user().bytes(a.raw(0), size as usize)?;
    if bytes.iter().skip(CloneArgs::SIZE).any(|byte| *byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    bytes.resize(CloneArgs::SIZE, 0);
    let mut args = CloneArgs::decode(&bytes);
    if args.set_tid_size > MOST_LEVELS
        || (args.set_tid == 0) != (args.set_tid_size == 0)
        || args.exit_signal > 64
        || args.flags & CLONE_INTO_CGROUP != 0 && (args.cgroup > i32::MAX as u64 || size < CloneArgs::SIZE as u64)
    {
        return Err(Errno::EINVAL.into());
    }
    let numbers = t.user().bytes(args.set_tid, 4 * args.set_tid_size as usize)?;
    if args.flags & !CLONE_KNOWN != 0
        || args.flags & (CSIGNAL & !CLONE_NEWTIME | CLONE_DETACHED) != 0
        || args.flags & CLONE_SIGHAND != 0 && args.flags & CLONE_CLEAR_SIGHAND != 0
        || args.flags & (CLONE_THREAD | CLONE_PARENT) != 0 && args.exit_signal != 0
        || (args.stack == 0) != (args.stack_size == 0)
        || args.stack.checked_add(args.stack_size).is_none_or(|end| end > t.space.limit().get())
    {
        return Err(Errno::EINVAL.into());
    }
    args.stack += args.stack_size;
    check(&args)?;
    refuse_choices(&args, &numbers)?;
    begin(t, &args)
}

/// Refuses flags that exclude each other, and namespaces.
fn check(args: &CloneArgs) -> Result<(), Errno> {
    let has = |flag| args.flags & flag != 0;
    if has(CLONE_SIGHAND) && !has(CLONE_VM) || has(CLONE_THREAD) && !has(CLONE_SIGHAND) {
        return Err(Errno::EINVAL);
    }
    if has(CLONE_FS) && has(CLONE_NEWNS | CLONE_NEWUSER)
        || has(CLONE_THREAD) && has(CLONE_NEWUSER | CLONE_NEWPID | CLONE_PIDFD)
    {
        return Err(Errno::EINVAL);
    }
    // Namespaces would be the emulator's too.
    if has(ALL_NAMESPACES) { Err(Errno::EPERM) } else { Ok(()) }
}

/// Refuses to choose the numbers and the control group of a child. Choosing a number takes a privilege in the namespace;
/// nothing but checkpoint restorers does it.
fn refuse_choices(args: &CloneArgs, numbers: &[u8]) -> Result<(), Errno> {
    /// `PID_MAX_LIMIT`.
    const NUMBERS: i32 = 1 << 22;
    if let Some(first) = numbers.first_chunk() {
        let is_one = (1..NUMBERS).contains(&i32::from_le_bytes(*first));
        return Err(if is_one { Errno::EPERM } else { Errno::EINVAL });
    }
    if args.flags & CLONE_INTO_CGROUP == 0 {
        return Ok(());
    }
    // `struct statfs`, which begins with the kind of file system.
    let mut about = [0; 120];
    host::call(&host::FSTATFS, &mut [Arg::Int(args.cgroup), Arg::Bytes(&mut about)])?;
    let is_group = about.starts_with(&libc::CGROUP2_SUPER_MAGIC.to_le_bytes());
    Err(if is_group { Errno::EPERM } else { Errno::EBADF })
}

/// Starts what `args` describes.
fn begin(t: &mut Thread, args: &CloneArgs) -> SysResult {
    let flags = args.flags;
    let has = |flag| flags & flag != 0;
    let child = Child {
        registers: ChildRegisters {
            stack: Some(args.stack).filter(|stack| *stack != 0),
            thread: has(CLONE_SETTLS).then_some(args.tls),
        },
        numbers: ChildNumbers {
            set_tid: [
                has(CLONE_PARENT_SETTID).then_some(args.parent_tid),
                has(CLONE_CHILD_SETTID).then_some(args.child_tid),
            ],
            clear_tid: if has(CLONE_CHILD_CLEARTID) { args.child_tid } else { 0 },
        },
    };
    let pid = if has(CLONE_THREAD) {
        thread(t, args, &child)?
    } else if has(CLONE_VM) {
        sharing_process(t, args, &child)?
    } else {
        match copied_process(t, args, &child)? {
            Forked::Child => return Ok(0),
            Forked::Parent(pid) => pid,
        }
    };
    if has(CLONE_PIDFD) {
        let fd = host::call(&host::PIDFD_OPEN, &mut [Arg::Int(pid as u64), Arg::Int(0)])?;
        t.user().put_bytes(args.pidfd, &(fd as i32).to_le_bytes())?;
    }
    Ok(pid as u64)
}

/// What differs between a child and its parent.
struct Child {
    registers: ChildRegisters,
    numbers: ChildNumbers,
}

/// A thread of the same process.
fn thread(t: &mut Thread, args: &CloneArgs, child: &Child) -> Result<i32, Errno> {
    /// What the threads of a process may have each for itself.
    const MAY_BE_OWN: u64 = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM;
    let own = MAY_BE_OWN & !args.flags;
    if own & CLONE_FILES != 0 {
        t.unfinished.finish_for_good(t);
    }
    let thread = t.child(Arc::clone(&t.kernel), child.registers);
    t.spawn(thread, child.numbers, own)
}

/// A process with a copy of this one's memory.
fn copied_process(t: &mut Thread, args: &CloneArgs, child: &Child) -> Result<Forked, Stop> {
    let flags = args.exit_signal | args.flags & (CLONE_PARENT | CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_IO);
    let awaited = if args.flags & CLONE_VFORK != 0 { Some(host::Departure::new()?) } else { None };
    let forked = {
        let kernel = Arc::clone(&t.kernel);
        if flags & CLONE_FILES != 0 {
            kernel.unfinished.finish_for_good(&kernel);
        }
        // In the order in which they are ever taken together.
        let finished = kernel.unfinished.finish(&kernel);
        let changes = kernel.space.code_watch().hold();
        let engine = kernel.engine.prepare_fork();
        let frozen = kernel.space.freeze();
        let held = kernel.hold();
        let lives = threads::hold();
        // A signal for the child is to come when it has forgotten those of its parent.
        let mask = host::signal::set_mask(u64::MAX);
        let forked = if flags == libc::SIGCHLD as u64 { host::fork() } else { host::clone_process(flags) };
        drop(lives);
        drop(held);
        drop(frozen);
        match forked {
            Ok(Forked::Child) => engine.child(),
            Ok(Forked::Parent(_)) | Err(_) => engine.parent(),
        }
        drop(changes);
        drop(finished);
        match (forked, awaited) {
            (Ok(Forked::Child), awaited) => {
                kernel.space.after_fork();
                awaited.inspect(host::Departure::wait_until_awaited);
            }
            (Ok(Forked::Parent(pid)), Some(awaited)) => awaited.wait_for(pid),
            (Ok(Forked::Parent(_)), None) | (Err(_), _) => {}
        }
        if !matches!(forked, Ok(Forked::Child)) {
            host::signal::set_mask(mask);
        }
        forked?
    };
    match forked {
        Forked::Child => {
            // Signals are blocked until the child becomes a process of its own.
            if args.flags & CLONE_CLEAR_SIGHAND != 0 {
                t.kernel.actions.table().clear_handlers();
            }
            t.become_only_thread();
            child.numbers.announce(&t.kernel);
            t.clear_child_tid.store(child.numbers.clear_tid, Ordering::Relaxed);
            crate::abi::set_child(t.vcpu.state_mut(), child.registers);
        }
        Forked::Parent(pid) => {
            // The child has written its own copy of the word.
            if let Some(addr) = child.numbers.set_tid[0] {
                let _ = t.user().put_bytes(addr, &pid.to_le_bytes());
            }
        }
    }
    Ok(forked)
}

/// A process that shares this one's memory until it ends or runs another program.
fn sharing_process(t: &Thread, args: &CloneArgs, child: &Child) -> Result<i32, Stop> {
    if args.flags & CLONE_FILES != 0 {
        t.unfinished.finish_for_good(t);
    }
    let _finished = t.unfinished.finish_for_now(t);
    let kernel = Arc::new(Kernel::sharing(&t.kernel));
    let mut thread = t.child(kernel, child.registers);
    thread.signals.stack = if args.flags & CLONE_VFORK != 0 { t.signals.stack } else { thread.signals.stack };
    let numbers = child.numbers;
    thread.clear_child_tid.store(numbers.clear_tid, Ordering::Relaxed);
    let (memory, word) = (Arc::clone(&t.kernel), Arc::clone(&thread.clear_child_tid));
    let clear = args.flags & CLONE_CLEAR_SIGHAND != 0;
    let flags = args.exit_signal
        | args.flags & (CLONE_FS | CLONE_FILES | CLONE_VFORK | CLONE_PARENT | CLONE_SYSVSEM | CLONE_IO);
    let mask = host::signal::set_mask(u64::MAX);
    let run = move || {
        if clear {
            thread.kernel.actions.table().clear_handlers();
        }
        numbers.announce(&thread.kernel);
        thread.run_process()
    };
    // What has executed a program or was killed cannot do it itself.
    let started = host::sharing_process(flags, run, move || clear_tid(&memory, &word));
    host::signal::set_mask(mask);
    Ok(started?)
}

/// Commands of `membarrier` (`linux/membarrier.h`): the barrier, and the registration that it asks for.
const BARRIERS: [(u32, u32); 3] = [
    (1 << 1, 1 << 2), // GLOBAL_EXPEDITED
    (1 << 3, 1 << 4), // PRIVATE_EXPEDITED
    (1 << 5, 1 << 6), // PRIVATE_EXPEDITED_SYNC_CORE
];

/// `membarrier(command, flags, cpu)`: the host's barriers serve. What is registered is the guest's affair: the emulator
/// itself may have registered its process. Those for restartable sequences are refused, as are the sequences.
pub(crate) fn membarrier(t: &mut Thread, a: &Args) -> SysResult {
    const QUERY: u32 = 0;
    const GET_REGISTRATIONS: u32 = 1 << 9;
    /// `MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ` and the registration for it.
    const RSEQ: u32 = 1 << 7 | 1 << 8;
    let command = a.uint(0);
    if command & RSEQ != 0 {
        return Err(Errno::EINVAL.into());
    }
    let registered = &t.kernel.barriers;
    let made = || host::wait(&host::MEMBARRIER, &mut [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(a.raw(2))]);
    if command == GET_REGISTRATIONS {
        made()?;
        return Ok(registered.load(Ordering::Acquire).into());
    }
    let barrier = BARRIERS.iter().find(|(barrier, _)| *barrier == command);
    if let Some((_, registration)) = barrier
        && a.uint(1) == 0
        && *registration != 1 << 2
        && registered.load(Ordering::Acquire) & registration == 0
    {
        return Err(Errno::EPERM.into());
    }
    let result = made()?;
    if command == QUERY {
        return Ok(result & !u64::from(RSEQ));
    }
    if BARRIERS.iter().any(|(_, registration)| *registration == command) {
        registered.fetch_or(command, Ordering::AcqRel);
    }
    // Other vCPUs fetch anew what this one wrote before (`MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE`).
    if command == 1 << 5 {
        t.engine.flush_code();
        t.engine.wait_for_vcpus();
    }
    Ok(result)
}
