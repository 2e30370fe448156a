//! The rules of the house that a compiler does not check: who may know whom, who may touch what.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory or file of `src` and the modules it may name beside itself. Whoever is not listed
/// here stands at the top (`main`, `lib`, `server`, `cli`, `bench`) and may name anybody but `net`,
/// which only `server` knows.
const ARROWS: [(&str, &[&str]); 14] = [
    ("limits", &[]),
    ("log", &[]),
    ("memory", &["limits"]),
    ("notify", &[]),
    ("inherited", &["config"]),
    ("pool", &[]),
    ("metrics", &["limits", "memory", "store::Work"]),
    ("config", &["limits", "domain::id", "domain::Registration", "log", "memory"]),
    ("domain", &["store", "limits"]),
    ("store", &["domain::id", "domain::nouns", "domain::words", "limits"]),
    (
        "wire",
        &[
            "domain::access",
            "domain::calendar",
            "domain::id",
            "domain::name",
            "domain::words",
            "domain::Registration",
            "config",
            "limits",
        ],
    ),
    ("files", &["domain::id", "domain::words", "limits"]),
    ("engine", &["domain", "files", "store", "wire", "config", "limits", "metrics", "pool"]),
    (
        "net",
        &[
            "wire",
            "engine",
            "domain::id",
            "domain::words",
            "config",
            "inherited",
            "limits",
            "metrics",
            "pool",
            "memory",
        ],
    ),
];

/// A file without its tests and comments.
#[derive(Debug)]
struct Source {
    /// Below `src`.
    path: PathBuf,
    text: String,
}

impl Source {
    fn module(&self) -> String {
        let first = self.path.iter().next().unwrap_or_default().to_string_lossy();
        first.trim_end_matches(".rs").into()
    }

    fn says(&self, word: &str) -> bool {
        let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        self.text.match_indices(word).any(|(at, _)| {
            edge(self.text[..at].chars().next_back())
                && edge(self.text[at + word.len()..].chars().next())
        })
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("src can be listed") {
            let path = entry.expect("src can be listed").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // `toy.rs`: the server that the bench's own tests measure.
            let is_test = ["tests", "tests.rs", "testing.rs", "toy.rs"].contains(&name.as_str());
            if path.is_dir() && !is_test {
                waiting.push(path);
            } else if name.ends_with(".rs") && !is_test {
                let text = fs::read_to_string(&path).expect("a source can be read");
                let path = path.strip_prefix(&root).expect("it lies there").to_path_buf();
                found.push(Source { path, text: plain(&text) });
            }
        }
    }
    assert!(found.len() > 30, "only {} sources", found.len());
    found
}

/// Without comments, and without `#[cfg(test)] mod …` which ends a file.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |next| next.trim_start());
        if line.trim() == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
            break;
        }
        let code = line.split_once(" // ").map_or(line, |(code, _)| code);
        if !code.trim_start().starts_with("//") {
            out.push_str(code);
            out.push('\n');
        }
    }
    out
}

/// Every `crate::a::b` of a source, groups taken apart, as `a::b`.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            paths(&text[at + "crate::".len()..], "", &mut found);
        }
    }
    found
}

/// Reads one path or group behind a prefix; returns where it ended.
fn paths(text: &str, prefix: &str, found: &mut BTreeSet<String>) -> usize {
    let mut at = 0;
    if let Some(inner) = text.strip_prefix('{') {
        at += 1;
        let mut rest = inner;
        loop {
            let skipped = rest.len() - rest.trim_start_matches([' ', '\n', ',']).len();
            at += skipped;
            rest = &rest[skipped..];
            if rest.starts_with('}') || rest.is_empty() {
                return at + 1;
            }
            let taken = paths(rest, prefix, found).max(1);
            at += taken;
            rest = &rest[taken..];
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    at += end;
    match text[end..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c.is_alphanumeric() || c == '{' || c == '_') => {
            at + 2 + paths(rest, &format!("{path}::"), found)
        }
        _ => {
            found.insert(path);
            at
        }
    }
}

#[test]
fn modules_name_only_those_below_them() {
    let mut strangers = Vec::new();
    for source in sources() {
        let module = source.module();
        let arrows = ARROWS.iter().find(|(from, _)| *from == module).map(|(_, to)| *to);
        for path in named(&source.text) {
            let within =
                |allowed: &str| path == allowed || path.starts_with(&format!("{allowed}::"));
            let fine = match arrows {
                Some(allowed) => within(&module) || allowed.iter().any(|a| within(a)),
                None => !within("net") || module == "server",
            };
            if !fine {
                strangers.push(format!("{} names crate::{path}", source.path.display()));
            }
        }
    }
    assert!(strangers.is_empty(), "{strangers:#?}");
}

/// Fails with the files outside `homes` that say one of `words`.
fn only(homes: &[&str], words: &[&str]) {
    let mut strangers = Vec::new();
    let mut seen = false;
    for source in sources() {
        for word in words.iter().filter(|word| source.says(word)) {
            let home = homes.iter().any(|home| source.path.starts_with(home));
            seen |= home;
            if !home {
                strangers.push(format!("{} says {word}", source.path.display()));
            }
        }
    }
    assert!(strangers.is_empty(), "{strangers:#?}");
    assert!(seen || homes.is_empty(), "nobody says {words:?}: the rule checks nothing");
}

#[test]
fn only_the_store_knows_redb() {
    only(&["store"], &["redb::", "use redb", "StorageBackend"]);
}

#[test]
fn only_the_carriers_and_the_management_touch_sockets() {
    let sockets =
        ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "UnixDatagram"];
    only(&["net", "admin", "cli", "bench", "notify.rs"], &sockets);
}

#[test]
fn only_two_files_are_unsafe() {
    only(&["memory.rs", "inherited.rs"], &["unsafe"]);
}

#[test]
fn translators_and_rules_have_no_clock_no_chance_no_tasks_and_no_log() {
    let words =
        ["Instant", "SystemTime", "SystemRandom", "thread::spawn", "async fn", "smol", "log::"];
    for source in sources() {
        let pure = ["wire", "domain"].contains(&source.module().as_str());
        let found = words.iter().find(|word| pure && source.says(word));
        assert!(found.is_none(), "{} says {found:?}", source.path.display());
    }
}

#[test]
fn nothing_is_unwrapped_and_nothing_is_left_to_do() {
    only(&[], &["unwrap()", "todo!", "unimplemented!", "dbg!", "FIXME", "TODO"]);
}

#[test]
fn the_reader_of_paths_takes_groups_apart() {
    let text = "use crate::{a::B, c::{d, e::F}};\nlet x = crate::g::h();\nuse mycrate::z;";
    let found: Vec<String> = named(text).into_iter().collect();
    assert_eq!(found, ["a::B", "c::d", "c::e::F", "g::h"]);
    assert_eq!(plain("a // b\n// c\nd\n#[cfg(test)]\nmod tests {\nx"), "a\nd\n");
}
