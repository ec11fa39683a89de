//! Links `tradux` statically where the C library offers that: starting and forking it costs less without shared libraries.
//!
//! Asking for `crt-static` would do it too, but for the whole build, in which procedural macros are shared libraries. So
//! the linker alone is told: it finds archives under the names of the libraries that the standard library asks for. ASLR
//! stays (`-static-pie`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What the standard library and the C library's crate link against, and the archive that has it.
const LIBRARIES: [(&str, &str); 7] = [
    ("gcc_s", "libgcc_eh.a"),
    ("c", "libc.a"),
    ("m", "libm.a"),
    ("pthread", "libpthread.a"),
    ("dl", "libdl.a"),
    ("rt", "librt.a"),
    ("util", "libutil.a"),
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let var = |name: &str| env::var(name).unwrap_or_default();
    let is_own = var("TARGET") == var("HOST") && var("CARGO_CFG_TARGET_OS") == "linux";
    let features = var("CARGO_CFG_TARGET_FEATURE");
    if !is_own || var("CARGO_CFG_TARGET_ENV") != "gnu" || features.split(',').any(|feature| feature == "crt-static") {
        return Ok(());
    }
    let folder = PathBuf::from(var("OUT_DIR")).join("static");
    fs::create_dir_all(&folder)?;
    for (name, archive) in LIBRARIES {
        // Without development files of the C library the program is linked as others are.
        let Some(archive) = find(archive) else { return Ok(()) };
        fs::write(folder.join(format!("lib{name}.a")), format!("INPUT({})\n", archive.display()))?;
    }
    println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    println!("cargo::rustc-link-arg-bins=-static-pie");
    if c_library_version().is_some_and(|version| version >= PACKED_RELOCATIONS) {
        // Relocations take a bit each in place of 24 bytes that are read at every start.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// The first version of the GNU C library whose start code understands packed relocations. Linkers of older systems make
/// them all the same.
const PACKED_RELOCATIONS: (u32, u32) = (2, 36);

/// The version of the C library, as `getconf(1)` says it.
fn c_library_version() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where the C compiler finds a library; `None` if it does not.
fn find(library: &str) -> Option<PathBuf> {
    let output = Command::new("cc").arg(format!("-print-file-name={library}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (path.is_absolute() && Path::new(&path).exists()).then_some(path)
}
