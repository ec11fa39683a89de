//! `tradux info`.

use std::io::{self, Write};

use anyhow::Result;
use vm_cross_arch_support::registry;

/// Prints what this build knows.
pub(crate) fn run() -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "tradux {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "host      {} ({})", std::env::consts::ARCH, std::env::consts::OS)?;
    for guest in registry::GUESTS {
        let names: Vec<&str> = guest.extensions().iter().map(|extension| extension.name).collect();
        writeln!(out, "guest     {}: {}", guest.arch(), names.join(" "))?;
        writeln!(out, "          shown to programs as {}", guest.isa_text(guest.all_extensions()))?;
    }
    Ok(())
}
