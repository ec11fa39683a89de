//! [`Errno`]: the kernel's error numbers, which all guests share with all hosts (`asm-generic/errno.h`).

use std::fmt;

/// An error number of a system call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident)*) => {
        impl Errno {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Self = Self(libc::$name);)*

            /// The kernel's name of the number; `None` for a number that has none.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                $(if self == Self::$name { return Some(stringify!($name)); })*
                None
            }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST
    EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM
    ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ENOMSG EIDRM ENODATA ETIME EPROTO EBADMSG EOVERFLOW
    EILSEQ EUSERS ELIBBAD ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP
    EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS
    EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE
    EDQUOT ECANCELED EOWNERDEAD ENOTRECOVERABLE EHWPOISON
}

impl Errno {
    /// The call was not made, for a signal is to be delivered first; it is made afterwards. The kernel's `ERESTARTSYS`,
    /// which it shows to no program either.
    pub const NOT_MADE: Self = Self(512);

    /// The error with this number, a positive one.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// What a system call returns for it: the negated number.
    #[must_use]
    pub const fn as_return(self) -> u64 {
        (-(self.0 as i64)) as u64
    }

    /// The C library's sentence for it.
    #[must_use]
    pub fn text(self) -> String {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        match text.rfind(" (os error") {
            Some(end) => text[..end].to_owned(),
            None => text,
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<std::io::Error> for Errno {
    /// The number of an operating-system error; an error that has none is an input-output error.
    fn from(error: std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from `asm-generic/errno-base.h` and `asm-generic/errno.h`.
    #[test]
    fn numbers_are_the_generic_ones() {
        for (errno, number, name) in [
            (Errno::ENOENT, 2, "ENOENT"),
            (Errno::EFAULT, 14, "EFAULT"),
            (Errno::EINVAL, 22, "EINVAL"),
            (Errno::ERANGE, 34, "ERANGE"),
            (Errno::ENOSYS, 38, "ENOSYS"),
            (Errno::EOVERFLOW, 75, "EOVERFLOW"),
            (Errno::ETIMEDOUT, 110, "ETIMEDOUT"),
            (Errno::EHWPOISON, 133, "EHWPOISON"),
        ] {
            assert_eq!((errno.get(), errno.name()), (number, Some(name)));
        }
        assert_eq!(Errno::ENOENT.as_return() as i64, -2);
        assert_eq!(Errno::ENOENT.text(), "No such file or directory");
        assert_eq!(Errno::new(4000).to_string(), "errno 4000");
    }
}
