//! Golden tests of the passes: blocks before and after, in `passes/*.ir`.
//!
//! A file begins with `; pass NAME` and holds cases: a comment, a block, the line `; becomes`, and the block that the
//! pass makes of it. `UPDATE_GOLDEN=1` rewrites what follows `; becomes`; the difference is reviewed as code.

use std::fs;
use std::path::Path;

use vm_ir::arbitrary::{HELPERS, SLOTS};
use vm_ir::opt::{self, PASSES, Scratch};
use vm_ir::text::{Names, parse, print};
use vm_ir::{Block, verify};

const NAMES: Names<'_> = Names { slots: SLOTS, helpers: HELPERS };

fn run_pass(name: &str, block: &mut Block) {
    let mut scratch = Scratch::new();
    match name {
        "clean_up" => opt::clean_up(block, &mut scratch),
        "optimise" => opt::optimise(block, HELPERS),
        _ => {
            let pass = PASSES.iter().find(|pass| pass.name == name).unwrap_or_else(|| panic!("no pass {name}"));
            pass.run(block, HELPERS, &mut scratch);
        }
    }
}

fn read(text: &str, place: &str) -> Block {
    let block = parse(text, NAMES).unwrap_or_else(|error| panic!("{place}: {error}\n{text}"));
    verify(&block, Some(SLOTS), HELPERS).unwrap_or_else(|error| panic!("{place}: {error}\n{text}"));
    block
}

/// The file with what the pass makes of each block; the number of cases.
fn rewritten(path: &Path, text: &str) -> (String, usize) {
    let name = text.lines().next().and_then(|line| line.strip_prefix("; pass ")).expect("a file names its pass");
    let mut cases = text.split("\n; becomes\n");
    let mut result = cases.next().unwrap_or_default().to_owned();
    let mut before = result.clone();
    let mut count = 0;
    for case in cases {
        count += 1;
        let place = format!("{}, case {count}", path.display());
        let mut block = read(&before, &place);
        run_pass(name, &mut block);
        let after = print(&block, NAMES, |_, _| String::new()).to_string();
        verify(&block, Some(SLOTS), HELPERS).unwrap_or_else(|error| panic!("{place}: {error}\n{after}"));
        // What follows the expected block belongs to the next case.
        let end = case.find("\n}").expect("an expected block") + 2;
        before = case[end..].to_owned();
        result = format!("{result}\n; becomes\n{after}{before}");
    }
    assert!(before.trim().is_empty(), "{}: a block behind the last case", path.display());
    (result, count)
}

#[test]
fn blocks_before_and_after() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes");
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let (found, cases) = rewritten(&path, &text);
        assert!(cases > 0, "{}", path.display());
        files += 1;
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, found).unwrap();
        } else {
            assert!(found == text, "{} differs; the passes now give\n{found}", path.display());
        }
    }
    assert!(files >= PASSES.len(), "{files} files");
}
