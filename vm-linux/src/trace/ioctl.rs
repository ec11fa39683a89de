//! Requests of `ioctl(2)` and what they are about.

use super::call::{Call, Moment};
use super::names as n;
use super::record::{Record, c_string, hex, i32_at, u16_at, u64_at};
use super::socket;
use super::special::Saying;
use super::text::{Line, put};
use crate::calls::ioctl;
use crate::shape::Shape;
use crate::user::User;

#[allow(clippy::enum_glob_use, reason = "tables read better without prefixes")]
use {Record::*, Shape::*};

/// What the third argument of a request is.
static OPERANDS: &[(&[&str], &[Shape])] = &[
    (
        &[
            "TIOCEXCL",
            "TIOCNXCL",
            "TIOCNOTTY",
            "TIOCCONS",
            "TIOCVHANGUP",
            "TIOCSBRK",
            "TIOCCBRK",
            "FIOCLEX",
            "FIONCLEX",
            "LOOP_CLR_FD",
            "LOOP_SET_CAPACITY",
            "LOOP_CTL_GET_FREE",
            "BLKRRPART",
            "BLKFLSBUF",
            "RNDZAPENTCNT",
            "RNDCLEARPOOL",
            "RTC_AIE_ON",
            "RTC_AIE_OFF",
            "RTC_UIE_ON",
            "RTC_UIE_OFF",
            "RTC_PIE_ON",
            "RTC_PIE_OFF",
            "NS_GET_USERNS",
            "NS_GET_PARENT",
            "NS_GET_NSTYPE",
        ],
        &[],
    ),
    (&["TCGETS"], &[Put(Termios)]),
    (&["TCSETS", "TCSETSW", "TCSETSF"], &[Get(Termios)]),
    (&["TCGETS2"], &[Put(Termios2)]),
    (&["TCSETS2", "TCSETSW2", "TCSETSF2"], &[Get(Termios2)]),
    (&["TIOCGWINSZ"], &[Put(Winsize)]),
    (&["TIOCSWINSZ"], &[Get(Winsize)]),
    (&["TCSBRK", "TCSBRKP", "TIOCSCTTY", "FICLONE"], &[Int]),
    (&["TCFLSH"], &[One(&n::TCFLSH)]),
    (&["TCXONC"], &[One(&n::TCXONC)]),
    (&["TIOCSTI"], &[Get(Character)]),
    (&["TIOCMGET"], &[Put(ModemBits)]),
    (&["TIOCMSET", "TIOCMBIS", "TIOCMBIC"], &[Get(ModemBits)]),
    (
        &[
            "FIONREAD",
            "TIOCGPGRP",
            "TIOCOUTQ",
            "TIOCGPTN",
            "TIOCGSID",
            "TIOCGETD",
            "TIOCGDEV",
            "TIOCGEXCL",
            "TIOCGSOFTCAR",
            "SIOCGPGRP",
            "FIOGETOWN",
            "SIOCATMARK",
            "BLKSSZGET",
            "RNDGETENTCNT",
        ],
        &[Put(Number)],
    ),
    (
        &[
            "FIONBIO",
            "FIOASYNC",
            "TIOCSPGRP",
            "TIOCSPTLCK",
            "TIOCSETD",
            "TIOCPKT",
            "TIOCSSOFTCAR",
            "SIOCSPGRP",
            "FIOSETOWN",
            "BLKROSET",
        ],
        &[Get(Number)],
    ),
    (&["BLKGETSIZE64", "BLKGETSIZE", "FIOQSIZE"], &[Put(Word)]),
];

/// What the third argument of `request` is.
pub(super) fn operands(request: u32) -> &'static [Shape] {
    match ioctl::name(request) {
        None => &[Hex],
        Some(name) => {
            let known = OPERANDS.iter().find(|(names, _)| names.contains(&name));
            known.map_or(if ioctl::has_pointer(request) { &[Addr] } else { &[Hex] }, |(_, operands)| *operands)
        }
    }
}

/// Appends a request's name, or what its number says of it.
pub(super) fn request(request: u32, l: &mut Line) {
    match ioctl::name(request) {
        Some(name) => l.push(name),
        None => {
            let direction = ["_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"][(request >> 30) as usize];
            let (kind, number, size) = (request >> 8 & 0xff, request & 0xff, request >> 16 & 0x3fff);
            let short = |value: u32| if value == 0 { "0".to_owned() } else { format!("{value:#x}") };
            put!(l, "_IOC({direction}, {}, {}, {})", short(kind), short(number), short(size));
        }
    }
}

/// A member of `struct ifreq`, after the interface's name.
#[derive(Clone, Copy, Debug)]
enum Member {
    Index,
    Flags,
    Address(&'static str),
    Hardware,
    Number(&'static str),
    Name,
    Map,
}

/// Requests about a network interface, with what they are about and whether they set it.
static INTERFACE: &[(&str, Member, bool)] = &[
    ("SIOCGIFINDEX", Member::Index, false),
    ("SIOCGIFFLAGS", Member::Flags, false),
    ("SIOCSIFFLAGS", Member::Flags, true),
    ("SIOCGIFADDR", Member::Address("ifr_addr"), false),
    ("SIOCSIFADDR", Member::Address("ifr_addr"), true),
    ("SIOCGIFDSTADDR", Member::Address("ifr_dstaddr"), false),
    ("SIOCSIFDSTADDR", Member::Address("ifr_dstaddr"), true),
    ("SIOCGIFBRDADDR", Member::Address("ifr_broadaddr"), false),
    ("SIOCSIFBRDADDR", Member::Address("ifr_broadaddr"), true),
    ("SIOCGIFNETMASK", Member::Address("ifr_netmask"), false),
    ("SIOCSIFNETMASK", Member::Address("ifr_netmask"), true),
    ("SIOCGIFHWADDR", Member::Hardware, false),
    ("SIOCSIFHWADDR", Member::Hardware, true),
    ("SIOCGIFMETRIC", Member::Number("ifr_metric"), false),
    ("SIOCSIFMETRIC", Member::Number("ifr_metric"), true),
    ("SIOCGIFMTU", Member::Number("ifr_mtu"), false),
    ("SIOCSIFMTU", Member::Number("ifr_mtu"), true),
    ("SIOCGIFTXQLEN", Member::Number("ifr_qlen"), false),
    ("SIOCSIFTXQLEN", Member::Number("ifr_qlen"), true),
    ("SIOCSIFNAME", Member::Name, true),
    ("SIOCGIFMAP", Member::Map, false),
];

/// Bytes of `struct ifreq`, and of the name that it begins with.
const IFREQ: usize = 40;
const NAME: usize = 16;

/// Appends the third argument of a request that has a way of its own; `None` if it has none.
pub(super) fn operand(call: &Call, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Option<Saying> {
    let value = call.args[2];
    match ioctl::name(call.args[1] as u32)? {
        "SIOCGIFCONF" => Some(interfaces(value, moment, user, l)),
        "SIOCGIFNAME" => Some(interface_name(value, moment, user, l)),
        name => {
            let (_, member, sets) = INTERFACE.iter().find(|(known, ..)| *known == name)?;
            Some(interface(value, *member, *sets, moment, user, l))
        }
    }
}

/// Appends `struct ifreq`: its member at once if the request sets it, and when it has been filled in otherwise.
fn interface(addr: u64, member: Member, sets: bool, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Saying {
    let Some(b) = user.bytes(addr, IFREQ).ok().filter(|_| addr != 0) else {
        return unreadable(addr, moment, l);
    };
    if moment == Moment::Entry {
        l.push("{ifr_name=");
        c_string(&b[..NAME], l);
    }
    if sets || moment.value().is_some() {
        l.push(", ");
        write_member(&b[NAME..], member, l);
    }
    if sets || moment != Moment::Entry {
        l.push("}");
    }
    if sets { Saying::Whole } else { Saying::Begun }
}

/// Appends the address of a structure that cannot be read, once.
fn unreadable(addr: u64, moment: Moment<'_>, l: &mut Line) -> Saying {
    if moment == Moment::Entry {
        l.address(addr);
    }
    Saying::Whole
}

fn write_member(b: &[u8], member: Member, l: &mut Line) {
    match member {
        Member::Index => put!(l, "ifr_ifindex={}", i32_at(b, 0)),
        Member::Flags => {
            l.push("ifr_flags=");
            n::IFF.write(u16_at(b, 0).into(), l);
        }
        Member::Address(name) => {
            put!(l, "{name}=");
            socket::address_bytes(&b[..16], l);
        }
        Member::Hardware => {
            l.push("ifr_hwaddr={sa_family=");
            n::ARPHRD.write(u16_at(b, 0).into(), l);
            l.push(", sa_data=");
            for (index, byte) in b[2..8].iter().enumerate() {
                put!(l, "{}{byte:02x}", if index > 0 { ":" } else { "" });
            }
            l.push("}");
        }
        Member::Number(name) => put!(l, "{name}={}", i32_at(b, 0)),
        Member::Name => {
            l.push("ifr_newname=");
            c_string(&b[..NAME], l);
        }
        Member::Map => {
            l.push("ifr_map={mem_start=");
            hex(u64_at(b, 0), l);
            l.push(", mem_end=");
            hex(u64_at(b, 8), l);
            l.push(", base_addr=");
            hex(u16_at(b, 16).into(), l);
            for (name, byte) in [("irq", b[18]), ("dma", b[19]), ("port", b[20])] {
                put!(l, ", {name}=");
                hex(byte.into(), l);
            }
            l.push("}");
        }
    }
}

/// Appends `struct ifreq` of a request for the name of the interface that has a number.
fn interface_name(addr: u64, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Saying {
    let Some(b) = user.bytes(addr, IFREQ).ok().filter(|_| addr != 0) else {
        return unreadable(addr, moment, l);
    };
    if moment == Moment::Entry {
        put!(l, "{{ifr_ifindex={}", i32_at(&b, NAME));
        return Saying::Begun;
    }
    if moment.value().is_some() {
        l.push(", ifr_name=");
        c_string(&b[..NAME], l);
    }
    l.push("}");
    Saying::Begun
}

/// Appends `struct ifconf`: a length, and the address of as many bytes of `struct ifreq`.
fn interfaces(addr: u64, moment: Moment<'_>, user: User<'_>, l: &mut Line) -> Saying {
    const MOST: usize = 32;
    let before = match moment {
        Moment::Entry => return Saying::Later,
        Moment::Done(_, before) => before,
        Moment::Gone => &[],
    };
    let (Ok(b), Some(_), 16..) = (user.bytes(addr, 16), moment.value(), before.len()) else {
        l.address(addr);
        return Saying::Later;
    };
    let (length, list) = (i32_at(&b, 0), u64_at(&b, 8));
    l.push("{ifc_len=");
    if list != 0 && i32_at(before, 0) != length {
        put!(l, "{} => ", i32_at(before, 0));
    }
    put!(l, "{length}");
    let count = length.max(0) as usize / IFREQ;
    if count > 0 {
        put!(l, " /* {count} * sizeof(struct ifreq) */");
    }
    l.push(", ifc_buf=");
    match user.bytes(list, count.min(MOST) * IFREQ) {
        Ok(b) if list != 0 => {
            l.list(b.chunks_exact(IFREQ), |l, one| {
                l.push("{ifr_name=");
                c_string(&one[..NAME], l);
                l.push(", ");
                write_member(&one[NAME..], Member::Address("ifr_addr"), l);
                l.push("}");
            });
        }
        _ => l.address(list),
    }
    l.push("}");
    Saying::Later
}
