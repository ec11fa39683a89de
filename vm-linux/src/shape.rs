//! [`Shape`]: what an argument of a system call is, said once for checking, for passing on and for tracing.

/// What an argument is. Numbers in parentheses are sizes in bytes or indices of other arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `int`.
    Int,
    /// `unsigned int`, or a size.
    Size,
    /// `loff_t`, or another signed 64-bit number.
    Long,
    /// Flags and commands.
    Hex,
    /// File mode.
    Octal,
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
    /// Guest pages whose length in bytes is the argument at this index; their content is not touched.
    Range(u8),
    /// Guest memory of this many bytes, read or written by the kernel.
    Ptr(u16),
    /// As many elements of this many bytes as the argument at the index says.
    Array(u8, u8),
    /// File name; a symbolic link in its last part is followed.
    Path,
    /// File name; a symbolic link in its last part is the file meant.
    PathNoFollow,
    /// File name; its last part is followed unless the argument at this index has `AT_SYMLINK_NOFOLLOW`.
    PathUnless(u8),
    /// Another string.
    Str,
}

impl Shape {
    /// Whether the argument is an address that the kernel follows or looks at.
    pub(crate) const fn is_pointer(self) -> bool {
        match self {
            Self::Int
            | Self::Size
            | Self::Long
            | Self::Hex
            | Self::Octal
            | Self::Fd
            | Self::DirFd
            | Self::Signal
            | Self::Addr => false,
            Self::In(_)
            | Self::Out(_)
            | Self::Range(_)
            | Self::Ptr(_)
            | Self::Array(..)
            | Self::Path
            | Self::PathNoFollow
            | Self::PathUnless(_)
            | Self::Str => true,
        }
    }

    /// Bytes that the argument's pointer covers, given all arguments; a string counts as one.
    pub(crate) fn len(self, args: &[u64; 6]) -> u64 {
        match self {
            Self::In(index) | Self::Out(index) | Self::Range(index) => args[usize::from(index)],
            Self::Ptr(size) => size.into(),
            // Counts are `int` or `unsigned int` wherever arrays are passed; the kernel bounds them.
            Self::Array(size, index) => u64::from(size) * u64::from(args[usize::from(index)] as u32),
            Self::Int
            | Self::Size
            | Self::Long
            | Self::Hex
            | Self::Octal
            | Self::Fd
            | Self::DirFd
            | Self::Signal
            | Self::Addr => 0,
            Self::Path | Self::PathNoFollow | Self::PathUnless(_) | Self::Str => 1,
        }
    }
}
