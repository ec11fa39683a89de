//! The table of cases: text files in `xtask/userland`, whose form `docs/testing.md` describes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Seconds that a case may take on an emulator unless its row says otherwise.
const TIMEOUT: u64 = 180;

/// One row: a script with what it needs and how its output is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Packages in addition to the base system.
    pub(crate) packages: Vec<String>,
    /// In the subset for every change.
    pub(crate) quick: bool,
    /// Longer than a minute on an emulator.
    pub(crate) long: bool,
    /// Runs as root in its tree.
    pub(crate) root: bool,
    /// Needs a whole tree as its root folder: a sysroot prefix is not enough.
    pub(crate) confined: bool,
    /// Standard error is compared too.
    pub(crate) stderr: bool,
    /// Seconds.
    pub(crate) timeout: u64,
    pub(crate) normalise: Vec<Normalisation>,
    /// Why qemu-user is not asked.
    pub(crate) not_qemu: Option<String>,
    /// Exit status that the reference must have.
    pub(crate) status: i32,
    /// The words of the `#!` line.
    pub(crate) interpreter: Vec<String>,
    pub(crate) script: Script,
    /// Names of files in `xtask/userland/files` that stand beside the script.
    pub(crate) shared: Vec<String>,
    /// Names of guest programs that stand beside the script, built for the runner's architecture.
    pub(crate) guests: Vec<String>,
    /// For benchmarks: the amount of work that `@WORK@` stands for, if the case has one.
    pub(crate) work: Option<u64>,
    /// For benchmarks: how many times the command runs, one after the other.
    pub(crate) repeat: u32,
    /// Name and text of every file in the working directory; the script, if there is one, first.
    pub(crate) files: Vec<(String, String)>,
}

/// What stands below the `#!` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// A file whose name is the last argument.
    Argument,
    /// What the command reads from standard input, without the `#!` line.
    Input,
    /// Nothing: the line is the whole command.
    Nothing,
}

/// What is made equal before outputs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Normalisation {
    /// Names of the architecture.
    Arch,
    /// The order of lines.
    Sort,
    /// Numbers of rebuilds in Debian versions (`+b1`), which differ between architectures.
    Rebuilds,
}

impl Normalisation {
    fn named(name: &str) -> Option<Normalisation> {
        match name {
            "arch" => Some(Normalisation::Arch),
            "sort" => Some(Normalisation::Sort),
            "rebuilds" => Some(Normalisation::Rebuilds),
            _ => None,
        }
    }

    fn apply(self, text: &str) -> String {
        match self {
            Normalisation::Arch => {
                let names = ["x86_64", "x86-64", "amd64", "riscv64", "aarch64", "arm64"];
                names.iter().fold(text.to_owned(), |text, name| text.replace(name, "ARCH"))
            }
            Normalisation::Sort => {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            }
            Normalisation::Rebuilds => {
                let mut parts = text.split("+b");
                let mut result = parts.next().unwrap_or("").to_owned();
                for part in parts {
                    let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
                    result.push_str(if rest.len() < part.len() { "" } else { "+b" });
                    result.push_str(rest);
                }
                result
            }
        }
    }
}

impl Case {
    /// An output as it is compared.
    pub(crate) fn normalised(&self, output: &[u8]) -> Vec<u8> {
        if self.normalise.is_empty() {
            return output.to_vec();
        }
        let text = String::from_utf8_lossy(output).into_owned();
        self.normalise.iter().fold(text, |text, normalisation| normalisation.apply(&text)).into_bytes()
    }

    /// The same with `@WORK@` and `@TRIPLE@` replaced, the latter by the compiler's name for an architecture of Debian's.
    pub(crate) fn filled(&self, work: u64, architecture: &str) -> Case {
        let machine = super::machine_of(architecture);
        let fill =
            |text: &str| text.replace("@WORK@", &work.to_string()).replace("@TRIPLE@", &format!("{machine}-linux-gnu"));
        Case {
            interpreter: self.interpreter.iter().map(|word| fill(word)).collect(),
            files: self.files.iter().map(|(name, text)| (name.clone(), fill(text))).collect(),
            ..self.clone()
        }
    }
}

/// The cases of one table, which share no files with others.
pub(crate) fn read_table(file: &Path) -> Result<Vec<Case>> {
    let text = fs::read_to_string(file).with_context(|| format!("{} is missing", file.display()))?;
    parse(&text).with_context(|| file.display().to_string())
}

/// Every case of every table in `folder`, tables and cases in order.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Case>> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("{} is missing", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cases"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        cases.extend(read_table(&file)?);
    }
    let mut names = BTreeSet::new();
    for case in &mut cases {
        for name in &case.shared {
            let file = folder.join("files").join(name);
            let text = fs::read_to_string(&file).with_context(|| format!("{} of {}", file.display(), case.name))?;
            case.files.push((name.clone(), text));
        }
    }
    for case in &cases {
        if !names.insert(case.name.as_str()) {
            bail!("two cases are called {}", case.name);
        }
    }
    Ok(cases)
}

/// The cases of one table.
fn parse(text: &str) -> Result<Vec<Case>> {
    let text = format!("\n{text}");
    let mut sections = text.split("\n=== ");
    if let Some(head) = sections.next()
        && let Some(line) = head.lines().find(|line| !line.is_empty() && !line.starts_with('#'))
    {
        bail!("`{line}` before the first `=== NAME`");
    }
    sections
        .map(|section| parse_case(section).with_context(|| section.lines().next().unwrap_or("").to_owned()))
        .collect()
}

fn parse_case(section: &str) -> Result<Case> {
    let (header, body) = section.split_once("\n#!").context("no script: a line that begins with #! is missing")?;
    let mut header = header.lines();
    let name = header.next().unwrap_or("").trim();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)) {
        bail!("a name has letters, digits and -_.+ only");
    }
    let mut case = Case {
        name: name.to_owned(),
        packages: Vec::new(),
        quick: false,
        long: false,
        root: false,
        confined: false,
        stderr: false,
        timeout: TIMEOUT,
        normalise: Vec::new(),
        not_qemu: None,
        status: 0,
        interpreter: Vec::new(),
        script: Script::Argument,
        shared: Vec::new(),
        guests: Vec::new(),
        work: None,
        repeat: 1,
        files: Vec::new(),
    };
    let mut script_name = "case".to_owned();
    for line in header.filter(|line| !line.trim().is_empty()) {
        let (key, value) = line.split_once(':').with_context(|| format!("`{line}` is not KEY: VALUE"))?;
        let value = value.trim();
        let words = || value.split_whitespace();
        match key {
            "packages" => case.packages = words().map(str::to_owned).collect(),
            "tags" => words().try_for_each(|tag| set_tag(&mut case, tag))?,
            "timeout" => case.timeout = value.parse().context("timeout")?,
            "status" => case.status = value.parse().context("status")?,
            "not-qemu" => case.not_qemu = Some(value.to_owned()),
            "files" => case.shared = words().map(str::to_owned).collect(),
            "guests" => case.guests = words().map(str::to_owned).collect(),
            "work" => case.work = Some(value.parse().context("work")?),
            "repeat" => case.repeat = value.parse().context("repeat")?,
            "file" => script_name = value.to_owned(),
            "normalise" => {
                let named = words().map(|name| Normalisation::named(name).with_context(|| format!("normalise {name}")));
                case.normalise = named.collect::<Result<_>>()?;
            }
            _ => bail!("no key is called {key}"),
        }
    }
    let (line, rest) = body.split_once('\n').unwrap_or((body, ""));
    case.interpreter = line.split_whitespace().map(str::to_owned).collect();
    if case.interpreter.last().is_some_and(|word| word == "<") {
        case.interpreter.pop();
        case.script = Script::Input;
    }
    match case.interpreter.first() {
        Some(program) if program.starts_with('/') => {}
        _ => bail!("the #! line must begin with an absolute file name"),
    }
    let mut files = rest.split("\n--- ");
    let script = files.next().unwrap_or("");
    if script.trim().is_empty() {
        case.script = Script::Nothing;
    }
    match case.script {
        // Line numbers in messages stay as in an editor; Java knows no comments that begin with #.
        Script::Argument if !line.ends_with("java") => {
            case.files.push((script_name, format!("#!{line}\n{}", whole_lines(script))));
        }
        Script::Argument | Script::Input => case.files.push((script_name, whole_lines(script))),
        Script::Nothing => {}
    }
    for file in files {
        let (name, text) = file.split_once('\n').unwrap_or((file, ""));
        case.files.push((name.trim().to_owned(), whole_lines(text)));
    }
    for (name, _) in &case.files {
        if name.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..") {
            bail!("file name `{name}`");
        }
    }
    Ok(case)
}

/// Without the blank lines that separate it from what follows.
fn whole_lines(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}

fn set_tag(case: &mut Case, tag: &str) -> Result<()> {
    let field = match tag {
        "quick" => &mut case.quick,
        "long" => &mut case.long,
        "root" => &mut case.root,
        "confined" => &mut case.confined,
        "stderr" => &mut case.stderr,
        _ => bail!("no tag is called {tag}"),
    };
    *field = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<Case> {
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("userland")).expect("the tables can be read")
    }

    #[test]
    fn the_tables_are_well_formed_and_large_enough_to_mean_something() {
        let cases = tables();
        assert!(cases.len() >= 60, "{} cases", cases.len());
        assert!(cases.iter().filter(|case| case.quick).count() >= 10);
        assert!(cases.iter().all(|case| !(case.quick && case.long)), "a quick case is not long");
    }

    #[test]
    fn the_tables_of_the_benchmark_are_well_formed() {
        let cases = read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("bench")).expect("the tables can be read");
        assert!(cases.iter().filter(|case| case.work.is_some()).count() >= 12);
        for case in &cases {
            let text: String = case.filled(7, "amd64").files.iter().map(|(_, text)| text.as_str()).collect();
            assert!(!text.contains("@WORK@") && !text.contains("@TRIPLE@"), "{}", case.name);
            let uses_work = case.files.iter().any(|(_, text)| text.contains("@WORK@"));
            assert_eq!(uses_work, case.work.is_some(), "{}", case.name);
            assert!(case.repeat >= 1, "{}", case.name);
        }
    }

    #[test]
    fn a_section_is_a_case() {
        let text = "# table\n\n=== one\npackages: a b\ntags: quick stderr\nnormalise: arch sort\n\n#!/bin/sh -e\necho 1\n\n--- f.c\nint x;\n\n=== two\nstatus: 3\n#!/usr/bin/bc <\n1+1\n";
        let cases = parse(text).expect("two cases");
        assert_eq!(cases.len(), 2);
        assert!(cases[0].quick && cases[0].stderr && !cases[0].root);
        assert_eq!(cases[0].interpreter, ["/bin/sh", "-e"]);
        assert_eq!(cases[0].files[0].1, "#!/bin/sh -e\necho 1\n");
        assert_eq!(cases[0].files[1], ("f.c".to_owned(), "int x;\n".to_owned()));
        assert!(cases[1].script == Script::Input && cases[1].status == 3);
        assert_eq!(cases[1].files[0].1, "1+1\n");
        for wrong in ["=== a b\n#!/x\n", "=== a\n", "=== a\nnokey: 1\n#!/x\n", "x\n=== a\n#!/x\n", "=== a\n#!x\n"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn outputs_are_made_equal() {
        assert_eq!(Normalisation::Arch.apply("a riscv64-linux-gnu"), Normalisation::Arch.apply("a x86_64-linux-gnu"));
        assert_eq!(Normalisation::Rebuilds.apply("x 5.2+b1 +bold +b12\n"), "x 5.2 +bold \n");
        assert_eq!(Normalisation::Sort.apply("b\na\n"), "a\nb");
    }
}
