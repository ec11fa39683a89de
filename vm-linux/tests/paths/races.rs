//! Names that change while they are looked up.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::folder::folder;
use crate::guest::{CWD, Guest};

/// Directories become links that lead out, and back, while names through them are opened and made.
#[test]
fn a_directory_that_becomes_a_link_leads_nowhere_else() {
    let _alone = crate::alone();
    let outside = folder("race");
    let root = outside.join("root");
    for directory in ["root", "root/a", "root/a/b", "secret", "b"] {
        std::fs::create_dir(outside.join(directory)).unwrap();
    }
    for file in ["root/a/f", "root/a/b/f", "secret/f", "b/f", "f"] {
        std::fs::write(outside.join(file), file).unwrap();
    }
    let secret = outside.join("secret");
    symlink(&secret, root.join("absolute")).unwrap();
    symlink("../../secret", root.join("relative")).unwrap();
    let before: BTreeSet<_> = listing(&outside).into_iter().filter(|name| !name.starts_with("root")).collect();

    let inside: BTreeSet<u64> = ["a", "a/b", "a/f", "a/b/f", ""]
        .iter()
        .filter_map(|name| std::fs::symlink_metadata(root.join(name)).ok())
        .map(|meta| meta.ino())
        .collect();
    let leaked: BTreeSet<u64> = ["secret", "secret/f", "b", "b/f", "f", ""]
        .iter()
        .map(|name| std::fs::metadata(outside.join(name)).unwrap().ino())
        .collect();
    assert!(inside.is_disjoint(&leaked));
    let mut guest = Guest::in_root(&root);
    let done = Arc::new(AtomicBool::new(false));
    let swapper = {
        let (root, done) = (root.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                for link in ["absolute", "relative"] {
                    // `a` and the link change places; and `b` leaves the directory that `..` of it would lead to.
                    let exchange = || {
                        let dir = rustix::fs::CWD;
                        let flags = rustix::fs::RenameFlags::EXCHANGE;
                        rustix::fs::renameat_with(dir, root.join("a"), dir, root.join(link), flags).unwrap();
                    };
                    exchange();
                    exchange();
                    drop(std::fs::rename(root.join("a/b"), root.join("b")));
                    drop(std::fs::rename(root.join("b"), root.join("a/b")));
                }
            }
        })
    };
    let start = Instant::now();
    let (mut opened, mut made) = (0, 0);
    // A busy machine needs longer to get as far.
    while start.elapsed() < Duration::from_secs(3)
        || (opened <= 100 || made <= 10) && start.elapsed() < Duration::from_secs(60)
    {
        for name in ["/a/f", "a/f", "/a/b/../f", "a/b/../../a/f", "/a/b/../../../../f", "a/../../f", "/a/b/f"] {
            guest.clear();
            if let Ok((_, ino, _)) = guest.status(CWD, name, 0) {
                assert!(!leaked.contains(&ino), "{name}");
                opened += 1;
            }
            if let Ok(fd) = guest.open(CWD, name, libc::O_RDONLY) {
                let (_, ino, _) = guest.status(fd, "", libc::AT_EMPTY_PATH).unwrap();
                assert!(!leaked.contains(&ino), "{name}");
                guest.call("close", &[fd]).unwrap();
            }
        }
        for name in ["/a/new", "a/b/../new"] {
            guest.clear();
            let path = guest.text(name);
            made += u32::from(guest.call("mkdirat", &[CWD, path, 0o755]).is_ok());
            let _ = guest.call("unlinkat", &[CWD, path, libc::AT_REMOVEDIR as u64]);
            if let Ok(fd) = guest.open(CWD, name, libc::O_RDWR | libc::O_CREAT) {
                guest.call("close", &[fd]).unwrap();
            }
            let _ = guest.call("unlinkat", &[CWD, path, 0]);
        }
    }
    done.store(true, Ordering::Relaxed);
    swapper.join().unwrap();
    std::env::set_current_dir("/").unwrap();
    let after: BTreeSet<_> = listing(&outside).into_iter().filter(|name| !name.starts_with("root")).collect();
    assert_eq!(after, before);
    assert!(opened > 100 && made > 10, "{opened} opened, {made} made");
    std::fs::remove_dir_all(outside).unwrap();
}

fn listing(path: &std::path::Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![path.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            out.push(entry.path().strip_prefix(path).unwrap().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
        }
    }
    out
}
