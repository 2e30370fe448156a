//! The numbers protocol as a table: lines in, what the core is asked, lines out.

use super::text::{Crowd, escaped, push_text, unescaped};
use super::*;
use crate::wire::{Broken, Buffer, Codec as _, Dialogue as _};

fn decode(codec: &mut Codec, bytes: &[u8]) -> (Vec<String>, Option<Broken<Line>>) {
    let mut input = Buffer::default();
    input.extend(bytes);
    let mut lines = Vec::new();
    loop {
        match codec.decode(&mut input) {
            Ok(Some(Line(line))) => lines.push(line),
            Ok(None) => return (lines, None),
            Err(broken) => return (lines, Some(broken)),
        }
    }
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.0.as_str()).collect()
}

#[test]
fn both_ends_of_lines_are_read_and_one_is_written() {
    let (lines, broken) = decode(&mut Codec::new(), b"TOC\nTOC\r\n\r\n\nBYE\r\nrest");
    assert_eq!(lines, ["TOC", "TOC", "BYE"]);
    assert!(broken.is_none());
    let mut out = Vec::new();
    Codec::new().encode(&Line("BYE".into()), &mut out);
    assert_eq!(out, b"BYE\r\n");
}

#[test]
fn a_line_has_4096_bytes_and_not_one_more() {
    let longest = "x".repeat(LINE_BYTES_MAX);
    for end in ["\n", "\r\n"] {
        let (lines, broken) = decode(&mut Codec::new(), format!("{longest}{end}").as_bytes());
        assert!(broken.is_none() && lines == [longest.as_str()]);
        let (_, broken) = decode(&mut Codec::new(), format!("{longest}x{end}").as_bytes());
        let broken = broken.expect("one byte too many");
        assert_eq!(broken.why, Farewell::TooLarge);
        assert_eq!(broken.last, Some(Line("ERR a line has at most 4096 bytes".into())));
    }
    // Nothing is waited for that cannot come any more.
    assert!(decode(&mut Codec::new(), format!("{longest}\r").as_bytes()).1.is_none());
    assert!(decode(&mut Codec::new(), format!("{longest}xx").as_bytes()).1.is_some());
    let (lines, broken) = decode(&mut Codec::new(), b"TOC\nMSG 0 1 \xff\xfe\n");
    assert_eq!((lines.len(), broken.map(|b| b.why)), (1, Some(Farewell::Malformed)));
}

#[test]
fn three_tics_without_a_word_are_the_last() {
    let mut codec = Codec::new();
    assert_eq!(codec.beat_secs(), Some(30));
    let beat = |codec: &mut Codec| {
        let mut out = Vec::new();
        let is_there = codec.on_beat(&mut out);
        assert_eq!(is_there, out == b"TIC\r\n");
        is_there
    };
    // Who never says anything has 90 seconds.
    assert!(beat(&mut codec) && beat(&mut codec));
    assert!(!beat(&mut codec));
    // Any line is a sign of life, a part of one is none.
    let mut codec = Codec::new();
    for _ in 0..10 {
        assert!(beat(&mut codec) && beat(&mut codec));
        decode(&mut codec, b"TOC\r\n");
        assert!(beat(&mut codec));
    }
    decode(&mut codec, b"TO");
    assert!(beat(&mut codec) && beat(&mut codec));
    assert!(!beat(&mut codec));
}

#[test]
fn names_are_one_word_whatever_they_are() {
    for name in ["plain", "a b", "100%", "%20", "tab\there", "new\r\nline", "\u{a0}\u{2028}", ""] {
        let word = escaped(name);
        assert!(!word.contains(char::is_whitespace) && !word.contains(char::is_control), "{word}");
        assert_eq!(unescaped(&word).as_deref(), Some(name));
    }
    assert_eq!(escaped("a b%"), "a%20b%25");
    for (word, name) in [("%", "%"), ("%2", "%2"), ("%zz", "%zz"), ("a%C3%A9", "aé")] {
        assert_eq!(unescaped(word).as_deref(), Some(name));
    }
    assert_eq!(unescaped("%FF"), None);
}

#[test]
fn texts_of_any_kind_become_lines_that_are_lines() {
    let said = |text: &str| {
        let mut out = Vec::new();
        push_text("MSG 0 1 ", text, &mut out);
        out
    };
    assert_eq!(
        texts(&said("one\r\ntwo\n\nfour")),
        ["MSG 0 1 one", "MSG 0 1 two", "MSG 0 1 ", "MSG 0 1 four"]
    );
    assert_eq!(texts(&said("a\rb\0c\td")), ["MSG 0 1 a\u{fffd}b\u{fffd}c\td"]);
    // Longer than a line, with characters that lie across the ends of the parts.
    let long = "€".repeat(3000);
    let lines = said(&long);
    assert!(lines.iter().all(|line| line.0.len() <= LINE_BYTES_MAX));
    let together: String = lines.iter().map(|line| &line.0["MSG 0 1 ".len()..]).collect();
    assert_eq!(together, long);
    let wild = said(&"\u{1}".repeat(5000));
    assert!(wild.iter().all(|line| line.0.len() <= LINE_BYTES_MAX));
}

#[test]
fn a_crowd_takes_as_many_lines_as_it_needs() {
    let said = |count: u32| {
        let mut out = Vec::new();
        let mut crowd = Crowd::new("GRP 0 1".into());
        (1..=count).for_each(|no| crowd.push(no, &mut out));
        crowd.finish(&mut out);
        out
    };
    assert_eq!(texts(&said(0)), ["GRP 0 1"]);
    assert_eq!(texts(&said(2)), ["GRP 0 1 0 1 0 2"]);
    let lines = said(2000);
    assert!(lines.len() > 3 && lines.iter().all(|line| line.0.len() <= LINE_BYTES_MAX));
    let all: Vec<String> = lines
        .iter()
        .flat_map(|line| line.0.split(' ').skip(3))
        .filter(|word| *word != "0")
        .map(str::to_owned)
        .collect();
    assert_eq!(all, (1..=2000).map(|no: u32| no.to_string()).collect::<Vec<_>>());
}

/// A conversation with a core that is played by the test.
fn dialogue() -> Dialogue {
    let config = Arc::new(crate::config::Config::for_tests());
    Dialogue::new(Arc::new(House { name: "im.test".into(), config }))
}

#[test]
fn nothing_is_asked_for_who_is_nobody() {
    let mut dialogue = dialogue();
    for line in ["MSG 0 1 hi", "GET 0 1", "NEW SERV x", "JEU a b", "EXT", "PSW a b", "TOC"] {
        let mut out = Vec::new();
        let next = dialogue.on_packet(Line(line.into()), &mut out);
        assert!(matches!(next, Next::Listen), "{line}");
        assert_eq!(out.is_empty(), line == "TOC", "{line}");
    }
    assert!(dialogue.last_words().is_none());
}

#[test]
fn whatever_the_core_answers_is_borne() {
    use crate::domain::words::Refusal;
    let session = SessionId::new([1; 32]);
    for line in [
        "NEW SERV x",
        "NEW CHAN 1 x",
        "MSG 0 1 hi",
        "GET 0 1 5",
        "GET 0 1 4294967300",
        "INV 0 1",
        "INV 0 1 2 3",
        "JOIN 0 1",
        "JOIN 1 2",
        "BYE 1 0",
        "DEL 1 2",
        "RENAME x 1",
        "PSW a b",
        "PSD a b",
        "NEWFILE a 5 0 1",
        "JEU a b",
        "EXT",
    ] {
        // Refused, and answered with what that is no answer to.
        for reply in [Err(Refusal::Unavailable), Ok(Reply::Done), Ok(Reply::Users(Vec::new()))] {
            let mut dialogue = dialogue();
            let mut out = Vec::new();
            let next = dialogue.on_packet(Line("IAM alice secret".into()), &mut out);
            assert!(matches!(next, Next::Ask(_)));
            let who = "alice@im.test".into();
            let logged_in = Reply::LoggedIn { session, account: AccountNo(1), who };
            let next = dialogue.on_reply(Ok(logged_in), &mut out);
            assert!(matches!(next, Next::Ask(_)));
            // The rest of what is shown to whoever comes does not matter here.
            dialogue.errand = None;
            let mut next = dialogue.on_packet(Line(line.into()), &mut out);
            for _ in 0..8 {
                let Next::Ask(ask) = next else { break };
                assert_eq!(ask.who, Some(session), "{line}");
                next = dialogue.on_reply(reply.clone(), &mut out);
            }
            assert!(matches!(next, Next::Listen), "{line} {reply:?}");
            let ask = dialogue.last_words().expect("the session ends");
            assert!(matches!(ask.what, Ok(What::Command(Command::LogOut))));
            assert!(dialogue.last_words().is_none());
        }
    }
}
