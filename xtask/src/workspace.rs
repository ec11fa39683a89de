//! Where things are: what `cargo metadata` says of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The workspace and the folders that chores write to.
pub(crate) struct Workspace {
    /// The folder with the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's build folder.
    pub(crate) target: PathBuf,
    /// Members, in `cargo metadata`'s order.
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
pub(crate) struct Package {
    /// The package's name.
    pub(crate) name: String,
    /// Its features except `default`, sorted.
    pub(crate) features: Vec<String>,
    /// Whether it may be published.
    pub(crate) published: bool,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    features: std::collections::BTreeMap<String, Vec<String>>,
    publish: Option<Vec<String>>,
}

impl Workspace {
    /// Asks cargo for the workspace that this crate belongs to.
    pub(crate) fn find() -> Result<Workspace> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .context("cargo metadata could not be started")?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        let packages = metadata
            .packages
            .into_iter()
            .map(|package| Package {
                name: package.name,
                features: package.features.into_keys().filter(|feature| feature != "default").collect(),
                published: package.publish.is_none(),
            })
            .collect();
        Ok(Workspace { root: metadata.workspace_root, target: metadata.target_directory, packages })
    }

    /// The built guest programs of one architecture (`riscv64`, `x86_64`, …).
    pub(crate) fn guests(&self, architecture: &str) -> PathBuf {
        self.target.join("guests").join(architecture)
    }

    /// Where downloaded tools are unpacked.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// The `tradux` binary of a cargo profile folder (`debug` or `release`).
    pub(crate) fn tradux(&self, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join("tradux")
    }

    /// Builds `tradux` and returns its path.
    pub(crate) fn build_tradux(&self, release: bool) -> Result<PathBuf> {
        let mut command = cargo();
        command.args(["build", "--quiet", "--package", "tradux", "--bin", "tradux"]).current_dir(&self.root);
        command.arg(if release { "--release" } else { ALL_HOSTS });
        let status = command.status().context("cargo build could not be started")?;
        if !status.success() {
            bail!("tradux does not build");
        }
        Ok(self.tradux(release))
    }

    /// `path` as it is shown to people: relative to the workspace where it lies inside.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// What tests are built with, so that code for other hosts is tested too. Release builds are what users have.
pub(crate) const ALL_HOSTS: &str = "--features=tradux/all-hosts";

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
