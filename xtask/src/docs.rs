//! Prints the pages under `docs/generated` from the tables that the code itself uses. The page of system calls is not
//! here: a test of `vm-linux` holds it to its table, which this program would have to build the whole engine for.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, bail};
use clap::Args;
use vm_cross_arch_support::registry::GUESTS;
use vm_ir::{AttrKind, Effect, ImmKind, Jit, Op, OpInfo, Sig, Type};

use crate::report::Tally;
use crate::workspace::Workspace;

/// Options of `cargo xtask docs`.
#[derive(Args)]
pub(crate) struct Options {
    /// Print only this page: ops or guests
    page: Option<String>,
    /// Write the pages to docs/generated in place of printing them
    #[arg(long)]
    write: bool,
}

/// A page's name and how it is printed.
type Page = (&'static str, fn() -> String);

const PAGES: &[Page] = &[("ops", ops), ("guests", guests)];

/// Prints or writes the chosen pages.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let chosen: Vec<&Page> =
        PAGES.iter().filter(|(name, _)| options.page.as_deref().is_none_or(|wanted| wanted == *name)).collect();
    if chosen.is_empty() {
        bail!(
            "there is no such page; the pages are {}",
            PAGES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        );
    }
    for (name, print) in chosen {
        let text = print();
        if options.write {
            let path = path(workspace, name);
            fs::create_dir_all(workspace.root.join("docs/generated"))?;
            fs::write(&path, text)?;
            println!("wrote {}", workspace.shown(&path));
        } else {
            print!("{text}");
        }
    }
    Ok(true)
}

/// Whether every committed page is what its table prints.
pub(crate) fn check(workspace: &Workspace) -> Tally {
    let mut tally = Tally::default();
    for (name, print) in PAGES {
        tally.count(match fs::read_to_string(path(workspace, name)) {
            Ok(committed) if committed == print() => Ok(()),
            Ok(_) => Err(format!("docs/generated/{name}.md is out of date: run cargo xtask docs --write")),
            Err(error) => Err(format!("docs/generated/{name}.md: {error}")),
        });
    }
    tally
}

fn path(workspace: &Workspace, name: &str) -> std::path::PathBuf {
    workspace.root.join("docs/generated").join(name).with_extension("md")
}

/// The table of IR ops.
fn ops() -> String {
    let mut text = String::from(
        "# IR ops\n\nPrinted by `cargo xtask docs --write` from the table in `vm-ir/src/ops.rs`. T is the type an op is written with, \
         U the operand type where it differs.\n\n| op | signature | T | effect | attribute | immediate | generated code | meaning |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for op in Op::ALL {
        let info = op.info();
        let meaning = info.doc.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let line = format!(
            "| `{}` | {} | {} | {} | {} | {} | {} | {meaning} |",
            info.name,
            signature(info),
            types(info),
            effect(info.effect),
            attribute(info.attr),
            immediate(info.imm),
            generated(info.jit),
        );
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn signature(info: &OpInfo) -> String {
    let arguments: Vec<String> = info.args.iter().map(|&sig| operand(sig)).collect();
    let result = info.result.map_or_else(String::new, |sig| format!(" → {}", operand(sig)));
    format!("({}){result}", arguments.join(", "))
}

fn operand(sig: Sig) -> String {
    match sig {
        Sig::T => "T".into(),
        Sig::U => "U".into(),
        Sig::Is(ty) => ty.to_string(),
    }
}

fn types(info: &OpInfo) -> String {
    let list = |types: &[Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match info.from.is_empty() {
        true => list(info.types),
        false => format!("{}; U: {}", list(info.types), list(info.from)),
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Pure => "pure",
        Effect::FpFlags => "fpflags",
        Effect::ReadsSlot => "reads a slot",
        Effect::WritesSlot => "writes a slot",
        Effect::ReadsFpFlags => "reads fpflags",
        Effect::WritesFpFlags => "writes fpflags",
        Effect::WritesMode => "writes the mode",
        Effect::Reads => "reads, faults",
        Effect::Writes => "writes, faults",
        Effect::ReadsWrites => "reads and writes, faults",
        Effect::Orders => "orders accesses",
        Effect::Calls => "as its helper declares",
        Effect::Leaves => "may leave",
    }
}

fn attribute(attribute: AttrKind) -> &'static str {
    match attribute {
        AttrKind::None => "",
        AttrKind::Fp => "rounding, NaN rule",
        AttrKind::FpMinMax => "NaN rule, min/max rule",
        AttrKind::FpToInt => "rounding, overflow rule",
        AttrKind::FpFromInt => "rounding",
        AttrKind::Signaling => "signaling",
        AttrKind::Order => "order",
        AttrKind::Rmw => "operation, order",
        AttrKind::Fence => "fence kind",
        AttrKind::Trap => "trap kind",
        AttrKind::Vector => "family, lanes",
    }
}

fn immediate(immediate: ImmKind) -> &'static str {
    match immediate {
        ImmKind::None => "",
        ImmKind::Bits => "bits",
        ImmKind::PcOffset => "pc offset",
        ImmKind::Slot => "slot",
        ImmKind::Displacement => "displacement",
        ImmKind::Helper => "helper",
        ImmKind::Lane => "lane",
    }
}

fn generated(jit: Jit) -> &'static str {
    match jit {
        Jit::Inline => "inline",
        Jit::InlineNearest => "inline when rounding to nearest",
        Jit::InlineTruncating => "inline when truncating",
        Jit::MayCall => "may call",
    }
}

/// Every guest's extensions and instructions.
fn guests() -> String {
    let mut text = String::from(
        "# Guests\n\nPrinted by `cargo xtask docs --write` from the tables in `vm-cross-arch-support`. A picture shows an instruction's bits \
         from left to right as the manual prints them, a letter a field.\n",
    );
    for guest in GUESTS {
        let extensions: Vec<&str> = guest.extensions().iter().map(|extension| extension.name).collect();
        let rows: Vec<_> = guest.table().into_iter().flat_map(|table| table.rows()).collect();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\nExtensions: {}. {} instructions.\n\n| instruction | operands | picture | manual |\n|---|---|---|---|\n",
            guest.arch(),
            extensions.join(", "),
            rows.len()
        );
        for row in rows {
            let _ =
                writeln!(text, "| `{}` | {} | `{}` | {} |", row.name, row.operands, row.pattern.picture(), row.manual);
        }
    }
    text
}
