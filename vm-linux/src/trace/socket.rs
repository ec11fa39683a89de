//! Addresses and messages of sockets.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names as n;
use super::record::{buffer, i32_at, iovec, u16_at, u32_at, u64_at};
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

fn address_bytes(b: &[u8], l: &mut Line) {
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
            put!(l, ", nl_pid={}, nl_groups={:08x}", i32_at(b, 4), u32_at(b, 8));
        }
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
    vectors(iov, count, filled.unwrap_or(u64::MAX), user, l);
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

/// Appends an array of `count` buffers, of which `filled` bytes hold something.
pub(super) fn vectors(iov: u64, count: u64, filled: u64, user: User<'_>, l: &mut Line) {
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
        left = left.saturating_sub(IoVec::decode(one).len);
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

/// Appends the value of a socket option.
pub(super) fn option_value(value: u64, len: u64, user: User<'_>, l: &mut Line) {
    match user.bytes(value, 4) {
        Ok(bytes) if len == 4 && value != 0 => put!(l, "[{}]", i32_at(&bytes, 0)),
        _ => buffer(value, len, user, l),
    }
}
