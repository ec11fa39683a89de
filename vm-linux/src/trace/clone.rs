//! `clone` and `clone3`: what they are given, and what they have put into memory.

use super::call::{Call, Moment, record_at};
use super::names as n;
use super::record::Record;
use super::special::Saying;
use super::text::{Line, put};
use crate::layout::Layout;
use crate::layout::riscv64::CloneArgs;
use crate::user::User;

const fn has(flags: u64, flag: i32) -> bool {
    flags & flag as u32 as u64 != 0
}

/// All of a `clone`, in the order in which people read it.
pub(super) fn clone(call: &Call, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Saying {
    let [flags, stack, parent, tls, child, _] = call.args;
    if moment == Moment::Entry {
        l.push("child_stack=");
        l.address(stack);
        l.push(", flags=");
        let (low, high) = (flags & 0xff, flags & 0xffff_ff00);
        if high != 0 || low == 0 {
            n::CLONE.write(high, l);
        }
        if low != 0 {
            put!(l, "{}{}", if high == 0 { "" } else { "|" }, n::signal(low));
        }
        return Saying::Begun;
    }
    if has(flags, libc::CLONE_PARENT_SETTID) || has(flags, libc::CLONE_PIDFD) {
        l.push(", parent_tid=");
        match moment.value() {
            Some(_) => record_at(Record::Number, parent, user, l),
            None => l.address(parent),
        }
    }
    if has(flags, libc::CLONE_SETTLS) {
        l.push(", tls=");
        l.address(tls);
    }
    if has(flags, libc::CLONE_CHILD_SETTID) || has(flags, libc::CLONE_CHILD_CLEARTID) {
        l.push(", child_tidptr=");
        l.address(child);
    }
    Saying::Begun
}

/// The structure of a `clone3`, and what the call has written to where it points.
pub(super) fn clone3(call: &Call, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Saying {
    /// `CLONE_ARGS_SIZE_VER0`.
    const LEAST: usize = 64;
    let [addr, size, ..] = call.args;
    let read = usize::try_from(size).map_or(CloneArgs::SIZE, |size| size.min(CloneArgs::SIZE));
    let Some(mut bytes) = user.bytes(addr, read).ok().filter(|_| addr != 0 && read >= LEAST) else {
        if moment == Moment::Entry {
            l.address(addr);
        }
        return Saying::Whole;
    };
    bytes.resize(CloneArgs::SIZE, 0);
    let args = CloneArgs::decode(&bytes);
    let written =
        [("pidfd=", libc::CLONE_PIDFD, args.pidfd), ("parent_tid=", libc::CLONE_PARENT_SETTID, args.parent_tid)];
    let written = written.iter().filter(|(_, flag, _)| has(args.flags, *flag));
    match moment {
        Moment::Entry => {
            Record::CloneArgs.write(&bytes, user, l);
            return if written.count() == 0 { Saying::Whole } else { Saying::Begun };
        }
        _ if moment.value().is_none() => {}
        _ => {
            l.push(" => {");
            for (index, (name, _, addr)) in written.enumerate() {
                put!(l, "{}{name}", if index > 0 { ", " } else { "" });
                record_at(Record::Number, *addr, user, l);
            }
            l.push("}");
        }
    }
    Saying::Begun
}
