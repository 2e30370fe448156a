//! A backup as others see it: a plain tar with plain sums.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::store::{Options, Place, Store};

fn contents(directory: &Path) -> Contents {
    Contents {
        server_name: "im.test".into(),
        data_dir: directory.to_owned(),
        config: None,
        tls: None,
        keys: true,
        now: 1_700_000_000,
    }
}

fn made(directory: &Path) -> std::path::PathBuf {
    let options = Options { cache_bytes: 1 << 20, free_space: 0 };
    let store = Store::open(Place::Memory, options).unwrap();
    let long = "long/".repeat(40);
    fs::create_dir_all(directory.join("files").join(&long)).unwrap();
    fs::write(directory.join("files").join(&long).join("имя"), "text").unwrap();
    let file = directory.join("backup.tar");
    write(&store.reader(), &file, &contents(directory), &mut |_| {}).unwrap();
    file
}

/// What an unpacking says.
fn check(file: &Path) -> Result<Manifest, String> {
    let into = tempfile::tempdir().unwrap();
    unpack(file, into.path(), |_| true)
}

#[test]
fn everybody_with_tar_can_open_one_and_check_it() {
    let home = tempfile::tempdir().unwrap();
    let file = made(home.path());
    assert!(is_archive(&file).unwrap());
    let manifest = check(&file).unwrap();
    assert_eq!((manifest.server_name.as_str(), manifest.created), ("im.test", 1_700_000_000));
    let into = tempfile::tempdir().unwrap();
    let run = |program: &str, words: &[&str]| {
        Command::new(program).args(words).current_dir(into.path()).output()
    };
    let Ok(unpacked) = run("tar", &["xf", file.to_str().unwrap()]) else {
        eprintln!("skipped: there is no tar");
        return;
    };
    assert!(unpacked.status.success(), "{unpacked:?}");
    if let Ok(summed) = run("sha256sum", &["-c", SUMS]) {
        assert!(summed.status.success(), "{summed:?}");
        assert_eq!(String::from_utf8_lossy(&summed.stdout).lines().count(), 3, "{summed:?}");
    }
}

#[test]
fn an_archive_of_others_is_refused_and_nothing_leaves_the_directory() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("odd.tar");
    let manifest = r#"{"format":1}"#;
    let build = |entries: &[(&str, &str, tar::EntryType)]| {
        let mut tar = tar::Builder::new(fs::File::create(&file).unwrap());
        for (name, bytes, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_entry_type(*kind);
            // By hand, because the builder refuses such names itself.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, bytes.as_bytes()).unwrap();
        }
        tar.finish().unwrap();
        check(&file).unwrap_err()
    };
    let plain = tar::EntryType::Regular;
    let first = (MANIFEST, manifest, plain);
    for (entries, what) in [
        (&[][..], "is no backup"),
        (&[("msimd.redb", "x", plain)], "is no backup"),
        (&[first, ("../outside", "x", plain)], "never there"),
        (&[first, ("/tmp/outside", "x", plain)], "never there"),
        (&[first, ("link", "", tar::EntryType::Symlink)], "never there"),
        (&[first, ("a", "x", plain), ("a", "x", plain)], "cannot be unpacked"),
        (&[first, ("a", "x", plain)], "sums are missing"),
        (&[first, ("a", "x", plain), (SUMS, "", plain)], "without sums"),
        (&[first, (SUMS, "00  b\n", plain)], "b is missing"),
        (&[first, (SUMS, "", plain), ("late", "x", plain)], "never there"),
        (&[(MANIFEST, r#"{"format":2,"version":"9"}"#, plain)], "has format 2"),
    ] {
        let why = build(entries);
        assert!(why.contains(what), "{what}: {why}");
    }
    assert!(!home.path().join("outside").exists());
}

#[test]
fn a_flipped_byte_is_noticed_unless_nobody_reads_it() {
    let home = tempfile::tempdir().unwrap();
    let file = made(home.path());
    let whole = fs::read(&file).unwrap();
    let bad = home.path().join("bad.tar");
    // The heads of the first files, the database here and there, the sums.
    let end = whole.len() - 4096;
    let places =
        (0..1536).step_by(29).chain((2048..end).step_by(99_991)).chain((end..).step_by(61));
    let (mut all, mut passed) = (0, 0);
    for at in places.take_while(|at| *at < whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&bad, &bytes).unwrap();
        let told = is_archive(&bad).unwrap().then(|| unpack(&bad, home.path(), |_| false));
        all += 1;
        passed += usize::from(matches!(told, Some(Ok(_))));
    }
    // The padding behind a short file, the blocks of zeros at the end and what follows them.
    assert!(all > 120 && passed < all * 2 / 3, "{passed} of {all} flips went unnoticed");
}
