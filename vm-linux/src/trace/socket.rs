//! Addresses and messages of sockets.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names as n;
use super::record::{buffer, fields, hex, i32_at, iovec, u16_at, u32_at, u64_at};
use super::text::{Line, SHOWN, put};
use crate::layout::{IoVec, Layout};
use crate::user::User;

/// Longest address that is shown (`struct sockaddr_storage`).
const LONGEST: usize = 128;
/// Most buffers and control messages that are shown.
const MOST: usize = 16;

/// Appends the address of `len` bytes at `addr`.
pub(super) fn address(addr: u64, len: u64, user: User<'_>, l: &mut Line) {
    let len = usize::try_from(len).map_or(LONGEST, |len| len.min(LONGEST));
    match user.bytes(addr, len) {
        Ok(bytes) if len >= 2 && addr != 0 => address_bytes(&bytes, l),
        _ => l.address(addr),
    }
}

/// Appends an address.
pub(super) fn address_bytes(b: &[u8], l: &mut Line) {
    let family = u16_at(b, 0);
    l.push("{sa_family=");
    n::AF.write(family.into(), l);
    let port = || u16::from_be_bytes([b[2], b[3]]);
    match i32::from(family) {
        libc::AF_UNIX => match &b[2..] {
            [] => {}
            [0, name @ ..] => {
                l.push(", sun_path=@");
                l.quoted(name, usize::MAX);
            }
            path => {
                let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
                l.push(", sun_path=");
                l.quoted(&path[..end], usize::MAX);
            }
        },
        libc::AF_INET if b.len() >= 16 => {
            let ip = Ipv4Addr::from([b[4], b[5], b[6], b[7]]);
            put!(l, ", sin_port=htons({}), sin_addr=inet_addr(\"{ip}\")", port());
        }
        libc::AF_INET6 if b.len() >= 24 => {
            let ip = b[8..24].try_into().map_or(Ipv6Addr::UNSPECIFIED, |octets: [u8; 16]| Ipv6Addr::from(octets));
            put!(l, ", sin6_port=htons({}), sin6_flowinfo=htonl({}), ", port(), u32_at(b, 4).swap_bytes());
            put!(l, "inet_pton(AF_INET6, \"{ip}\", &sin6_addr)");
            if b.len() >= 28 {
                put!(l, ", sin6_scope_id={}", u32_at(b, 24));
            }
        }
        libc::AF_NETLINK if b.len() >= 12 => {
            put!(l, ", nl_pid={}, nl_groups=", i32_at(b, 4));
            match u32_at(b, 8) {
                0 => l.push("00000000"),
                groups => put!(l, "{groups:#08x}"),
            }
        }
        libc::AF_PACKET if b.len() >= 12 => packet_address(b, l),
        _ => {
            l.push(", sa_data=");
            l.quoted(&b[2..], SHOWN);
        }
    }
    l.push("}");
}

/// Appends `struct msghdr`; `filled` is how many bytes its buffers hold, if fewer than they have room for.
pub(super) fn message(b: &[u8], user: User<'_>, filled: Option<u64>, l: &mut Line) {
    let (name, name_len) = (u64_at(b, 0), u32_at(b, 8));
    let (iov, count) = (u64_at(b, 16), u64_at(b, 24));
    l.push("{msg_name=");
    address(name, name_len.into(), user, l);
    put!(l, ", msg_namelen={name_len}, msg_iov=");
    vectors(iov, count, Some(filled.unwrap_or(u64::MAX)), user, l);
    put!(l, ", msg_iovlen={count}");
    let (control, control_len) = (u64_at(b, 32), u64_at(b, 40));
    if control_len != 0 {
        l.push(", msg_control=");
        controls(control, control_len, user, l);
    }
    put!(l, ", msg_controllen={control_len}, msg_flags=");
    n::MSG.write(u32_at(b, 48).into(), l);
    l.push("}");
}

/// Appends an array of `count` buffers, of which `filled` bytes hold something; their addresses if nothing does.
pub(super) fn vectors(iov: u64, count: u64, filled: Option<u64>, user: User<'_>, l: &mut Line) {
    let shown = usize::try_from(count).map_or(MOST, |count| count.min(MOST));
    let Ok(bytes) = user.bytes(iov, shown * IoVec::SIZE) else {
        l.address(iov);
        return;
    };
    if iov == 0 {
        l.address(iov);
        return;
    }
    let mut left = filled;
    l.push("[");
    for (index, one) in bytes.chunks_exact(IoVec::SIZE).enumerate() {
        if index > 0 {
            l.push(", ");
        }
        iovec(one, user, left, l);
        left = left.map(|left| left.saturating_sub(IoVec::decode(one).len));
    }
    l.push(if count > shown as u64 { ", ...]" } else { "]" });
}

/// Appends control messages (`struct cmsghdr`: length, level, type, content; each aligned to 8 bytes).
fn controls(control: u64, len: u64, user: User<'_>, l: &mut Line) {
    const HEADER: usize = 16;
    let len = usize::try_from(len).map_or(4096, |len| len.min(4096));
    let Ok(bytes) = user.bytes(control, len) else {
        l.address(control);
        return;
    };
    let mut rest = &bytes[..];
    let mut first = true;
    l.push("[");
    while rest.len() >= HEADER {
        let (size, level, kind) = (u64_at(rest, 0), i32_at(rest, 8), u32_at(rest, 12));
        let size = usize::try_from(size).unwrap_or(0);
        if size < HEADER || size > rest.len() {
            break;
        }
        if !first {
            l.push(", ");
        }
        first = false;
        put!(l, "{{cmsg_len={size}, cmsg_level=");
        n::SOL.write(level as u64, l);
        l.push(", cmsg_type=");
        let content = &rest[HEADER..size];
        if level == libc::SOL_SOCKET {
            n::SCM.write(kind.into(), l);
        } else {
            put!(l, "{kind:#x}");
        }
        l.push(", cmsg_data=");
        match (level, kind as i32) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                l.list(content.chunks_exact(4), |l, fd| put!(l, "{}", i32_at(fd, 0)));
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if content.len() >= 12 => {
                let [pid, uid, gid] = [0, 4, 8].map(|at| i32_at(content, at));
                put!(l, "{{pid={pid}, uid={uid}, gid={gid}}}");
            }
            _ => l.quoted(content, SHOWN),
        }
        l.push("}");
        rest = &rest[size.next_multiple_of(8).min(rest.len())..];
    }
    l.push("]");
}

/// Appends what `sendmmsg` was given: `sent` of the messages have the length that was sent.
pub(super) fn sent_messages(addr: u64, count: u64, sent: Option<u64>, user: User<'_>, l: &mut Line) {
    const SIZE: usize = 64;
    let count = count as u32 as usize;
    let bytes = match user.bytes(addr, count.min(SHOWN) * SIZE) {
        Ok(bytes) if addr != 0 => bytes,
        _ => {
            l.address(addr);
            return;
        }
    };
    l.push("[");
    for (index, one) in bytes.chunks_exact(SIZE).enumerate() {
        l.push(if index > 0 { ", {msg_hdr=" } else { "{msg_hdr=" });
        message(one, user, None, l);
        if (index as u64) < sent.unwrap_or(0) {
            put!(l, ", msg_len={}", u32_at(one, 56));
        }
        l.push("}");
    }
    l.push(if count > SHOWN { ", ...]" } else { "]" });
}

/// Appends a protocol of packets, which is in the network's order.
pub(super) fn packet_protocol(protocol: u16, l: &mut Line) {
    let protocol = u64::from(protocol.swap_bytes());
    l.push("htons(");
    match n::ETH_P.name(protocol) {
        Some(name) => l.push(name),
        None => {
            hex(protocol, l);
            put!(l, " /* {} */", n::ETH_P.unknown);
        }
    }
    l.push(")");
}

/// Appends `struct sockaddr_ll` after its family.
fn packet_address(b: &[u8], l: &mut Line) {
    l.push(", sll_protocol=");
    packet_protocol(u16_at(b, 2), l);
    put!(l, ", sll_ifindex={}, sll_hatype=", i32_at(b, 4));
    n::ARPHRD.write(u16_at(b, 8).into(), l);
    l.push(", sll_pkttype=");
    n::PACKET_TYPE.write(b[10].into(), l);
    put!(l, ", sll_halen={}", b[11]);
    let address = &b[12..b.len().min(12 + usize::from(b[11]))];
    if !address.is_empty() {
        l.push(", sll_addr=");
        l.list(address, |l, byte| put!(l, "{byte:#x}"));
    }
}

/// Appends the value of an option, `(level, option)`, of a socket.
pub(super) fn option_value((level, option): (u64, u64), value: u64, len: u64, user: User<'_>, l: &mut Line) {
    // Lengths are `int`.
    const MOST: u64 = i32::MAX as u64;
    let shown = user.bytes(value, len.min(SHOWN as u64) as usize);
    let (Ok(b), 0..=MOST, false) = (shown, len, value == 0) else {
        l.address(value);
        return;
    };
    let members: &[&str] = match (level as i32, option as i32) {
        (libc::SOL_SOCKET, libc::SO_LINGER) => &["l_onoff", "l_linger"],
        (libc::SOL_SOCKET, libc::SO_PEERCRED) => &["pid", "uid", "gid"],
        (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER) if len >= 16 => {
            put!(l, "{{len={}, filter=", u16_at(&b, 0));
            l.address(u64_at(&b, 8));
            l.push("}");
            return;
        }
        _ if len == 4 => {
            put!(l, "[{}]", i32_at(&b, 0));
            return;
        }
        _ => {
            buffer(value, len, user, l);
            return;
        }
    };
    fields(l, "{", members, b.chunks_exact(4).map(|word| i32_at(word, 0)), "}");
}
