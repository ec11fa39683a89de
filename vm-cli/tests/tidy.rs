//! What the whole workspace keeps to: who depends on whom, where unsafe code is, and that no text names a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The arrows of docs/architecture.md: each package and what it may depend on directly.
const ARROWS: &[(&str, &[&str])] = &[
    ("tradux-core", &[]),
    ("tradux-ir", &["tradux-core"]),
    ("tradux-mem", &["tradux-core"]),
    ("tradux-cross-arch", &["tradux-core", "tradux-ir"]),
    ("tradux-engine", &["tradux-core", "tradux-ir"]),
    ("tradux-linux", &["tradux-core", "tradux-ir", "tradux-mem", "tradux-cross-arch", "tradux-engine"]),
    ("tradux", &["tradux-core", "tradux-ir", "tradux-mem", "tradux-cross-arch", "tradux-engine", "tradux-linux"]),
];

/// Crates that hold no unsafe code at all.
const SAFE: &[&str] = &["vm-core", "vm-ir", "vm-cross-arch-support", "vm-cli"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_dependency_is_drawn() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(may) = allowed.get(name) else { continue };
        seen.insert(name);
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            // Tests may use what they like.
            if dependency["kind"] == "dev" || !allowed.contains_key(to) {
                continue;
            }
            assert!(may.contains(&to), "{name} may not depend on {to}");
        }
    }
    assert_eq!(seen, allowed.keys().copied().collect());
}

#[test]
fn the_core_depends_on_thiserror_alone() {
    let manifest = std::fs::read_to_string(root().join("vm-core/Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<&str> =
        section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|n| !n.is_empty()).collect();
    assert_eq!(names, ["thiserror"]);
}

/// Files of a crate's `src`, with their text.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

fn crates() -> Vec<PathBuf> {
    let folders = ["vm-core", "vm-ir", "vm-mem", "vm-cross-arch-support", "vm-engine", "vm-linux", "vm-cli"];
    folders.iter().map(|name| root().join(name)).collect()
}

/// Whether a line of code, not of comment, opens an unsafe block or declares something unsafe.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|form| code.contains(form))
}

#[test]
fn unsafe_code_is_where_the_crate_says() {
    for folder in crates() {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let lib = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
        let mut files = Vec::new();
        sources(&folder.join("src"), &mut files);
        let with: Vec<&PathBuf> =
            files.iter().filter(|(_, text)| text.lines().any(is_unsafe)).map(|(path, _)| path).collect();
        if SAFE.contains(&name.as_str()) {
            assert!(lib.contains("#![forbid(unsafe_code)]"), "{name} does not forbid unsafe code");
            assert!(with.is_empty(), "{with:?}");
        } else {
            // The lint of the workspace denies it; a module is allowed it where it is declared.
            assert!(!lib.contains("#![allow(unsafe_code)]"), "{name} allows unsafe code everywhere");
            for path in with {
                let text = std::fs::read_to_string(path).unwrap();
                assert!(text.contains("SAFETY:") || text.contains("# Safety"), "{} explains nothing", path.display());
            }
        }
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let marks = [concat!("/", "work/"), concat!("/", "home/"), concat!("/", "root/"), concat!("/", "tmp/")];
    for folder in crates() {
        for part in ["src", "tests"] {
            let mut files = Vec::new();
            if folder.join(part).is_dir() {
                sources(&folder.join(part), &mut files);
            }
            for (path, text) in files {
                // A link that every process has, and a test's folder outside of one.
                let text = text.replace(concat!("self/", "root/"), "").replace(concat!("}/", "root/"), "");
                for mark in marks {
                    assert!(!text.contains(mark), "{} contains {mark}", path.display());
                }
            }
        }
    }
}

#[test]
fn the_embedding_example_is_as_short_as_the_readme_says() {
    let text = std::fs::read_to_string(root().join("vm-engine/examples/embed.rs")).unwrap();
    let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert!(code.count() <= 40);
}
