//! Debian packages through an apt root of its own: the machine's package lists, cache and installed packages stay as they are.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::tools::output_of;

/// A folder with the lists and the archives of one suite for one architecture.
pub(crate) struct AptRoot {
    folder: PathBuf,
    suite: String,
    architecture: String,
}

/// One package of a closure, as apt would install it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Archive {
    pub(crate) package: String,
    pub(crate) version: String,
    /// File name in [`AptRoot::archives`].
    pub(crate) file: String,
}

/// Debian's name of this machine's architecture.
pub(crate) fn host_architecture() -> Result<String> {
    let name = output_of(Command::new("dpkg").arg("--print-architecture"))
        .context("dpkg is needed to fetch and unpack Debian packages")?;
    Ok(name.trim().to_owned())
}

impl AptRoot {
    /// An apt root in `folder`, which is made if need be. Packages called `provided` count as installed, so that nothing
    /// fetches them as a dependency. Nothing is downloaded yet.
    pub(crate) fn open(folder: &Path, suite: &str, architecture: &str, provided: &[&str]) -> Result<AptRoot> {
        for part in ["state/lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let status = stand_ins(provided, architecture);
        fs::write(folder.join("status"), status)?;
        Ok(AptRoot { folder: folder.to_owned(), suite: suite.to_owned(), architecture: architecture.to_owned() })
    }

    /// Fetches the package lists from the first of the machine's mirrors that has the suite for the architecture.
    pub(crate) fn update(&self) -> Result<()> {
        let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
        let signed = if keyring.is_file() { format!(" signed-by={}", keyring.display()) } else { String::new() };
        let mut refused = Vec::new();
        for mirror in mirrors()? {
            fs::write(
                self.folder.join("sources.list"),
                format!("deb [arch={}{signed}] {mirror} {} main\n", self.architecture, self.suite),
            )?;
            match self.apt(&["update"]) {
                Ok(_) => return Ok(()),
                Err(error) => refused.push(format!("{mirror}: {error:#}")),
            }
        }
        bail!(
            "suite {} for {} cannot be had from the mirrors in this machine's apt configuration: {}",
            self.suite,
            self.architecture,
            if refused.is_empty() { "there are none".to_owned() } else { refused.join("; ") }
        )
    }

    /// The packages with all that they depend on, in apt's order of installation, recommendations left out.
    pub(crate) fn closure(&self, packages: &[&str]) -> Result<Vec<Archive>> {
        let mut arguments = vec!["--simulate", "--no-install-recommends", "install"];
        arguments.extend(packages);
        let plan = self.apt(&arguments)?;
        plan.lines().filter_map(|line| line.strip_prefix("Inst ")).map(planned).collect()
    }

    /// Downloads the packages with all that they depend on into [`AptRoot::archives`]. What is there already is kept,
    /// and a download that was cut short goes on where it stopped.
    pub(crate) fn download(&self, packages: &[&str]) -> Result<()> {
        let mut arguments = vec!["--yes", "--download-only", "--no-install-recommends", "install"];
        arguments.extend(packages);
        self.apt(&arguments).map(drop)
    }

    /// Where downloaded packages are.
    pub(crate) fn archives(&self) -> PathBuf {
        self.folder.join("cache/archives")
    }

    fn apt(&self, arguments: &[&str]) -> Result<String> {
        let option = |name: &str, value: &OsStr| {
            let mut text = OsString::from(format!("{name}="));
            text.push(value);
            text
        };
        let mut command = Command::new("apt-get");
        for (name, value) in [
            ("Dir::Etc::SourceList", self.folder.join("sources.list").as_os_str()),
            ("Dir::Etc::SourceParts", self.folder.join("parts").as_os_str()),
            ("Dir::State", self.folder.join("state").as_os_str()),
            ("Dir::State::status", self.folder.join("status").as_os_str()),
            ("Dir::Cache", self.folder.join("cache").as_os_str()),
            ("APT::Architecture", OsStr::new(&self.architecture)),
            ("APT::Architectures::", OsStr::new(&self.architecture)),
            ("APT::Sandbox::User", OsStr::new("root")),
            ("Acquire::Retries", OsStr::new("3")),
            ("Acquire::Languages", OsStr::new("none")),
            ("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", OsStr::new("false")),
            ("Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled", OsStr::new("false")),
        ] {
            command.arg("-o").arg(option(name, value));
        }
        command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
        output_of(command.arg("-q").args(arguments))
    }
}

/// Paragraphs of dpkg's status file that say that these packages are installed.
pub(crate) fn stand_ins(packages: &[&str], architecture: &str) -> String {
    let mut status = String::new();
    for package in packages {
        // A version that is above any real one satisfies every dependency. Writing to a string cannot fail.
        let _ = write!(
            status,
            "Package: {package}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: 999:1\n\
             Maintainer: none\nDescription: stands for a package that is not needed\n\n"
        );
    }
    status
}

/// Reads what follows `Inst ` in a simulation: `name (version origin [architecture])`, or with `[old version]` first.
fn planned(line: &str) -> Result<Archive> {
    let parts = || {
        let (name, rest) = line.split_once(' ')?;
        let inside = rest.split_once('(')?.1.split_once(')')?.0;
        let version = inside.split_whitespace().next()?;
        let architecture = inside.rsplit_once('[')?.1.split(']').next()?;
        Some((name.split(':').next()?, version, architecture))
    };
    let (package, version, architecture) = parts().with_context(|| format!("apt-get plans `Inst {line}`"))?;
    Ok(Archive {
        package: package.to_owned(),
        version: version.to_owned(),
        file: format!("{package}_{}_{architecture}.deb", version.replace(':', "%3a")),
    })
}

/// Which files of a package are unpacked, and where to; all of them at their own places by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Selection<'a> {
    /// Only these, unless there are none: names as in the package, `./usr/bin/name`.
    pub(crate) only: &'a [&'a str],
    /// Not what these patterns match.
    pub(crate) left_out: &'a [&'a str],
    /// How many leading folders are taken off each name.
    pub(crate) strip: usize,
}

/// Unpacks a package's files into `folder` and returns their names as in the package. Files belong to whoever runs this,
/// and links to directories that are there already stay links.
pub(crate) fn unpack(archive: &Path, folder: &Path, selection: &Selection<'_>) -> Result<Vec<String>> {
    let mut package = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb could not be started")?;
    let stream = package.stdout.take().context("dpkg-deb has no output")?;
    let output = Command::new("tar")
        .args(["-x", "-v", "--quoting-style=literal", "--no-same-owner"])
        .args(["--keep-directory-symlink", "--delay-directory-restore"])
        .args(selection.left_out.iter().map(|pattern| format!("--exclude={pattern}")))
        .arg(format!("--strip-components={}", selection.strip))
        .arg("-C")
        .arg(folder)
        .args(selection.only)
        .stdin(stream)
        .stderr(Stdio::inherit())
        .output()
        .context("tar could not be started")?;
    let unpacked = package.wait()?;
    if !output.status.success() || !unpacked.success() {
        bail!("{} does not unpack", archive.display());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// The addresses of the machine's own package mirrors, as its apt configuration has them, without those for updates of
/// security alone.
fn mirrors() -> Result<Vec<String>> {
    let targets =
        output_of(Command::new("apt-get").args(["indextargets", "--format", "$(IDENTIFIER) $(COMPONENT) $(REPO_URI)"]))
            .context("apt-get is needed to fetch Debian packages")?;
    let mut found: Vec<String> = Vec::new();
    for line in targets.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["Packages", "main", address] = words[..]
            && !address.contains("security")
            && !found.iter().any(|known| known == address)
        {
            found.push(address.to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_name_the_files_of_the_cache() {
        let of = |line| planned(line).map(|archive| archive.file).expect("a plan");
        assert_eq!(of("bash (5.2.37-2+b5 Debian:13.1/stable [riscv64])"), "bash_5.2.37-2+b5_riscv64.deb");
        assert_eq!(of("git (1:2.47.3-0+deb13u1 Debian:13.1/stable [riscv64])"), "git_1%3a2.47.3-0+deb13u1_riscv64.deb");
        assert_eq!(of("tzdata (2025b-4 Debian:13.1/stable [all])"), "tzdata_2025b-4_all.deb");
        assert_eq!(of("perl [5.1] (5.40.1-6 Debian:13.1/stable [amd64]) []"), "perl_5.40.1-6_amd64.deb");
        assert!(planned("bash").is_err());
    }
}
