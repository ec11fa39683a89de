//! What maintainer scripts would have left in a tree, without running any: the package database, accounts, alternatives,
//! certificates, and the folders that a running system has.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::Archive;
use crate::tools::output_of;

/// The user that cases run as, unless they ask for root.
pub(crate) const USER: u32 = 1000;

/// dpkg's database of a tree.
pub(crate) struct Database {
    folder: PathBuf,
    /// One file a package with its paragraph of `status`.
    paragraphs: PathBuf,
}

impl Database {
    /// The database of the tree in `sysroot`, which is made if need be.
    pub(crate) fn open(sysroot: &Path) -> Result<Database> {
        let folder = sysroot.join("var/lib/dpkg");
        let paragraphs = sysroot.with_extension("control");
        for part in ["info", "updates", "triggers", "alternatives", "parts"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::create_dir_all(&paragraphs)?;
        fs::write(folder.join("info/format"), "1\n")?;
        fs::write(folder.join("available"), "")?;
        Ok(Database { folder, paragraphs })
    }

    /// Notes one unpacked package: its control fields, the files that came with it, and its control files.
    pub(crate) fn add(&self, package: &str, control: &str, files: &[String], archive: &Path) -> Result<()> {
        let field = |name: &str| {
            let start = format!("{name}: ");
            control.lines().find_map(|line| line.strip_prefix(&start)).map(str::trim)
        };
        let name = match (field("Multi-Arch"), field("Architecture")) {
            (Some("same"), Some(architecture)) => format!("{package}:{architecture}"),
            _ => package.to_owned(),
        };
        let unpacked = self.folder.join("parts").join(package);
        output_of(Command::new("dpkg-deb").arg("--control").arg(archive).arg(&unpacked))?;
        for entry in fs::read_dir(&unpacked)? {
            let entry = entry?;
            if entry.file_name() != "control" {
                let file = format!("{name}.{}", entry.file_name().to_string_lossy());
                fs::rename(entry.path(), self.folder.join("info").join(file))?;
            }
        }
        fs::remove_dir_all(&unpacked)?;
        let mut list = String::new();
        for file in files {
            let path = file.trim_start_matches('.').trim_end_matches('/');
            list.push_str(if path.is_empty() { "/." } else { path });
            list.push('\n');
        }
        fs::write(self.folder.join("info").join(format!("{name}.list")), list)?;
        let Some((first, rest)) = control.trim_end().split_once('\n') else {
            bail!("{package} has one control field only");
        };
        let paragraph = format!("{first}\nStatus: install ok installed\n{rest}\n\n");
        fs::write(self.paragraphs.join(package), paragraph)?;
        Ok(())
    }

    /// Writes `status` with the paragraphs of these packages. Those in `provided` count as installed, so that nothing has
    /// open dependencies.
    pub(crate) fn write_status(&self, packages: &[Archive], provided: &str) -> Result<()> {
        let mut names: Vec<&str> = packages.iter().map(|archive| archive.package.as_str()).collect();
        names.sort_unstable();
        let mut status = provided.to_owned();
        for name in names {
            let file = self.paragraphs.join(name);
            status.push_str(&fs::read_to_string(&file).with_context(|| format!("{} is missing", file.display()))?);
        }
        fs::write(self.folder.join("status"), status)?;
        fs::remove_dir(self.folder.join("parts"))?;
        Ok(())
    }
}

/// Everything but the package database. May be done again after more packages came.
pub(crate) fn finish(sysroot: &Path) -> Result<()> {
    folders(sysroot)?;
    accounts(sysroot)?;
    settings(sysroot)?;
    certificates(sysroot)?;
    alternatives(sysroot)
}

fn folders(sysroot: &Path) -> Result<()> {
    let modes = [("tmp", 0o1777), ("var/tmp", 0o1777), ("work", 0o755), ("run", 0o755), ("dev", 0o755)];
    let modes = modes.into_iter().chain([("proc", 0o755), ("sys", 0o755), ("root", 0o700), ("home", 0o755)]);
    for (name, mode) in modes {
        let path = sysroot.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn accounts(sysroot: &Path) -> Result<()> {
    for (file, own) in [("passwd", "user:x:1000:1000:User:/work:/bin/bash\n"), ("group", "user:x:1000:\n")] {
        let master = sysroot.join(format!("usr/share/base-passwd/{file}.master"));
        let text = fs::read_to_string(&master).with_context(|| format!("{} is missing", master.display()))?;
        fs::write(sysroot.join("etc").join(file), text.replace(":*:", ":x:") + own)?;
    }
    debug_assert_eq!(USER, 1000);
    Ok(())
}

fn settings(sysroot: &Path) -> Result<()> {
    fs::write(sysroot.join("etc/hosts"), "127.0.0.1 localhost\n::1 localhost ip6-localhost\n")?;
    fs::write(sysroot.join("etc/hostname"), "userland\n")?;
    fs::write(sysroot.join("etc/shells"), "/bin/sh\n/bin/bash\n/bin/dash\n")?;
    for (from, to) in
        [("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"), ("usr/share/base-files/profile", "etc/profile")]
    {
        if sysroot.join(from).is_file() {
            fs::copy(sysroot.join(from), sysroot.join(to))?;
        }
    }
    link(sysroot, "/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
}

/// All certificates in one file, which is what most programs read.
fn certificates(sysroot: &Path) -> Result<()> {
    let folder = sysroot.join("usr/share/ca-certificates/mozilla");
    if !folder.is_dir() {
        return Ok(());
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut bundle = Vec::new();
    for file in files {
        bundle.extend(fs::read(file)?);
    }
    fs::create_dir_all(sysroot.join("etc/ssl/certs"))?;
    fs::write(sysroot.join("etc/ssl/certs/ca-certificates.crt"), bundle)?;
    Ok(())
}

/// One name that several packages may provide.
#[derive(Debug, PartialEq, Eq)]
struct Alternative {
    /// The link that people use, such as `/usr/bin/awk`.
    link: String,
    /// Its name in `/etc/alternatives`.
    name: String,
    path: String,
    priority: i32,
}

/// Links as `update-alternatives` makes them: for the calls in `postinst` scripts that have no variables, and for the
/// lists that Java environments bring along.
fn alternatives(sysroot: &Path) -> Result<()> {
    let mut best: BTreeMap<String, Alternative> = BTreeMap::new();
    let mut found = Vec::new();
    for file in sorted_files(&sysroot.join("var/lib/dpkg/info"))? {
        if file.extension().is_some_and(|extension| extension == "postinst") {
            // Scripts are text; one that is not calls nothing that is understood here.
            found.extend(from_script(&String::from_utf8_lossy(&fs::read(&file)?)));
        }
    }
    let java = sysroot.join("usr/lib/jvm");
    if java.is_dir() {
        for file in sorted_files(&java)? {
            if file.extension().is_some_and(|extension| extension == "jinfo") {
                found.extend(from_jinfo(&fs::read_to_string(&file)?));
            }
        }
    }
    for alternative in found {
        if !sysroot.join(alternative.path.trim_start_matches('/')).exists() {
            continue;
        }
        match best.get(&alternative.name) {
            Some(other) if other.priority >= alternative.priority => {}
            _ => drop(best.insert(alternative.name.clone(), alternative)),
        }
    }
    for alternative in best.values() {
        let middle = format!("/etc/alternatives/{}", alternative.name);
        link(sysroot, &middle, &alternative.path)?;
        link(sysroot, &alternative.link, &middle)?;
    }
    Ok(())
}

fn sorted_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

fn from_script(script: &str) -> Vec<Alternative> {
    let joined = script.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines().filter(|line| line.contains("update-alternatives")) {
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        let mut priority = 0;
        for (at, word) in words.iter().enumerate() {
            let arguments = &words[at + 1..];
            match (*word, arguments) {
                ("--install", [link, name, path, number, ..]) => {
                    priority = number.trim_end_matches(';').parse().unwrap_or(0);
                    found.push(alternative(link, name, path, priority));
                }
                ("--slave", [link, name, path, ..]) => found.push(alternative(link, name, path, priority)),
                _ => {}
            }
        }
    }
    found.retain(|alternative| {
        ![&alternative.link, &alternative.name, &alternative.path].iter().any(|s| s.contains('$'))
    });
    found
}

/// `kind name path` lines; the link has the name and is in `/usr/bin`.
fn from_jinfo(text: &str) -> Vec<Alternative> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let priority = value("priority").and_then(|number| number.parse().ok()).unwrap_or(0);
    let mut found = Vec::new();
    for line in text.lines() {
        if let [kind, name, path] = line.split_whitespace().collect::<Vec<_>>()[..]
            && matches!(kind, "hl" | "jre" | "jdk" | "jdkhl")
        {
            found.push(alternative(&format!("/usr/bin/{name}"), name, path, priority));
        }
    }
    found
}

fn alternative(link: &str, name: &str, path: &str, priority: i32) -> Alternative {
    Alternative { link: link.to_owned(), name: name.to_owned(), path: path.to_owned(), priority }
}

/// Makes `/at` in the tree a symbolic link to `to`. A file of a package is left alone.
fn link(sysroot: &Path, at: &str, to: &str) -> Result<()> {
    let path = sysroot.join(at.trim_start_matches('/'));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => fs::remove_file(&path)?,
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    symlink(to, &path).with_context(|| format!("link {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_say_what_they_install() {
        let script = "set -e\nupdate-alternatives --quiet --install /usr/bin/awk awk /usr/bin/gawk 10 \\\n  \
                      --slave /usr/bin/nawk nawk /usr/bin/gawk\n\
                      update-alternatives --install /usr/bin/$tool $tool $dir/$tool 3\n\
                      update-alternatives --remove awk /usr/bin/mawk\n";
        assert_eq!(
            from_script(script),
            [
                alternative("/usr/bin/awk", "awk", "/usr/bin/gawk", 10),
                alternative("/usr/bin/nawk", "nawk", "/usr/bin/gawk", 10)
            ]
        );
    }

    #[test]
    fn java_lists_are_alternatives() {
        let text = "name=java-21\npriority=2111\nsection=main\n\nhl java /usr/lib/jvm/j/bin/java\njdkhl javac /usr/lib/jvm/j/bin/javac\n";
        let found = from_jinfo(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], alternative("/usr/bin/javac", "javac", "/usr/lib/jvm/j/bin/javac", 2111));
    }
}
