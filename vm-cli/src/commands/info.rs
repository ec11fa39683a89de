//! `tradux info`.

use std::io::{self, Write};

use anyhow::Result;
use clap::ValueEnum;
use vm_cross_arch_support::registry;

use crate::args::Host;

/// Prints what this build knows.
pub(crate) fn run() -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "tradux {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "host      {} ({})", std::env::consts::ARCH, std::env::consts::OS)?;
    let hosts = Host::value_variants().iter().map(|host| host.name());
    let targets: Vec<&str> = hosts.filter(|host| vm_engine::has_host(host)).collect();
    writeln!(out, "targets   {}", targets.join(" "))?;
    for guest in registry::GUESTS {
        let names: Vec<&str> = guest.extensions().iter().map(|extension| extension.name).collect();
        writeln!(out, "guest     {}: {}", guest.arch(), names.join(" "))?;
        writeln!(out, "          shown to programs as {}", guest.isa_text(guest.all_extensions()))?;
    }
    Ok(())
}
