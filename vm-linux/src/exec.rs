//! What is run when a file is executed: the file itself, or the interpreter that its first line names (`execve(2)`,
//! "Interpreter scripts").

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::elf::{ElfError, Image, ReadAt};
use crate::errno::Errno;
use crate::host::{self, Arg};
use crate::load::Executable;
use crate::process::LoadError;

/// Bytes at the start of a file that a kernel looks at (`BINPRM_BUF_SIZE`).
const LOOKED_AT: u64 = 256;
/// Files that are looked at: interpreters of interpreters, and at last a program.
const DEPTH: usize = 6;
/// What guest addresses end below in the smallest address space that is used.
const LIMIT: u64 = 1 << 46;

/// Opens files that are to be executed, by the names that the guest has for them.
pub(crate) trait Open {
    /// Opens the file `name` for reading.
    ///
    /// # Errors
    /// What the host's kernel says.
    fn open(&self, name: &CStr) -> io::Result<File>;

    /// What usually helps if an interpreter is not there.
    fn hint(&self) -> &'static str;
}

/// A program of the guest, with everything that is needed to load it.
pub(crate) struct Found {
    pub(crate) program: Executable,
    /// The program that links it at run time.
    pub(crate) interpreter: Option<Executable>,
    /// The name that it was executed by.
    pub(crate) name: Vec<u8>,
    pub(crate) args: Vec<Vec<u8>>,
}

impl Found {
    /// The name that it was executed by, as a path.
    pub(crate) fn path(&self) -> PathBuf {
        OsString::from_vec(self.name.clone()).into()
    }
}

impl Target {
    /// The arguments that it is given.
    pub(crate) fn args(&self) -> &[Vec<u8>] {
        match self {
            Self::Guest(found) => &found.args,
            Self::Foreign { args, .. } => args,
        }
    }
}

/// What a file turned out to be.
pub(crate) enum Target {
    /// A program of the guest.
    Guest(Box<Found>),
    /// Something else, which the host's kernel may know how to run: the file that has to be executed, and its arguments.
    Foreign {
        /// The file.
        file: File,
        /// What is wrong with it as a program of the guest.
        error: LoadError,
        /// Its arguments.
        args: Vec<Vec<u8>>,
    },
}

/// Looks at `file`, which is executed by the name `name` with the arguments `args`, and at what it leads to.
///
/// A script is no program if its name stands for a descriptor that is closed before the interpreter could open it.
///
/// # Errors
/// [`LoadError`], with the file named that is at fault.
pub(crate) fn find(
    opener: &dyn Open,
    mut file: File,
    name: Vec<u8>,
    mut args: Vec<Vec<u8>>,
    by_closing_descriptor: bool,
) -> Result<Target, LoadError> {
    let mut looked_at = name.clone();
    let path = |name: &[u8]| PathBuf::from(OsString::from_vec(name.to_vec()));
    for _ in 0..DEPTH {
        check(&file, &path(&looked_at))?;
        let failed = |source| LoadError::Open { path: path(&looked_at), source };
        let mut start = vec![0; file.length().map_err(failed)?.min(LOOKED_AT) as usize];
        file.read_at(&mut start, 0).map_err(failed)?;
        if !start.starts_with(b"#!") {
            return target(opener, file, name, &path(&looked_at), args);
        }
        if by_closing_descriptor && looked_at == name {
            let source = io::Error::from_raw_os_error(libc::ENOENT);
            return Err(LoadError::Open { path: path(&looked_at), source });
        }
        let script = script(&start).ok_or_else(|| LoadError::NotExecutable { path: path(&looked_at) })?;
        // The script's name takes the place of the first argument.
        let rest = args.into_iter().skip(1);
        args = [script.interpreter.to_bytes().to_vec()]
            .into_iter()
            .chain(script.argument)
            .chain([looked_at.clone()])
            .chain(rest)
            .collect();
        if script.interpreter.is_empty() {
            // The kernel finds the working directory by that name.
            return Err(LoadError::NotAFile { path: path(&looked_at) });
        }
        file = open_interpreter(opener, &script.interpreter, &path(&looked_at))?;
        looked_at = script.interpreter.into_bytes();
    }
    Err(LoadError::TooManyInterpreters { path: path(&name) })
}

fn target(
    opener: &dyn Open,
    file: File,
    name: Vec<u8>,
    path: &std::path::Path,
    args: Vec<Vec<u8>>,
) -> Result<Target, LoadError> {
    let elf = |source| LoadError::Elf { path: path.to_owned(), source };
    let image = match Image::parse(&file, LIMIT) {
        Ok(image) => image,
        Err(source @ (ElfError::NotElf | ElfError::WrongMachine { .. } | ElfError::WrongClass { .. })) => {
            return Ok(Target::Foreign { file, error: elf(source), args });
        }
        Err(source) => return Err(elf(source)),
    };
    let interpreter = match &image.interpreter {
        None => None,
        Some(wanted) => {
            let file = open_interpreter(opener, wanted, path)?;
            let at = PathBuf::from(OsString::from_vec(wanted.to_bytes().to_vec()));
            check(&file, &at)?;
            let bad = |source| LoadError::BadInterpreter { path: path.to_owned(), interpreter: at, source };
            let image = Image::parse(&file, LIMIT).map_err(bad)?;
            Some(Executable::new(file, image))
        }
    };
    Ok(Target::Guest(Box::new(Found { program: Executable::new(file, image), interpreter, name, args })))
}

fn open_interpreter(opener: &dyn Open, name: &CStr, path: &std::path::Path) -> Result<File, LoadError> {
    opener.open(name).map_err(|source| LoadError::Interpreter {
        path: path.to_owned(),
        interpreter: OsString::from_vec(name.to_bytes().to_vec()).into(),
        source,
        hint: opener.hint(),
    })
}

/// Whether a kernel would execute the file at all: a regular one, with a permission to execute it, open for writing
/// nowhere.
fn check(file: &File, path: &std::path::Path) -> Result<(), LoadError> {
    let failed = |source| LoadError::Open { path: path.to_owned(), source };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(LoadError::NotAFile { path: path.to_owned() });
    }
    let fd = Arg::Int(file.as_raw_fd() as u64);
    let flags = Arg::Int((libc::AT_EMPTY_PATH | libc::AT_EACCESS) as u64);
    host::call(&host::FACCESSAT2, &mut [fd, Arg::Str(c""), Arg::Int(libc::X_OK as u64), flags])
        .map(drop)
        .map_err(|errno| failed(io::Error::from_raw_os_error(errno.get())))
}

/// Whether `file` is open for writing somewhere, as far as the host tells this user: then a kernel does not execute it.
pub(crate) fn is_being_written(file: &File) -> bool {
    let lease = |kind: i32| {
        let fd = Arg::Int(file.as_raw_fd() as u64);
        host::call(&host::FCNTL, &mut [fd, Arg::Int(libc::F_SETLEASE as u64), Arg::Int(kind as u64)])
    };
    match lease(libc::F_RDLCK) {
        Ok(_) => {
            let _ = lease(libc::F_UNLCK);
            false
        }
        Err(errno) => errno == Errno::EAGAIN,
    }
}

/// The first line of a script.
struct Script {
    interpreter: CString,
    argument: Option<Vec<u8>>,
}

/// Reads the line after `#!` as the kernel's `load_script`, which looks at a buffer that zeros fill up: the interpreter's
/// name, then all the rest as one argument. The name may be empty.
fn script(start: &[u8]) -> Option<Script> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let ends = |byte: &u8| blank(byte) || *byte == 0;
    let text = |bytes: &[u8]| bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let mut buffer = [0; LOOKED_AT as usize];
    buffer[..start.len()].copy_from_slice(start);
    let behind = &buffer[2..];
    let line = match behind.iter().position(|byte| *byte == b'\n') {
        Some(end) => &behind[..end],
        // Without an end the name may have been cut, unless something ends it.
        None => {
            let name = behind.iter().position(|byte| !blank(byte))?;
            behind[name..].iter().any(ends).then_some(&behind[..behind.len() - 1])?
        }
    };
    let line = &line[..line.iter().rposition(|byte| !blank(byte))? + 1];
    let line = &line[line.iter().position(|byte| !blank(byte))?..];
    let end = line.iter().position(ends).unwrap_or(line.len());
    let rest = line[end..].first().filter(|byte| blank(byte)).map(|_| &line[end..]);
    let argument = rest.and_then(|rest| Some(text(&rest[rest.iter().position(|byte| !blank(byte))?..])));
    Some(Script { interpreter: CString::new(&line[..end]).ok()?, argument })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `execve(2)`, "Interpreter scripts".
    #[test]
    fn first_lines_are_read_as_the_kernel_reads_them() {
        let long = [b"#!/bin/".as_slice(), &[b'x'; 300]].concat();
        // Interpreter and argument, if there is one; or nothing.
        let cases: [(&[u8], &[&str]); 14] = [
            (b"#!/bin/sh\n", &["/bin/sh"]),
            (b"#!/bin/sh", &["/bin/sh"]),
            (b"#! \t/bin/sh \t\necho", &["/bin/sh"]),
            (b"#!/usr/bin/env python3 -u\n", &["/usr/bin/env", "python3 -u"]),
            (b"#!/bin/awk\t-f \n", &["/bin/awk", "-f"]),
            (b"#!\n/bin/sh\n", &[]),
            (b"#!   \n", &[]),
            (&long[..256], &[]),
            (b"#!", &[""]),
            (b"#! \t", &[""]),
            (b"#!\0\n", &[""]),
            (b"#!/bin/sh a\0b\n", &["/bin/sh", "a"]),
            (b"#!/bin/sh\0 a\n", &["/bin/sh"]),
            (b"#!\r/bin/sh\r\n", &["\r/bin/sh\r"]),
        ];
        for (bytes, expected) in cases {
            let found: Vec<String> = script(bytes).map_or_else(Vec::new, |script| {
                let argument = script.argument.map(|text| String::from_utf8(text).unwrap());
                [script.interpreter.into_string().unwrap()].into_iter().chain(argument).collect()
            });
            assert_eq!(found, expected, "{}", bytes.escape_ascii());
        }
    }
}
