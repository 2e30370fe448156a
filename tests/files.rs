//! Files through the numbers protocol at their real size: whole, interrupted, and to somebody who
//! takes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::client::base64;
use crate::client::tags::Tags;
use crate::talk::stage::Stage;

const SIZE: usize = 10 << 20;
/// Of a frame (the page).
const FRAME: usize = 2048;

fn server(keys: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new(true);
    for (key, value) in keys {
        stage.set(key, value);
    }
    stage.start().expect("a server on the disk starts");
    stage
}

/// Registers, and passes over what is shown to whoever comes.
fn enter(stage: &Stage, name: &str) -> (Tags, String) {
    let mut tags = Tags::connect(stage.tags()).expect("a door that is open");
    tags.send(&format!("NEW USR {name} secret")).expect("a line goes out");
    let tag = hear(&mut tags, "TAG 0 ");
    hear(&mut tags, "GRP 0 ");
    (tags, tag)
}

/// What follows in the next line that begins like this.
fn hear(tags: &mut Tags, begin: &str) -> String {
    loop {
        let line = tags.receive().expect("a line").expect("the stream goes on");
        if let Some(rest) = line.strip_prefix(begin) {
            return rest.to_owned();
        }
        assert!(!line.starts_with("ERR"), "{line} instead of {begin}");
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 + n / 251) as u8).collect()
}

fn frames(to: &str, bytes: &[u8]) -> String {
    let line = |frame: &[u8]| format!("FILE 0 {to} {} {}\r\n", frame.len(), base64(frame));
    bytes.chunks(FRAME).map(line).collect()
}

/// Sends a file; its number.
fn send(tags: &mut Tags, to: &str, bytes: &[u8]) -> String {
    tags.send(&format!("NEWFILE big.bin {} 0 {to}", bytes.len())).expect("a line goes out");
    hear(tags, "NEWFILE OK");
    // A few at a time, so that neither side waits for the other with full buffers.
    for some in bytes.chunks(16 * FRAME) {
        tags.line.send(frames(to, some).as_bytes()).expect("a line goes out");
        for _ in some.chunks(FRAME) {
            hear(tags, "FILE OK");
        }
    }
    hear(tags, "FILESENT big.bin ")
}

/// The bytes of the file that comes next.
fn receive(tags: &mut Tags, from: &str, size: usize) -> String {
    hear(tags, &format!("NEWFILE big.bin {size} 0 {from}"));
    let mut all = String::new();
    let mut got = 0;
    while got < size {
        let frame = hear(tags, &format!("FILE 0 {from} "));
        let (count, text) = frame.split_once(' ').expect("a count");
        let count: usize = count.parse().expect("a number");
        assert!(count <= FRAME);
        got += count;
        all.push_str(text);
    }
    assert_eq!(got, size);
    all
}

/// As base64 of its frames, which is what comes.
fn coded(bytes: &[u8]) -> String {
    bytes.chunks(FRAME).map(base64).collect()
}

fn kept(stage: &Stage) -> Vec<PathBuf> {
    fn below(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => below(&path, found),
                path => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    below(&stage.directory.path().join("data/files"), &mut found);
    found
}

/// Until it is so, for as long as an answer may take.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + crate::client::PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn ten_megabytes_come_as_they_went() {
    let mut stage = server(&[]);
    let (mut alice, a) = enter(&stage, "alice");
    let (mut bob, b) = enter(&stage, "bob");
    let bytes = bytes(SIZE);
    let expected = coded(&bytes);
    let number = std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&mut bob, &a, SIZE));
        let number = send(&mut alice, &b, &bytes);
        assert!(receiving.join().unwrap() == expected, "other bytes");
        number
    });
    let [file] = &kept(&stage)[..] else { panic!("{:?}", kept(&stage)) };
    assert!(std::fs::read(file).unwrap() == bytes);
    // And again, from the history.
    bob.send(&format!("GET 0 {a} {number}")).expect("a line goes out");
    assert!(receive(&mut bob, &a, SIZE) == expected, "other bytes");
    stage.stop().unwrap();
}

#[test]
fn a_file_that_is_interrupted_leaves_nothing_behind() {
    let mut stage = server(&[]);
    let (mut alice, _) = enter(&stage, "alice");
    let (mut bob, b) = enter(&stage, "bob");
    let bytes = bytes(SIZE / 2);
    alice.send(&format!("NEWFILE big.bin {SIZE} 0 {b}")).expect("a line goes out");
    hear(&mut alice, "NEWFILE OK");
    for some in bytes.chunks(16 * FRAME) {
        alice.line.send(frames(&b, some).as_bytes()).expect("a line goes out");
        for _ in some.chunks(FRAME) {
            hear(&mut alice, "FILE OK");
        }
    }
    assert_eq!(kept(&stage).len(), 1);
    drop(alice);
    eventually("what had come is there still", || kept(&stage).is_empty());
    // Nobody was told of it, and there is no message.
    bob.send("GET 0 1").expect("a line goes out");
    hear(&mut bob, "# END");
    stage.stop().unwrap();
}

#[test]
fn a_file_over_the_quota_is_refused_and_the_connection_stays() {
    let quota = (SIZE + SIZE / 2).to_string();
    let mut stage = server(&[("limits.file_quota", &quota)]);
    let (mut alice, a) = enter(&stage, "alice");
    send(&mut alice, &a, &bytes(SIZE));
    alice.send(&format!("NEWFILE more {SIZE} 0 {a}")).expect("a line goes out");
    let refused = alice.receive().unwrap().unwrap();
    assert_eq!(refused, "ERR your files take as much room as they may");
    alice.send(&format!("MSG 0 {a} a note")).expect("a line goes out");
    alice.send(&format!("GET 0 {a} 1")).expect("a line goes out");
    hear(&mut alice, "> a note");
    stage.stop().unwrap();
}

#[test]
fn who_takes_nothing_of_a_file_keeps_nobody_waiting() {
    let mut stage = server(&[]);
    let (mut alice, a) = enter(&stage, "alice");
    let (mut bob, b) = enter(&stage, "bob");
    // Connected, and never read from.
    let mut stuck = Tags::connect(stage.tags()).expect("a door that is open");
    stuck.send("IAM bob secret").expect("a line goes out");
    let bytes = bytes(SIZE);
    let expected = coded(&bytes);
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&mut bob, &a, SIZE));
        send(&mut alice, &b, &bytes);
        assert!(receiving.join().unwrap() == expected, "other bytes");
    });
    bob.send(&format!("MSG 0 {a} thanks")).expect("a line goes out");
    hear(&mut alice, &format!("MSG 0 {b} thanks"));
    drop(stuck);
    stage.stop().unwrap();
}
