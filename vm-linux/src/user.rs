//! [`User`]: guest pointers. Every handler reaches guest memory through it and nothing else.

use std::ffi::CString;

use vm_core::{Access, GuestAddr};
use vm_mem::AddressSpace;

use crate::errno::Errno;
use crate::host::GuestPtr;
use crate::layout::Layout;

/// Longest file name with its end, as the kernel has it (`PATH_MAX`).
pub(crate) const PATH_MAX: usize = 4096;

/// Guest memory as a kernel sees its user's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User<'a>(pub(crate) &'a AddressSpace);

impl User<'_> {
    /// The `len` bytes at `addr`, to be handed to the host's kernel, which reads or writes them; never fails here (see
    /// [`GuestPtr::new`]). A stack grows to them, as it does when a kernel accesses them.
    pub(crate) fn pointer(self, addr: u64, len: u64) -> GuestPtr {
        if len > 0 {
            self.0.touch(GuestAddr::new(addr));
        }
        let view = self.0.view();
        GuestPtr::new(view.base, view.limit, addr, len)
    }

    /// The same for pages whose content the host's kernel leaves alone.
    pub(crate) fn range(self, addr: u64, len: u64) -> GuestPtr {
        let view = self.0.view();
        GuestPtr::pages(view.base, view.limit, addr, len)
    }

    /// Copies `len` bytes in.
    ///
    /// # Errors
    /// `EFAULT` if one of them cannot be read.
    pub(crate) fn bytes(self, addr: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; len];
        self.fill(addr, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies as many bytes in as `bytes` holds.
    ///
    /// # Errors
    /// `EFAULT` if one of them cannot be read.
    pub(crate) fn fill(self, addr: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        match self.0.copy_in(GuestAddr::new(addr), bytes) {
            (_, None) => Ok(()),
            (_, Some(_)) => Err(Errno::EFAULT),
        }
    }

    /// Whether the string at `addr` can be read and is empty.
    pub(crate) fn is_empty_string(self, addr: u64) -> bool {
        let mut first = [1];
        self.fill(addr, &mut first).is_ok() && first == [0]
    }

    /// Copies up to `len` bytes in, as many as can be read.
    pub(crate) fn some_bytes(self, addr: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let (count, _) = self.0.copy_in(GuestAddr::new(addr), &mut bytes);
        bytes.truncate(count);
        bytes
    }

    /// How many of the `len` bytes at `addr`, from the first on, can be written, as far as permissions tell.
    pub(crate) fn writable(self, addr: u64, len: u64) -> u64 {
        self.0.accessible(GuestAddr::new(addr), len, Access::Write)
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// `EFAULT` if one of them cannot be written; earlier ones may have been.
    pub(crate) fn put_bytes(self, addr: u64, bytes: &[u8]) -> Result<(), Errno> {
        match self.0.copy_out(GuestAddr::new(addr), bytes) {
            (_, None) => Ok(()),
            (_, Some(_)) => Err(Errno::EFAULT),
        }
    }

    /// Copies a structure in.
    ///
    /// # Errors
    /// `EFAULT`.
    pub(crate) fn get<T: Layout>(self, addr: u64) -> Result<T, Errno> {
        T::read(|bytes| self.fill(addr, bytes))
    }

    /// Copies a structure out.
    ///
    /// # Errors
    /// `EFAULT`.
    pub(crate) fn put<T: Layout>(self, addr: u64, value: &T) -> Result<(), Errno> {
        value.lend(|bytes| self.put_bytes(addr, bytes))
    }

    /// Copies in a string of at most `max` bytes, its end included.
    ///
    /// # Errors
    /// `EFAULT` if it cannot be read to its end, `ENAMETOOLONG` if it has none within `max` bytes.
    pub(crate) fn string(self, addr: u64, max: usize) -> Result<CString, Errno> {
        const STEP: usize = 256;
        let mut text = Vec::new();
        let mut room = [0; STEP];
        while text.len() < max {
            let at = addr.wrapping_add(text.len() as u64);
            // Up to the end of a page: what follows a string need not be mapped.
            let step = (STEP - at as usize % STEP).min(max - text.len());
            let (count, _) = self.0.copy_in(GuestAddr::new(at), &mut room[..step]);
            let part = &room[..count];
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.reserve_exact(end + 1);
                text.extend_from_slice(&part[..=end]);
                return CString::from_vec_with_nul(text).map_err(|_| Errno::EFAULT);
            }
            if count < step {
                return Err(Errno::EFAULT);
            }
            text.extend_from_slice(part);
        }
        Err(Errno::ENAMETOOLONG)
    }
}

#[cfg(test)]
mod tests {
    use vm_core::Perms;
    use vm_mem::{MapRequest, Placement};

    use super::*;

    fn page() -> (AddressSpace, u64) {
        let space = AddressSpace::new(Placement::Reserved { size: 1 << 24 }).unwrap();
        let addr = space.map(MapRequest::anonymous(4096, Perms::READ | Perms::WRITE)).unwrap();
        (space, addr.get())
    }

    #[test]
    fn strings_end_where_memory_does() {
        let (space, page) = page();
        let user = User(&space);
        user.put_bytes(page + 4092, b"abc\0").unwrap();
        assert_eq!(user.string(page + 4092, PATH_MAX).unwrap().as_bytes(), b"abc");
        user.put_bytes(page + 4095, b"d").unwrap();
        assert_eq!(user.string(page + 4092, PATH_MAX), Err(Errno::EFAULT));
        user.put_bytes(page, &[b'x'; 4095]).unwrap();
        assert_eq!(user.string(page, 4000), Err(Errno::ENAMETOOLONG));
        assert_eq!(user.string(0, PATH_MAX), Err(Errno::EFAULT));
        assert_eq!(user.string(u64::MAX, PATH_MAX), Err(Errno::EFAULT));
    }
}
