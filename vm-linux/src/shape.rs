//! [`Shape`]: what an argument of a system call is, said once for checking, for passing on and for tracing.

use crate::trace::names::Names;
use crate::trace::record::Record;

/// What an argument is. Numbers in parentheses are sizes in bytes or indices of other arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `int`.
    Int,
    /// `unsigned int`.
    Uint,
    /// A size, or another number of the register's width.
    Size,
    /// `loff_t`, or another signed 64-bit number.
    Long,
    /// A number that reads best in hexadecimal.
    Hex,
    /// File mode.
    Octal,
    /// File mode that counts only if the flags at this index create a file.
    OctalIf(u8),
    /// Flags.
    Flags(&'static Names),
    /// One of several numbers with names.
    One(&'static Names),
    /// Device number.
    Device,
    /// File descriptor.
    Fd,
    /// Directory descriptor, or `AT_FDCWD`.
    DirFd,
    /// Signal number.
    Signal,
    /// Guest address that is not followed.
    Addr,
    /// Guest memory whose length in bytes is the argument at this index, read by the kernel.
    In(u8),
    /// Guest memory whose length in bytes is the argument at this index, written by the kernel.
    Out(u8),
    /// Guest memory of as many bytes as the argument at the second index says, after a header of the first number of
    /// bytes.
    Framed(u8, u8),
    /// Guest pages whose length in bytes is the argument at this index; their content is not touched.
    Range(u8),
    /// Guest memory of this many bytes, read or written by the kernel.
    Ptr(u16),
    /// As many elements of this many bytes as the argument at the index says.
    Array(u8, u8),
    /// A set of as many bits as the argument at this index says, in 64-bit words.
    Bits(u8),
    /// A structure that the kernel reads.
    Get(Record),
    /// A structure that the kernel writes.
    Put(Record),
    /// A structure that the kernel reads and writes.
    Update(Record),
    /// As many structures as the argument at the index says, read by the kernel.
    GetMany(Record, u8),
    /// As many structures as the argument at the index says, written by the kernel.
    PutMany(Record, u8),
    /// A socket's address whose length in bytes is the argument at this index.
    SockAddr(u8),
    /// A socket's address that the kernel writes; the argument at this index points to its length.
    SockAddrOut(u8),
    /// File name; a symbolic link in its last part is followed.
    Path,
    /// File name; a symbolic link in its last part is the file meant.
    PathNoFollow,
    /// File name; its last part is followed unless the argument at this index has `AT_SYMLINK_NOFOLLOW`.
    PathUnless(u8),
    /// File name; its last part is followed if the argument at this index has `AT_SYMLINK_FOLLOW`.
    PathIf(u8),
    /// Name of a file that is made, removed or moved: its last part is never followed.
    Name,
    /// Another string.
    Str,
    /// Nothing: the call does not look at the argument.
    Unused,
}

impl Shape {
    /// Whether the argument is an address that the kernel follows or looks at.
    pub(crate) const fn is_pointer(self) -> bool {
        match self {
            Self::Int
            | Self::Uint
            | Self::Size
            | Self::Long
            | Self::Hex
            | Self::Octal
            | Self::OctalIf(_)
            | Self::Flags(_)
            | Self::One(_)
            | Self::Device
            | Self::Fd
            | Self::DirFd
            | Self::Signal
            | Self::Addr
            | Self::Unused => false,
            Self::In(_)
            | Self::Out(_)
            | Self::Framed(..)
            | Self::Range(_)
            | Self::Ptr(_)
            | Self::Array(..)
            | Self::Bits(_)
            | Self::Get(_)
            | Self::Put(_)
            | Self::Update(_)
            | Self::GetMany(..)
            | Self::PutMany(..)
            | Self::SockAddr(_)
            | Self::SockAddrOut(_)
            | Self::Path
            | Self::PathNoFollow
            | Self::PathUnless(_)
            | Self::PathIf(_)
            | Self::Name
            | Self::Str => true,
        }
    }

    /// Whether the argument is a string that ends with a zero.
    pub(crate) const fn is_string(self) -> bool {
        matches!(self, Self::Path | Self::PathNoFollow | Self::PathUnless(_) | Self::PathIf(_) | Self::Name | Self::Str)
    }

    /// Bytes that the argument's pointer covers, given all arguments; a string counts as one.
    pub(crate) fn len(self, args: &[u64; 6]) -> u64 {
        // Counts are `int` or `unsigned int` wherever arrays are passed; the kernel bounds them.
        let count = |index: u8| u64::from(args[usize::from(index)] as u32);
        match self {
            Self::In(index) | Self::Out(index) | Self::Range(index) => args[usize::from(index)],
            Self::Framed(header, index) => args[usize::from(index)].saturating_add(header.into()),
            Self::SockAddr(index) => count(index),
            Self::Ptr(size) => size.into(),
            Self::Array(size, index) => u64::from(size) * count(index),
            Self::Bits(index) => args[usize::from(index)].div_ceil(64).saturating_mul(8),
            Self::Get(record) | Self::Put(record) | Self::Update(record) => record.size(),
            Self::GetMany(record, index) | Self::PutMany(record, index) => record.size() * count(index),
            Self::Int
            | Self::Uint
            | Self::Size
            | Self::Long
            | Self::Hex
            | Self::Octal
            | Self::OctalIf(_)
            | Self::Flags(_)
            | Self::One(_)
            | Self::Device
            | Self::Fd
            | Self::DirFd
            | Self::Signal
            | Self::Addr
            | Self::Unused => 0,
            // The kernel bounds an address by the length that it reads itself.
            Self::SockAddrOut(_)
            | Self::Path
            | Self::PathNoFollow
            | Self::PathUnless(_)
            | Self::PathIf(_)
            | Self::Name
            | Self::Str => 1,
        }
    }
}
