//! Sockets.
//!
//! Messages, control messages and options have one layout on all 64-bit systems. What is translated is where pointers
//! within structures lead, and names of sockets in the file system.

use std::ffi::CString;

use crate::errno::Errno;
use crate::host::{self, Arg, HostCall};
use crate::kernel::{Args, Kernel, SysResult, close, null};
use crate::layout::{IoVec, Layout, layout};
use crate::paths::{At, Last};
use crate::thread::Thread;

use super::file::open_descriptor;

/// `sizeof(struct sockaddr_storage)`: no address is longer.
const LONGEST: usize = 128;
/// `sizeof(sun_path)`.
const UNIX_PATH: usize = 108;
/// `MAX_RW_COUNT`: more is neither sent nor received at once.
const MOST_BYTES: u64 = 0x7fff_f000;
/// `UIO_MAXIOV`.
const MOST_VECTORS: u64 = 1024;

layout! {
    /// `struct msghdr`.
    MsgHdr {
        name: u64,
        name_len: u32,
        iov: u64,
        iov_len: u64,
        control: u64,
        control_len: u64,
        flags: u32,
    }
}

layout! {
    /// `struct mmsghdr`.
    MMsgHdr {
        header: MsgHdr,
        len: u32,
        pad: u32,
    }

    /// `struct sock_fprog`.
    SockFprog {
        len: u16,
        filter: u64,
    }
}

/// An address for the host's kernel.
#[derive(Debug)]
enum Address {
    /// None is given, or one that the kernel refuses by its length or address.
    As(u64),
    /// The translated bytes.
    Bytes(Vec<u8>),
}

/// A translated address, and what has to stay open while it is used.
struct Named {
    address: Address,
    _at: Option<At>,
}

impl Named {
    const fn plain(address: Address) -> Self {
        Self { address, _at: None }
    }

    /// Takes the address of `len` bytes at `addr` from the guest.
    ///
    /// # Errors
    /// What looking up the name of a socket fails with.
    fn new(t: &Thread, addr: u64, len: u32, last: Last) -> Result<Self, Errno> {
        if addr == 0 || len == 0 || len as usize > LONGEST {
            return Ok(Self::plain(Address::As(addr)));
        }
        let Ok(bytes) = t.user().bytes(addr, len as usize) else { return Ok(Self::plain(Address::As(addr))) };
        let family = bytes.get(..2).map(|family| i32::from(u16::from_le_bytes([family[0], family[1]])));
        let is_path = family == Some(libc::AF_UNIX) && bytes.len() > 2 && bytes[2] != 0;
        if !is_path || bytes.len() > UNIX_PATH + 2 {
            return Ok(Self::plain(Address::Bytes(bytes)));
        }
        let end = bytes[2..].iter().position(|byte| *byte == 0).map_or(bytes.len(), |end| end + 2);
        let path = CString::new(&bytes[2..end]).map_err(|_| Errno::EINVAL)?;
        let (name, at) = t.unix_path(&path, last)?;
        if name == path.as_bytes() {
            return Ok(Self::plain(Address::Bytes(bytes)));
        }
        let address = [&(libc::AF_UNIX as u16).to_le_bytes(), name.as_slice(), b"\0"].concat();
        Ok(Self { address: Address::Bytes(address), _at: Some(at) })
    }

    /// The two arguments, address and length, of which `len` is what the guest said.
    fn args<'a>(&'a mut self, t: &Thread, len: u64) -> (Arg<'a>, Arg<'a>) {
        match &mut self.address {
            Address::As(addr) => (Arg::Guest(t.user().pointer(*addr, len & 0xffff_ffff)), Arg::Int(len)),
            Address::Bytes(bytes) => {
                let len = bytes.len() as u64;
                (Arg::Bytes(bytes), Arg::Int(len))
            }
        }
    }
}

fn named(t: &Thread, a: &Args, call: &HostCall, last: Last) -> SysResult {
    // The kernel looks at the descriptor before the name.
    open_descriptor(a.raw(0))?;
    let mut name = Named::new(t, a.raw(1), a.uint(2), last)?;
    let (address, len) = name.args(t, a.raw(2));
    Ok(host::wait(call, &mut [Arg::Int(a.raw(0)), address, len])?)
}

/// `bind(fd, address, length)`.
pub(crate) fn bind(t: &mut Thread, a: &Args) -> SysResult {
    named(t, a, &host::BIND, Last::Name)
}

/// `connect(fd, address, length)`.
pub(crate) fn connect(t: &mut Thread, a: &Args) -> SysResult {
    named(t, a, &host::CONNECT, Last::Follow)
}

/// `sendto(fd, buffer, length, flags, address, address_length)`.
pub(crate) fn sendto(t: &mut Thread, a: &Args) -> SysResult {
    let buffer = t.user().pointer(a.raw(1), a.raw(2).min(MOST_BYTES));
    if buffer.is_outside() {
        return Err(Errno::EFAULT.into());
    }
    let buffer = Arg::Guest(buffer);
    open_descriptor(a.raw(0))?;
    let mut name = Named::new(t, a.raw(4), a.uint(5), Last::Follow)?;
    let (address, len) = name.args(t, a.raw(5));
    let mut args = [Arg::Int(a.raw(0)), buffer, Arg::Int(a.raw(2)), Arg::Int(a.raw(3)), address, len];
    Ok(host::wait(&host::SENDTO, &mut args)?)
}

/// Room for an address that the kernel tells, and for its length.
struct Told {
    bytes: [u8; LONGEST],
    len: [u8; 4],
}

impl Told {
    const fn new() -> Self {
        Self { bytes: [0; LONGEST], len: (LONGEST as u32).to_le_bytes() }
    }

    /// Writes the address to the guest's memory at `addr`, as much of it as the number at `len` says, and its whole
    /// length to `len`: the kernel's `move_addr_to_user`.
    fn tell(&self, t: &Thread, addr: u64, len: u64) -> Result<(), Errno> {
        let room = t.user().bytes(len, 4)?;
        let room = i32::from_le_bytes([room[0], room[1], room[2], room[3]]);
        if room < 0 {
            return Err(Errno::EINVAL);
        }
        let bytes = self.guest_bytes(t);
        t.user().put_bytes(addr, &bytes[..bytes.len().min(room as usize)])?;
        t.user().put_bytes(len, &(bytes.len() as u32).to_le_bytes())
    }

    /// The address as the guest knows it.
    fn guest_bytes(&self, t: &Thread) -> Vec<u8> {
        let bytes = &self.bytes[..(u32::from_le_bytes(self.len) as usize).min(LONGEST)];
        if bytes.len() > 2 && i32::from(u16::from_le_bytes([bytes[0], bytes[1]])) == libc::AF_UNIX && bytes[2] != 0 {
            return [&bytes[..2], t.socket_name(&bytes[2..]).as_slice()].concat();
        }
        bytes.to_vec()
    }
}

/// Passes a call whose arguments after `fd` are room for an address, its length, and those of `rest`.
fn told(t: &Thread, a: &Args, call: &HostCall, rest: &[u64]) -> SysResult {
    if a.raw(1) == 0 {
        let mut args = vec![Arg::Int(a.raw(0)), null(), null()];
        args.extend(rest.iter().map(|value| Arg::Int(*value)));
        return Ok(host::wait(call, &mut args)?);
    }
    let mut told = Told::new();
    let mut args = vec![Arg::Int(a.raw(0)), Arg::Bytes(&mut told.bytes), Arg::Bytes(&mut told.len)];
    args.extend(rest.iter().map(|value| Arg::Int(*value)));
    let result = host::wait(call, &mut args)?;
    if let Err(errno) = told.tell(t, a.raw(1), a.raw(2)) {
        // As the kernel, which closes the connection that it cannot tell of.
        if std::ptr::eq(call, &raw const host::ACCEPT) || std::ptr::eq(call, &raw const host::ACCEPT4) {
            close(result);
        }
        return Err(errno.into());
    }
    Ok(result)
}

/// `accept(fd, address, length)`.
pub(crate) fn accept(t: &mut Thread, a: &Args) -> SysResult {
    told(t, a, &host::ACCEPT, &[])
}

/// `accept4(fd, address, length, flags)`.
pub(crate) fn accept4(t: &mut Thread, a: &Args) -> SysResult {
    told(t, a, &host::ACCEPT4, &[a.raw(3)])
}

/// As [`told`] for calls to which an address is all: without room for it they fail.
fn told_name(t: &Thread, a: &Args, call: &HostCall) -> SysResult {
    let mut told = Told::new();
    host::call(call, &mut [Arg::Int(a.raw(0)), Arg::Bytes(&mut told.bytes), Arg::Bytes(&mut told.len)])?;
    told.tell(t, a.raw(1), a.raw(2))?;
    Ok(0)
}

/// `getsockname(fd, address, length)`.
pub(crate) fn getsockname(t: &mut Thread, a: &Args) -> SysResult {
    told_name(t, a, &host::GETSOCKNAME)
}

/// `getpeername(fd, address, length)`.
pub(crate) fn getpeername(t: &mut Thread, a: &Args) -> SysResult {
    told_name(t, a, &host::GETPEERNAME)
}

/// `recvfrom(fd, buffer, length, flags, address, address_length)`.
pub(crate) fn recvfrom(t: &mut Thread, a: &Args) -> SysResult {
    let mut told = Told::new();
    let wanted = a.raw(4) != 0;
    let (address, len) =
        if wanted { (Arg::Bytes(&mut told.bytes), Arg::Bytes(&mut told.len)) } else { (null(), null()) };
    let buffer = Arg::Guest(t.user().pointer(a.raw(1), a.raw(2).min(MOST_BYTES)));
    let mut args = [Arg::Int(a.raw(0)), buffer, Arg::Int(a.raw(2)), Arg::Int(a.raw(3)), address, len];
    let received = host::wait(&host::RECVFROM, &mut args)?;
    if wanted {
        told.tell(t, a.raw(4), a.raw(5))?;
    }
    Ok(received)
}

/// A message header for the host's kernel, and what it points to.
struct Message {
    header: MsgHdr,
    name: Named,
    /// Room for the sender's name.
    told: Told,
    vectors: Vec<u8>,
}

impl Message {
    /// Translates the header at `addr` for sending.
    fn sent(t: &Thread, addr: u64) -> Result<Self, Errno> {
        let guest: MsgHdr = t.user().get(addr)?;
        let name = Named::new(t, guest.name, guest.name_len, Last::Follow)?;
        Ok(Self { header: guest, name, told: Told::new(), vectors: vectors(t, &guest) })
    }

    /// Translates the header at `addr` for receiving.
    fn received(t: &Thread, addr: u64) -> Result<Self, Errno> {
        let guest: MsgHdr = t.user().get(addr)?;
        let name = Named::plain(Address::As(guest.name));
        Ok(Self { header: guest, name, told: Told::new(), vectors: vectors(t, &guest) })
    }

    /// The header with the host's addresses. They are good while the message is neither moved nor changed.
    fn host(&mut self, t: &Thread, receives: bool) -> MsgHdr {
        let guest = self.header;
        let (name, name_len) = match &mut self.name.address {
            // A length that is negative is the kernel's to refuse.
            Address::As(0) => (0, guest.name_len),
            Address::As(_) if receives && guest.name_len as i32 >= 0 => {
                (self.told.bytes.as_mut_ptr() as u64, LONGEST as u32)
            }
            Address::As(addr) => (t.user().pointer(*addr, guest.name_len.into()).get(), guest.name_len),
            Address::Bytes(bytes) => (bytes.as_mut_ptr() as u64, bytes.len() as u32),
        };
        let iov = if self.vectors.is_empty() {
            // Nothing to read, or something that the kernel has to find fault with.
            t.user().pointer(u64::MAX, 1).get()
        } else {
            self.vectors.as_mut_ptr() as u64
        };
        let control = t.user().pointer(guest.control, guest.control_len).get();
        MsgHdr { name, name_len, iov, control, ..guest }
    }

    /// Tells the guest what has been received: the sender, and the header's lengths and flags.
    fn tell(&mut self, t: &Thread, addr: u64, host: &MsgHdr) -> Result<(), Errno> {
        let mut guest = self.header;
        if guest.name != 0 {
            self.told.len = host.name_len.to_le_bytes();
            let bytes = self.told.guest_bytes(t);
            t.user().put_bytes(guest.name, &bytes[..bytes.len().min(guest.name_len as usize)])?;
            guest.name_len = bytes.len() as u32;
        }
        guest.flags = host.flags;
        guest.control_len = host.control_len;
        t.user().put(addr, &guest)
    }
}

/// The buffers of a message, translated; none if there are too many or they cannot be read.
fn vectors(t: &Thread, guest: &MsgHdr) -> Vec<u8> {
    if guest.iov_len > MOST_VECTORS {
        return Vec::new();
    }
    let bytes = t.user().bytes(guest.iov, guest.iov_len as usize * IoVec::SIZE).unwrap_or_default();
    bytes.chunks_exact(IoVec::SIZE).flat_map(|one| host_vector(t, &IoVec::decode(one)).encode()).collect()
}

/// A buffer where the host has it.
pub(crate) fn host_vector(k: &Kernel, one: &IoVec) -> IoVec {
    IoVec { base: k.user().pointer(one.base, one.len).get(), len: one.len }
}

/// `sendmsg(fd, message, flags)`.
pub(crate) fn sendmsg(t: &mut Thread, a: &Args) -> SysResult {
    let Ok(mut message) = Message::sent(t, a.raw(1)) else { return faulty(t, a, &host::SENDMSG) };
    let mut header = message.host(t, false).encode();
    Ok(host::wait(&host::SENDMSG, &mut [Arg::Int(a.raw(0)), Arg::Bytes(&mut header), Arg::Int(a.raw(2))])?)
}

/// `recvmsg(fd, message, flags)`.
pub(crate) fn recvmsg(t: &mut Thread, a: &Args) -> SysResult {
    let Ok(mut message) = Message::received(t, a.raw(1)) else { return faulty(t, a, &host::RECVMSG) };
    let mut header = message.host(t, true).encode();
    let args = &mut [Arg::Int(a.raw(0)), Arg::Bytes(&mut header), Arg::Int(a.raw(2))];
    let received = host::wait(&host::RECVMSG, args)?;
    message.tell(t, a.raw(1), &MsgHdr::decode(&header))?;
    Ok(received)
}

/// Lets the kernel find what is wrong with the call, at the latest that its message cannot be read.
fn faulty(t: &Thread, a: &Args, call: &HostCall) -> SysResult {
    let nowhere = Arg::Guest(t.user().pointer(u64::MAX, 1));
    Ok(host::wait(call, &mut [Arg::Int(a.raw(0)), nowhere, Arg::Int(a.raw(2))])?)
}

/// Translates up to `count` headers at `addr`, those before the first that cannot be read.
fn messages(
    t: &Thread,
    addr: u64,
    count: u32,
    translate: fn(&Thread, u64) -> Result<Message, Errno>,
) -> Result<Vec<Message>, Errno> {
    let mut messages = Vec::new();
    for index in 0..count.min(MOST_VECTORS as u32) {
        match translate(t, message_at(addr, index as usize)) {
            Ok(message) => messages.push(message),
            Err(errno) if index == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(messages)
}

fn message_at(addr: u64, index: usize) -> u64 {
    addr.wrapping_add((index * MMsgHdr::SIZE) as u64)
}

fn headers(t: &Thread, messages: &mut [Message], receives: bool) -> Vec<u8> {
    let header = |message: &mut Message| MMsgHdr { header: message.host(t, receives), len: 0, pad: 0 }.encode();
    messages.iter_mut().flat_map(header).collect()
}

/// `sendmmsg(fd, messages, count, flags)`.
pub(crate) fn sendmmsg(t: &mut Thread, a: &Args) -> SysResult {
    let mut messages = messages(t, a.raw(1), a.uint(2), Message::sent).unwrap_or_default();
    let mut array = headers(t, &mut messages, false);
    let count = if messages.is_empty() { a.raw(2) } else { messages.len() as u64 };
    let list = if messages.is_empty() { Arg::Guest(t.user().pointer(u64::MAX, 1)) } else { Arg::Bytes(&mut array) };
    let sent = host::wait(&host::SENDMMSG, &mut [Arg::Int(a.raw(0)), list, Arg::Int(count), Arg::Int(a.raw(3))])?;
    for (index, bytes) in array.chunks_exact(MMsgHdr::SIZE).take(sent as usize).enumerate() {
        let len = MMsgHdr::decode(bytes).len;
        t.user().put_bytes(message_at(a.raw(1), index) + MsgHdr::SIZE as u64, &len.to_le_bytes())?;
    }
    Ok(sent)
}

/// `recvmmsg(fd, messages, count, flags, timeout)`.
pub(crate) fn recvmmsg(t: &mut Thread, a: &Args) -> SysResult {
    let mut messages = messages(t, a.raw(1), a.uint(2), Message::received).unwrap_or_default();
    let mut array = headers(t, &mut messages, true);
    let count = if messages.is_empty() { a.raw(2) } else { messages.len() as u64 };
    let list = if messages.is_empty() { Arg::Guest(t.user().pointer(u64::MAX, 1)) } else { Arg::Bytes(&mut array) };
    let timeout = Arg::Guest(t.user().pointer(a.raw(4), 16));
    let mut args = [Arg::Int(a.raw(0)), list, Arg::Int(count), Arg::Int(a.raw(3)), timeout];
    let received = host::wait(&host::RECVMMSG, &mut args)?;
    for (index, (message, bytes)) in
        messages.iter_mut().zip(array.chunks_exact(MMsgHdr::SIZE)).take(received as usize).enumerate()
    {
        let host = MMsgHdr::decode(bytes);
        let addr = message_at(a.raw(1), index);
        message.tell(t, addr, &host.header)?;
        t.user().put_bytes(addr + MsgHdr::SIZE as u64, &host.len.to_le_bytes())?;
    }
    Ok(received)
}

// Options whose value holds an address (`linux/filter.h`, `asm-generic/socket.h`, `linux/netfilter_ipv4/ip_tables.h`,
// `linux/tcp.h`).
const SO_ATTACH_REUSEPORT_CBPF: i32 = 51;
const IPT_SO_SET_REPLACE: i32 = 64;
const TCP_ZEROCOPY_RECEIVE: i32 = 35;

/// `setsockopt(fd, level, option, value, length)`.
pub(crate) fn setsockopt(t: &mut Thread, a: &Args) -> SysResult {
    let (level, option) = (a.int(1), a.int(2));
    let args = |value, len| [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(a.raw(2)), value, Arg::Int(len)];
    let has_filter = level == libc::SOL_SOCKET && matches!(option, libc::SO_ATTACH_FILTER | SO_ATTACH_REUSEPORT_CBPF);
    if has_filter
        && a.int(4) as usize == SockFprog::SIZE
        && let Ok(program) = t.user().get::<SockFprog>(a.raw(3))
    {
        let filter = t.user().pointer(program.filter, 8 * u64::from(program.len)).get();
        let mut bytes = SockFprog { filter, ..program }.encode();
        return Ok(host::call(&host::SETSOCKOPT, &mut args(Arg::Bytes(&mut bytes), SockFprog::SIZE as u64))?);
    }
    // The table of a packet filter holds an address that is not at a fixed place.
    if option == IPT_SO_SET_REPLACE && matches!(level, libc::SOL_IP | libc::SOL_IPV6) {
        open_descriptor(a.raw(0))?;
        return Err(Errno::ENOPROTOOPT.into());
    }
    let len = if a.int(4) < 0 { 1 } else { a.raw(4) & 0xffff_ffff };
    let mut args = args(Arg::Guest(t.user().pointer(a.raw(3), len)), if a.int(4) < 0 { a.raw(4) } else { len });
    if a.int(4) < 0 {
        // The kernel looks at the length before it looks at the value.
        args[3] = null();
    }
    Ok(host::wait(&host::SETSOCKOPT, &mut args)?)
}

/// `getsockopt(fd, level, option, value, length)`.
pub(crate) fn getsockopt(t: &mut Thread, a: &Args) -> SysResult {
    if a.int(1) == libc::SOL_TCP && a.int(2) == TCP_ZEROCOPY_RECEIVE {
        // It would map memory behind the address space's back.
        return Err(Errno::ENOPROTOOPT.into());
    }
    let len =
        t.user().bytes(a.raw(4), 4).map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    // Filters are counted in instructions of 8 bytes.
    let unit = if a.int(1) == libc::SOL_SOCKET && a.int(2) == libc::SO_ATTACH_FILTER { 8 } else { 1 };
    let value = t.user().pointer(a.raw(3), if len as i32 > 0 { u64::from(len) * unit } else { 1 });
    let len = t.user().pointer(a.raw(4), 4);
    let mut args = [Arg::Int(a.raw(0)), Arg::Int(a.raw(1)), Arg::Int(a.raw(2)), Arg::Guest(value), Arg::Guest(len)];
    Ok(host::call(&host::GETSOCKOPT, &mut args)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets of `struct msghdr`, `struct mmsghdr` and `struct sock_fprog` on 64-bit systems.
    #[test]
    fn layouts_are_the_kernels() {
        assert_eq!((MsgHdr::SIZE, size_of::<libc::msghdr>()), (56, 56));
        assert_eq!(std::mem::offset_of!(MsgHdr, control), std::mem::offset_of!(libc::msghdr, msg_control));
        assert_eq!(std::mem::offset_of!(MsgHdr, flags), std::mem::offset_of!(libc::msghdr, msg_flags));
        assert_eq!((MMsgHdr::SIZE, size_of::<libc::mmsghdr>()), (64, 64));
        assert_eq!((SockFprog::SIZE, size_of::<libc::sock_fprog>()), (16, 16));
    }
}
