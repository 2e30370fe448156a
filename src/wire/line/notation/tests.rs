use super::*;
use crate::wire::json::FieldError;

/// Small, seeded, and not for secrets (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    /// Any text: mostly of what the notation itself means something by.
    fn text(&mut self) -> String {
        const HARD: &str = "\"'\\,[]{}=: \t\n\r\u{0}\u{7}\u{1b}\u{7f}\u{85}\u{9f}\u{a0}\u{2028}\
                            \u{2029}\u{feff}\u{202e}\u{d7ff}\u{e000}\u{ffff}\u{10ffff}aé中😀u0n";
        let hard: Vec<char> = HARD.chars().collect();
        (0..self.below(24))
            .map(|_| match self.below(4) {
                0 => char::from_u32(self.below(0x11_0000) as u32).unwrap_or('\u{fffd}'),
                _ => hard[self.below(hard.len())],
            })
            .collect()
    }

    fn value(&mut self, levels: usize) -> Value<'static> {
        match self.below(if levels == 0 { 5 } else { 7 }) {
            0 => Value::Whole(self.below(0x7fff_ffff) as u64),
            1 => Value::Flag(self.below(2) == 0),
            2 => Value::Negative(-1 - self.below(1000) as i64),
            3 | 4 => Value::Text(self.text().into()),
            5 => Value::Array((0..self.below(4)).map(|_| self.value(levels - 1)).collect()),
            _ => Value::Object(self.object(levels - 1)),
        }
    }

    fn object(&mut self, levels: usize) -> Object<'static> {
        let count = self.below(4);
        Object::of((0..count).map(|_| (self.text().into(), self.value(levels))).collect())
    }
}

fn fields(line: &str) -> Object<'_> {
    parse(line).unwrap_or_else(|why| panic!("{line}: {why}")).fields
}

#[test]
fn the_drafts_own_lines_are_read() {
    let line = parse("PROFILE-UPDATE name=Megauser, note=Vacationing").unwrap();
    assert_eq!(line.kind, "PROFILE-UPDATE");
    assert_eq!(line.fields.text("name"), Ok(Some("Megauser")));
    assert_eq!(line.fields.text("note"), Ok(Some("Vacationing")));
    let line = parse("SEND-FILE-PROXY filename=virus.exe size=128000").unwrap();
    assert_eq!(line.fields.integer("size"), Ok(Some(Ok(128_000))));
    assert_eq!(parse("CONTACTS-GET").unwrap().fields, Object::default());
    assert_eq!(parse("CONTACTS-GET \t ").unwrap().fields, Object::default());
}

#[test]
fn the_first_character_decides_what_a_value_is() {
    let cases = [
        ("a=b=c", "b=c"),
        ("a=YQ==", "YQ=="),
        ("a=it's", "it's"),
        ("a=x\"y\"", "x\"y\""),
        ("a=x[1]", "x[1]"),
        (r#"a="it's""#, "it's"),
        (r#"a='say "hi"'"#, "say \"hi\""),
        (r#"a="""#, ""),
        (r#"a='a\'b\"c\\d\ne\tf'"#, "a'b\"c\\d\ne\tf"),
        (r#"a="\u0000\u000d\ud83d\ude00\uD83D\uDE00""#, "\0\r😀😀"),
        ("a=\u{a0}\u{2028}", "\u{a0}\u{2028}"),
    ];
    for (pair, value) in cases {
        assert_eq!(fields(&format!("X {pair}")).text("a"), Ok(Some(value)), "{pair}");
        assert_eq!(fields(&format!("X b=1\t{pair} ,c=2")).text("a"), Ok(Some(value)), "{pair}");
    }
}

#[test]
fn the_type_of_a_value_is_its_fields() {
    let line = fields(r#"X text=5 count="5" dialog=true n=5.0 m=-1"#);
    assert_eq!(line.text("text"), Ok(Some("5")));
    assert_eq!(line.integer("count"), Ok(Some(Ok(5))));
    assert_eq!(line.flag("dialog"), Ok(Some(true)));
    assert_eq!(line.integer("n"), Err(FieldError::WrongType("n")));
    assert_eq!(line.integer("m"), Ok(Some(Err(-1))));
}

#[test]
fn lists_hold_bare_words_quoted_ones_and_json() {
    let cases = [
        (r#"[a, "b c"]"#, vec!["a", "b c"]),
        (r#"["a","b c"]"#, vec!["a", "b c"]),
        (r#"[ a ,'b"c' , 5 ]"#, vec!["a", "b\"c", "5"]),
        (r#"["\/\b\f\r"]"#, vec!["/\u{8}\u{c}\r"]),
        ("[]", vec![]),
        ("[ ]", vec![]),
    ];
    for (list, words) in cases {
        let line = format!("X a={list} b=1");
        assert_eq!(fields(&line).texts("a"), Ok(Some(words)), "{list}");
    }
    let line = fields(r#"X a=[[b], {"c":[1,null]}] d={"e":"}"}, f=1"#);
    assert_eq!(line.get("a").map(Value::levels), Some(3));
    assert_eq!(line.integer("f"), Ok(Some(Ok(1))));
}

#[test]
fn what_is_no_line_is_malformed() {
    let long = format!("{} a=1", "A".repeat(65));
    let many: String = (0..65).map(|i| format!(" k{i}=1")).collect();
    let deep = format!("X a={}{}", "[".repeat(32), "]".repeat(32));
    let abyss = format!("X a={}", "[".repeat(100_000));
    let bad = [
        " X",
        "\tX",
        "x",
        "X1x",
        "X_1",
        "ÄX",
        "",
        " ",
        "X,a=1",
        "X, a=1",
        "X=1",
        "X a",
        "X a ",
        "X a=",
        "X a= b=1",
        "X a=,b=1",
        "X =1",
        "X A=1",
        "X ä=1",
        "X a=1 a=2",
        "X a=1,",
        "X a=1, ",
        "X a=1,,b=2",
        "X a=1 b",
        "X text=http://x/?a,b",
        r#"X a=""x"#,
        r#"X a="b"c"#,
        r#"X a="b""c""#,
        r#"X a="b"#,
        r#"X a='b""#,
        r#"X a="\x""#,
        r#"X a="\/""#,
        r#"X a="\r""#,
        r#"X a="\u12""#,
        r#"X a="\u+123""#,
        r#"X a="\ud83d""#,
        r#"X a="\ud83dx""#,
        r#"X a="\ud83d\u0041""#,
        r#"X a="\ude00""#,
        r#"X a="\"#,
        "X a=\"\t\"",
        "X a=\u{1}",
        "X a=\"\u{1b}\"",
        "X a=b\r",
        "X\ra=1",
        "X a=\u{85}",
        "X a=\u{7f}",
        "X \u{0}a=1",
        "X a=[",
        "X a=[1",
        "X a=[1,",
        "X a=[1,]",
        "X a=[,1]",
        "X a=[1 2]",
        "X a=[1]2",
        "X a=[]]",
        r#"X a=["b]"#,
        "X a={",
        "X a={b:1}",
        r#"X a={"b":1"#,
        r#"X a={"b":1}c"#,
        "X a={'b':1}",
        "\u{feff}X",
        "200 OK a=1 200",
        &long,
        &format!("X{many}"),
        &deep,
        &abyss,
    ];
    for bad in bad {
        assert!(parse(bad).is_err(), "{:?}", bad.chars().take(80).collect::<String>());
    }
    let fits = format!("X a={}{}", "[".repeat(31), "]".repeat(31));
    assert!(parse(&fits).is_ok());
    assert!(parse(&format!("X{}", many.replace(" k64=1", ""))).is_ok());
}

#[test]
fn only_plain_words_are_written_without_quotes() {
    let cases = [
        ("alice@im.test", "alice@im.test"),
        ("2018-09-09T14:22:31+0000", "2018-09-09T14:22:31+0000"),
        ("Friends/chess_1", "Friends/chess_1"),
        ("Вася", "Вася"),
        ("5", "5"),
        ("", r#""""#),
        ("a b", r#""a b""#),
        ("a,b", r#""a,b""#),
        ("YQ==", r#""YQ==""#),
        ("it's", r#""it's""#),
        ("a\nb\tc\"d\\e", r#""a\nb\tc\"d\\e""#),
        ("\r\0\u{7f}\u{85}\u{2028}\u{2029}", r#""\u000d\u0000\u007f\u0085\u2028\u2029""#),
        ("😀", "\"😀\""),
    ];
    for (text, written) in cases {
        let mut out = String::new();
        write_text(text, &mut out);
        assert_eq!(out, written);
    }
}

#[test]
fn any_text_comes_back_as_it_was() {
    for seed in 1..=4000 {
        let mut dice = Dice::new(seed);
        let text = dice.text();
        let line = Writer::new("X").text("a", &text).number("b", seed).finish();
        assert!(!line.contains(['\n', '\r', '\u{2028}', '\u{85}']), "seed {seed}: {line:?}");
        let read = fields(&line);
        assert_eq!(read.text("a"), Ok(Some(&*text)), "seed {seed}: {line}");
        assert_eq!(read.integer("b"), Ok(Some(Ok(seed))), "seed {seed}: {line}");
        // By hand, in the other quotes, every character escaped.
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let line = format!("X a='{units}' b=['{units}',\"{units}\"]");
        let read = fields(&line);
        assert_eq!(read.text("a"), Ok(Some(&*text)), "seed {seed}: {line}");
        assert_eq!(read.texts("b"), Ok(Some(vec![&*text, &*text])), "seed {seed}: {line}");
    }
}

/// What a line makes of a value: words where JSON has typed ones, but for objects.
fn worded(value: Value<'static>) -> Value<'static> {
    let word = |text: String| Value::Word(text.into());
    match value {
        Value::Whole(n) => word(n.to_string()),
        Value::Negative(n) => word(n.to_string()),
        Value::Flag(flag) => word(flag.to_string()),
        Value::Text(text) => Value::Word(text),
        Value::Array(items) => Value::Array(items.into_iter().map(worded).collect()),
        other => other,
    }
}

#[test]
fn any_value_comes_back_as_it_was() {
    for seed in 1..=4000 {
        let mut dice = Dice::new(seed);
        let value = dice.value(3);
        let object = Object::of(vec![("a".into(), value.clone())]);
        let line = Writer::new("X").fields(&object).finish();
        assert!(!line.chars().any(char::is_control), "seed {seed}: {line:?}");
        let read = fields(&line);
        assert_eq!(read.get("a"), Some(&worded(value.clone())), "seed {seed}: {line}");
        if let Value::Array(_) | Value::Object(_) = value {
            // Within brackets it is JSON, too.
            let text = line.strip_prefix("X a=").unwrap();
            let json = format!("{{\"a\":{text}}}");
            let read = json::object(json.as_bytes()).unwrap_or_else(|e| panic!("{e}: {json}"));
            assert_eq!(read.get("a"), Some(&value), "seed {seed}: {line}");
        }
    }
}

#[test]
fn noise_is_read_or_refused_and_never_worse() {
    const PIECES: [&str; 22] = [
        "MESSAGE", " ", "to=bob", "text=", "\"", "'", "\\", "\\u", "d83d", "[", "]", "{", "}", ",",
        ":", "1", "=", "a", "é", "\t", "\"a\":", "\u{2028}",
    ];
    for seed in 1..=20_000 {
        let mut dice = Dice::new(seed);
        let count = dice.below(20);
        let line: String = (0..count).map(|_| PIECES[dice.below(PIECES.len())]).collect();
        let _ = parse(&line);
        let _ = parse(&format!("X {line}"));
    }
}

#[test]
fn records_are_drawn_as_the_draft_draws_them() {
    let written = Writer::new("CONTACTS-GET-RESPONSE").records([
        [("id", Cow::Borrowed("m1kc@klfd.com")), ("note", Cow::Borrowed("Something optional"))],
        [("id", Cow::Borrowed("a@b")), ("note", Cow::Borrowed(""))],
    ]);
    let expected = "CONTACTS-GET-RESPONSE\n[\n...id=m1kc@klfd.com\n...note=\"Something optional\"\n\
                    \n...id=a@b\n...note=\"\"\n]";
    assert_eq!(written.finish(), expected);
    let none: [Vec<(&str, Cow<'_, str>)>; 0] = [];
    assert_eq!(Writer::new("X").records(none).finish(), "X\n[\n]");
}
