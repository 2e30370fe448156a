//! Talks: transcripts as tests, `tests/talks/*.talk`, one situation a file.
//!
//! ```text
//! each A tcp http ws                     run once per carrier, A replaced by it
//! not line: x:A> …                      a line for every choice but that one
//! config limits.mailbox = 4              a key of msimd.toml, before the start or the next one
//! disk                                   the database lies in a directory: `restart`, `crash`
//! layer 5                                what packets have that name none; 3 at first
//! loose                                  pushes that nobody expects are no failure
//! account carol                          registers
//! enter alice:A bob:tcp alice2:ws        registers where needed, logs in: alice2 is alice's second
//! alice:A> MESSAGE-SEND {"chat_id":"bob","text":"hi"}
//! alice:A< 200 {"message_id":$m}
//! bob:tcp< MESSAGE-RECEIVE {"message_id":$m,"from":"alice@im.test"}
//! alice:A< nothing                       no push has come, none is on its way
//! ```
//!
//! A device (`alice2`) has one session; `alice2:tcp`, `alice2:ws`, `alice2:tcp/b` are connections
//! that use it. The server starts at the first line that needs it. `<!` expects what came first,
//! `<` the first answer or the first push. See `term` for JSON, `bytes` for raw bytes. Further
//! lines: `x> layer=1 session=none seq=7 status=9 TYPE {…}`, `x> TYPE text "{"` (not JSON),
//! `x raw> 00 ff "…"`, `x frame> opcode=1 fin=0 "…"`, `x connect layer=1`, `x fetch layer=1`,
//! `x close`, `x shut`, `x< 404 [allow: POST] [-x-type] {…}` (or `empty`, `any`), `x< ERROR 400 {…}`, `x< closed`,
//! `x< close 1002`, `x ping "…"`, `x< pong "…"`, `repeat 3 i` … `end`, `let x = 5`, `pass 1500`
//! (milliseconds: only where the passing of time is what is tested), `restart`, `crash`, `stop`
//! (connections hear it),
//! `user disable bob` (the operator), `invite 1 code`, `app-password bob phone pass` (binds),
//! `app-password bob revoke phone`.
//!
//! `alice:line` speaks mSIM 2 on the line carrier, in the same words as here. `alice:nc` is lines
//! by hand, as they are: `alice:nc> MESSAGE to=bob text=hi`, `alice:nc< MESSAGE-SENT id=$m` (the
//! next line that begins with that word; `$m` binds or compares, `$_` is anything; the ends of lines
//! within a block are written ` | `). `sha256 hash = ${salt}secret` binds, `forget salt` unbinds,
//! `rising n1 n2` compares.
//!
//! `alice:tags` speaks the numbers protocol, by hand as well; `enter alice:tags` binds `$alice`, and
//! passes over what is shown to whoever comes.
//!
//! `alice:tws` and `alice:tlp` speak Tinode 0.5 over WebSocket and long polls, see `tinode`.
//!
//! Without `loose` a talk fails when any connection but one of plain HTTP was pushed something that the
//! talk does not mention.

mod bytes;
mod expect;
mod line;
pub mod operator;
mod peer;
pub mod stage;
mod term;
mod tinode;
mod words;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use line::Runner;

/// One file with one choice of carriers.
#[derive(Debug)]
struct Talk {
    name: String,
    /// Line numbers count from 1.
    lines: Vec<(usize, String)>,
}

#[test]
fn every_talk_goes_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/talks");
    let only = std::env::var("TALK").unwrap_or_default();
    let mut talks = Vec::new();
    for entry in fs::read_dir(&directory).expect("tests/talks can be listed") {
        let path = entry.expect("tests/talks can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".talk") && name.contains(&only) {
            let text = fs::read_to_string(&path).expect("a talk can be read");
            talks.extend(expand(&name, &text));
        }
    }
    assert!(!talks.is_empty(), "no talk is called {only:?}");
    talks.sort_by(|a, b| a.name.cmp(&b.name));
    let failures = run_all(&talks);
    let count = failures.len();
    assert!(
        failures.is_empty(),
        "{count} of {} talks failed:\n{}",
        talks.len(),
        failures.join("\n")
    );
}

/// More threads than cores: talks mostly wait for their server.
fn run_all(talks: &[Talk]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(talk) = talks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = Runner::run(&talk.lines) {
                        let mut failures = failures.lock().expect("no test holds it and panics");
                        failures.push(format!("{}:{why}", talk.name));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no test holds it and panics");
    failures.sort();
    failures
}

/// A file as the talks it stands for: one for each choice that its `each` lines leave.
fn expand(name: &str, text: &str) -> Vec<Talk> {
    let mut talks = vec![Talk { name: name.into(), lines: Vec::new() }];
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some(rest) = line.strip_prefix("each ") else {
            talks.iter_mut().for_each(|talk| talk.lines.push((at + 1, line.into())));
            continue;
        };
        let mut words = rest.split_whitespace();
        let letter = words.next().unwrap_or_default();
        let carriers: Vec<&str> = words.collect();
        talks = talks
            .iter()
            .flat_map(|talk| {
                carriers.iter().map(move |carrier| Talk {
                    name: format!("{}[{letter}={carrier}]", talk.name),
                    lines: talk
                        .lines
                        .iter()
                        .cloned()
                        .chain([(at + 1, format!("\u{0}{letter} {carrier}"))])
                        .collect(),
                })
            })
            .collect();
    }
    talks.iter_mut().for_each(choose);
    talks
}

/// Puts the carriers that were chosen into the lines of a talk.
fn choose(talk: &mut Talk) {
    let choices: Vec<(String, String)> = talk
        .lines
        .iter()
        .filter_map(|(_, line)| line.strip_prefix('\u{0}')?.split_once(' '))
        .map(|(letter, carrier)| (format!(":{letter}"), format!(":{carrier}")))
        .collect();
    talk.lines.retain(|(_, line)| !line.starts_with('\u{0}'));
    talk.lines.retain_mut(|(_, line)| {
        let Some((carrier, rest)) = line.strip_prefix("not ").and_then(|l| l.split_once(": "))
        else {
            return true;
        };
        let stays = choices.iter().all(|(_, chosen)| *chosen != format!(":{carrier}"));
        *line = rest.to_owned();
        stays
    });
    for (_, line) in &mut talk.lines {
        for (letter, carrier) in &choices {
            // Only in the names before a packet, not in its text.
            let head = line.find(['>', '<', '{', '"']).unwrap_or(line.len());
            let (names, rest) = line.split_at(head);
            *line = format!("{}{rest}", swap(names, letter, carrier));
        }
    }
}

/// `letter` replaced where it is a whole word.
fn swap(text: &str, letter: &str, carrier: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(letter) {
        let (before, after) = (&rest[..at], &rest[at + letter.len()..]);
        let whole = !after.starts_with(|c: char| c.is_ascii_alphanumeric());
        out.push_str(before);
        out.push_str(if whole { carrier } else { letter });
        rest = after;
    }
    out + rest
}

#[test]
fn a_talk_is_run_for_every_choice_of_carriers() {
    let talks = expand("x", "each A tcp ws\neach B http\nenter a:A b:B c:A\na:A/2> T {\":A\":1}");
    let lines: Vec<Vec<&str>> =
        talks.iter().map(|t| t.lines.iter().map(|(_, l)| l.as_str()).collect()).collect();
    assert_eq!(lines[0], ["enter a:tcp b:http c:tcp", "a:tcp/2> T {\":A\":1}"]);
    assert_eq!(lines[1], ["enter a:ws b:http c:ws", "a:ws/2> T {\":A\":1}"]);
    assert_eq!(talks[1].name, "x[A=ws][B=http]");
}
