//! A call as text: its arguments by their shapes, and its result.

use super::names as n;
use super::record::{Record, buffer, device, i32_at, u32_at};
use super::special::{self, Saying};
use super::text::{Line, SHOWN, put};
use super::{result, socket, variant};
use crate::kernel::SysResult;
use crate::shape::Shape;
use crate::table::Row;
use crate::user::{PATH_MAX, User};

/// A system call with its arguments.
pub(super) struct Call {
    /// `None` for a number that names none.
    pub(super) row: Option<&'static Row>,
    pub(super) number: u64,
    pub(super) args: [u64; 6],
}

/// What was known of a call when it began.
#[derive(Debug)]
pub(crate) struct Entered {
    /// Each with its index; `None` for a call that is not shown.
    args: Option<Vec<(usize, Part)>>,
    /// What has been shown of the call, if its beginning has.
    pub(super) begun: Option<String>,
    /// Whether a signal has come since on which calls are made again that can be.
    pub(super) restarts: bool,
}

/// An argument when its call began.
#[derive(Debug)]
pub(super) enum Part {
    /// Said already.
    Said(String),
    /// Begun: the rest is said when the call has ended.
    Begun(String),
    /// The call will write to it; what was there, if that is of interest.
    Later(Vec<u8>),
}

/// Bytes that are noted of what a call will write to, where more than a structure's own are not asked for.
const NOTED: usize = 16;

/// Where in its course a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment<'a> {
    /// It begins.
    Entry,
    /// It has ended; what was there at the beginning.
    Done(SysResult, &'a [u8]),
    /// It does not come back.
    Gone,
}

impl Moment<'_> {
    /// What the call gave, if it has worked.
    pub(super) fn value(self) -> Option<u64> {
        match self {
            Self::Done(Ok(value), _) => Some(value),
            Self::Done(Err(_), _) | Self::Entry | Self::Gone => None,
        }
    }
}

impl Entered {
    /// Of a call that is not shown.
    pub(super) const fn hidden() -> Self {
        Self { args: None, begun: None, restarts: false }
    }

    /// Takes down whether a signal has come meanwhile on which calls are made again that can be.
    pub(crate) fn note_restart(&mut self, restarts: bool) {
        self.restarts = restarts;
    }

    /// Whether the call is not shown.
    pub(super) const fn is_hidden(&self) -> bool {
        self.args.is_none()
    }
}

impl Call {
    pub(super) fn name(&self) -> &'static str {
        self.row.map_or("", |row| row.name)
    }

    /// What an argument is.
    fn shape(&self, index: usize) -> Shape {
        let Some(row) = self.row else { return Shape::Hex };
        let shape = match variant::of(row.name, &self.args) {
            Some(variant) if index >= variant.from => variant.operands.get(index - variant.from),
            _ => row.shapes().get(index),
        };
        shape.copied().unwrap_or(Shape::Hex)
    }

    /// Number of arguments that may mean something.
    fn count(&self) -> usize {
        let Some(row) = self.row else { return self.args.len() };
        if let Some(variant) = variant::of(row.name, &self.args) {
            return variant.from + variant.operands.len();
        }
        let shapes = row.shapes();
        let unneeded =
            |shape: &Shape| matches!(shape, Shape::OctalIf(flags) if !creates(self.args[usize::from(*flags)]));
        shapes.iter().position(unneeded).unwrap_or(shapes.len())
    }

    /// Takes down the arguments.
    pub(super) fn enter(&self, user: User<'_>) -> Entered {
        let shown = (0..self.count()).filter(|index| self.shape(*index) != Shape::Unused);
        let part = |index| {
            let shape = self.shape(index);
            let mut line = Line::default();
            match special::argument(self, index, Moment::Entry, user, &mut line) {
                Some(Saying::Whole) => return Part::Said(line.into_string()),
                Some(Saying::Begun) => return Part::Begun(line.into_string()),
                Some(Saying::Later) => return Part::Later(user.some_bytes(self.args[index], NOTED)),
                None => {}
            }
            match shape {
                Shape::Out(_) | Shape::Put(_) | Shape::PutMany(..) => Part::Later(Vec::new()),
                Shape::Update(record) => {
                    Part::Later(user.bytes(self.args[index], record.size() as usize).unwrap_or_default())
                }
                // Its room, by the length that is there.
                Shape::SockAddrOut(len) => Part::Later(user.bytes(self.args[usize::from(len)], 4).unwrap_or_default()),
                _ => {
                    self.argument(index, Moment::Entry, user, &mut line);
                    Part::Said(line.into_string())
                }
            }
        };
        Entered { args: Some(shown.map(|index| (index, part(index))).collect()), begun: None, restarts: false }
    }

    /// The name under which it is shown.
    pub(super) fn shown_name(&self) -> String {
        self.row.map_or_else(|| format!("syscall_{:#x}", self.number), |row| row.name.to_owned())
    }

    /// The call as far as it can be said when it begins: what [`Call::finish`] begins with.
    pub(super) fn begun(&self, entered: &Entered) -> String {
        let mut text = self.shown_name() + "(";
        for (position, (_, part)) in entered.args.iter().flatten().enumerate() {
            if position > 0 {
                text += ", ";
            }
            match part {
                Part::Said(said) => text += said,
                Part::Begun(said) => return text + said,
                Part::Later(_) => break,
            }
        }
        text
    }

    /// The call with its arguments, as they are when it has given `result`; `None` if it gives none.
    pub(super) fn finish(&self, entered: &Entered, result: Option<SysResult>, user: User<'_>) -> String {
        let mut line = Line::default();
        put!(line, "{}(", self.shown_name());
        for (position, (index, part)) in entered.args.iter().flatten().enumerate() {
            let index = *index;
            if position > 0 {
                line.push(", ");
            }
            let moment = |before| result.map_or(Moment::Gone, |result| Moment::Done(result, before));
            match part {
                Part::Said(text) => line.push(text),
                Part::Begun(text) => {
                    line.push(text);
                    special::argument(self, index, moment(&[]), user, &mut line);
                }
                Part::Later(before) => {
                    let moment = moment(before);
                    if special::argument(self, index, moment, user, &mut line).is_none() {
                        self.argument(index, moment, user, &mut line);
                    }
                }
            }
        }
        line.push(")");
        line.into_string()
    }

    fn argument(&self, index: usize, moment: Moment<'_>, user: User<'_>, line: &mut Line) {
        let value = self.args[index];
        let length = |at: u8| self.args[usize::from(at)];
        match self.shape(index) {
            Shape::Int | Shape::Fd => put!(line, "{}", value as i32),
            Shape::Signal if value as u32 == 0 => line.push("0"),
            Shape::Signal => line.push(&n::signal(u64::from(value as u32))),
            Shape::Uint => put!(line, "{}", value as u32),
            Shape::Size => put!(line, "{value}"),
            Shape::Long => put!(line, "{}", value as i64),
            Shape::DirFd if value as i32 == libc::AT_FDCWD => line.push("AT_FDCWD"),
            Shape::DirFd => put!(line, "{}", value as i32),
            Shape::Octal | Shape::OctalIf(_) => line.mode(value as u32),
            Shape::Hex if value == 0 => line.push("0"),
            Shape::Hex => put!(line, "{value:#x}"),
            Shape::Flags(names) | Shape::One(names) => {
                names.write(if names.flags.is_wide() { value } else { value & 0xffff_ffff }, line);
            }
            Shape::Device => device(value, line),
            _ if value == 0 => line.push("NULL"),
            Shape::Unused => {}
            Shape::Addr | Shape::Range(_) | Shape::Ptr(_) | Shape::Array(..) => line.address(value),
            Shape::Path | Shape::PathNoFollow | Shape::PathUnless(_) | Shape::PathIf(_) | Shape::Name | Shape::Str => {
                match user.string(value, PATH_MAX) {
                    Ok(text) => line.quoted(text.as_bytes(), usize::MAX),
                    Err(_) => line.address(value),
                }
            }
            Shape::In(len) => buffer(value, length(len), user, line),
            Shape::Out(_) => match moment.value() {
                Some(len) => buffer(value, len, user, line),
                None => line.address(value),
            },
            Shape::Framed(..) if matches!(moment, Moment::Done(Err(_), _)) => line.address(value),
            Shape::Framed(header, len) => {
                put!(
                    line,
                    "{{mtype={}, mtext=",
                    user.bytes(value, 8).map_or(0, |bytes| super::record::u64_at(&bytes, 0))
                );
                let len = moment.value().filter(|_| moment != Moment::Entry).unwrap_or_else(|| length(len));
                buffer(value.wrapping_add(header.into()), len, user, line);
                line.push("}");
            }
            Shape::Bits(len) => words(value, length(len), user, line),
            Shape::Get(record) => record_at(record, value, user, line),
            Shape::Put(record) => match moment.value() {
                Some(_) => record_at(record, value, user, line),
                None => line.address(value),
            },
            Shape::Update(record) => self.updated(record, value, moment, user, line),
            Shape::GetMany(Record::IoVec, len) => socket::vectors(value, length(len), Some(u64::MAX), user, line),
            Shape::PutMany(Record::IoVec, len) => socket::vectors(value, length(len), moment.value(), user, line),
            Shape::GetMany(record, len) => records_at(record, value, u64::from(length(len) as u32), user, line),
            Shape::PutMany(record, len) => match moment.value() {
                Some(count) => records_at(record, value, count.min(length(len)), user, line),
                None => line.address(value),
            },
            Shape::SockAddr(len) => socket::address(value, u64::from(length(len) as u32), user, line),
            Shape::SockAddrOut(len) => match moment {
                Moment::Done(Ok(_), before) => {
                    let now = user.bytes(length(len), 4).map_or(0, |bytes| u32_at(&bytes, 0));
                    let room = if before.len() == 4 { u32_at(before, 0) } else { now };
                    socket::address(value, now.min(room).into(), user, line);
                }
                Moment::Done(Err(_), _) | Moment::Entry | Moment::Gone => line.address(value),
            },
        }
    }

    /// A structure that the call has read and written.
    fn updated(&self, record: Record, addr: u64, moment: Moment<'_>, user: User<'_>, line: &mut Line) {
        let size = record.size() as usize;
        match moment {
            Moment::Done(Ok(_), before) => match user.bytes(addr, size) {
                Ok(now) if matches!(record, Record::SockLen | Record::Offset) && before.len() == size => {
                    let number = |bytes: &[u8]| match record {
                        Record::SockLen => i64::from(i32_at(bytes, 0)),
                        _ => super::record::u64_at(bytes, 0) as i64,
                    };
                    if record == Record::Offset {
                        put!(line, "[{}]", number(before));
                        if number(before) != number(&now) {
                            put!(line, " => [{}]", number(&now));
                        }
                    } else if number(before) == number(&now) {
                        put!(line, "[{}]", number(&now));
                    } else {
                        put!(line, "[{} => {}]", number(before), number(&now));
                    }
                }
                Ok(now) => record.write(&now, user, line),
                Err(_) => line.address(addr),
            },
            Moment::Done(Err(_), before) if before.len() == size => record.write(before, user, line),
            Moment::Done(Err(_), _) | Moment::Entry | Moment::Gone => line.address(addr),
        }
    }

    /// The result of a call that has worked.
    pub(super) fn outcome(&self, value: u64, user: User<'_>) -> String {
        result::outcome(self, value, user)
    }
}

/// Whether flags of `open` make a file, so that its mode matters.
pub(super) const fn creates(flags: u64) -> bool {
    flags & (libc::O_CREAT as u64 | 0o20_000_000) != 0
}

/// The structure at `addr`, or the address if it cannot be read.
pub(super) fn record_at(record: Record, addr: u64, user: User<'_>, line: &mut Line) {
    match user.bytes(addr, record.size() as usize) {
        Ok(bytes) if addr != 0 => record.write(&bytes, user, line),
        _ => line.address(addr),
    }
}

/// The `count` structures at `addr`; the first of them if there are many.
pub(super) fn records_at(record: Record, addr: u64, count: u64, user: User<'_>, line: &mut Line) {
    let shown = count.min(SHOWN as u64);
    match user.bytes(addr, (record.size() * shown) as usize) {
        Ok(bytes) if addr != 0 => {
            line.push("[");
            for (index, one) in bytes.chunks_exact(record.size() as usize).enumerate() {
                if index > 0 {
                    line.push(", ");
                }
                record.write(one, user, line);
            }
            line.push(if count > shown { ", ...]" } else { "]" });
        }
        _ => line.address(addr),
    }
}

/// The 64-bit words of a set of `count` bits.
pub(super) fn words(addr: u64, count: u64, user: User<'_>, line: &mut Line) {
    /// Bits that are shown.
    const MOST: u64 = 1024;
    match user.bytes(addr, count.min(MOST).div_ceil(64) as usize * 8) {
        Ok(bytes) if addr != 0 => line.list(bytes.chunks_exact(8), |line, word| match super::record::u64_at(word, 0) {
            0 => line.push("0000000000000000"),
            word => put!(line, "{word:#016x}"),
        }),
        _ => line.address(addr),
    }
}

/// The numbers of the bits in a set.
pub(super) fn bits(addr: u64, count: u64, user: User<'_>, line: &mut Line) {
    let len = count.div_ceil(64).min(16) * 8;
    let Ok(bytes) = user.bytes(addr, len as usize) else {
        line.address(addr);
        return;
    };
    let set = (0..bytes.len() * 8).filter(|bit| (*bit as u64) < count && bytes[bit / 8] & 1 << (bit % 8) != 0);
    line.push("[");
    for (index, bit) in set.enumerate() {
        put!(line, "{}{bit}", if index > 0 { " " } else { "" });
    }
    line.push("]");
}

#[cfg(test)]
mod tests {
    use vm_core::Perms;
    use vm_mem::{AddressSpace, MapRequest, Placement};

    use super::*;
    use crate::errno::Errno;
    use crate::kernel::Stop;
    use crate::table;

    /// Lines that strace 6.1 has printed for these calls, but for their addresses.
    #[test]
    fn calls_read_as_strace_writes_them() {
        let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 }).unwrap();
        let page = space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE)).unwrap().get();
        let user = User(&space);
        user.put_bytes(page, b"a\nb\0").unwrap();
        let [one, big] = [1u64, 5 << 20].map(u64::to_le_bytes);
        user.put_bytes(page + 64, &[one, big].concat()).unwrap();
        user.put_bytes(page + 128, &[2u8, 0, 0, 80, 127, 0, 0, 1]).unwrap();
        let text = |name: &str, args: &[u64], result: SysResult| {
            let mut all = [0; 6];
            all[..args.len()].copy_from_slice(args);
            let call = Call { row: table::by_name(name), number: 9999, args: all };
            let entered = call.enter(user);
            let outcome = result.map_or_else(|_| "-1".to_owned(), |value| call.outcome(value, user));
            format!("{} = {outcome}", call.finish(&entered, Some(result), user))
        };
        let failed = Err(Stop::Error(Errno::EINVAL));
        let cwd = libc::AT_FDCWD as u64;
        let map = format!("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = {page:#x}");
        for (name, args, result, expected) in [
            ("write", &[1, page, 3][..], Ok(3), r#"write(1, "a\nb", 3) = 3"#),
            ("read", &[0, page, 99], Ok(1), r#"read(0, "a", 99) = 1"#),
            (
                "openat",
                &[cwd, page, 0o1101, 0o640],
                Ok(3),
                r#"openat(AT_FDCWD, "a\nb", O_WRONLY|O_CREAT|O_TRUNC, 0640) = 3"#,
            ),
            ("openat", &[cwd, page, 0, 0o640], Ok(3), r#"openat(AT_FDCWD, "a\nb", O_RDONLY) = 3"#),
            ("mmap", &[0, 4096, 3, 0x22, u64::MAX, 0], Ok(page), &map),
            ("lseek", &[1, 0, 77], failed, "lseek(1, 0, 0x4d /* SEEK_??? */) = -1"),
            ("nanosleep", &[page + 64, 0], Ok(0), "nanosleep({tv_sec=1, tv_nsec=5242880}, NULL) = 0"),
            (
                "prlimit64",
                &[0, 3, page + 64, 0],
                Ok(0),
                "prlimit64(0, RLIMIT_STACK, {rlim_cur=1, rlim_max=5120*1024}, NULL) = 0",
            ),
            ("rt_sigprocmask", &[0, page + 64, 0, 8], Ok(0), "rt_sigprocmask(SIG_BLOCK, [HUP], NULL, 8) = 0"),
            ("socket", &[999, 1, 0], failed, "socket(0x3e7 /* AF_??? */, SOCK_STREAM, 0) = -1"),
            (
                "bind",
                &[3, page + 128, 16],
                Ok(0),
                r#"bind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0"#,
            ),
            ("fcntl", &[1, 3, 0], Ok(0x8001), "fcntl(1, F_GETFL) = 0x8001 (flags O_WRONLY|O_LARGEFILE)"),
            ("umask", &[0o22], Ok(0o22), "umask(022) = 022"),
            ("no such call", &[1], failed, "syscall_0x270f(0x1, 0, 0, 0, 0, 0) = -1"),
        ] {
            assert_eq!(text(name, args, result), expected);
        }
    }
}
