//! JSON as talks write it: what is sent, and what is expected.
//!
//! Beyond JSON: `_` anything, `absent` no such field, `int` `string` `bool` anything of that type,
//! `$x` a name: bound by its first use, the same value afterwards, `$x+1` `$x-1` a number beside it,
//! `>$x` a number above it, `>>$x` the same, and from then on x is that one, `${x}` inside a string, `"ab"*3` repetition. Expected objects may have
//! more fields than are named, `={…}` may not. `[a, b, ...]` may have more elements, `[*500]` has
//! 500 of any kind. `untrue`: false or absent.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub type Names = BTreeMap<String, Value>;

#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    Any,
    Absent,
    Untrue,
    Int,
    Text,
    Bool,
    Name {
        name: String,
        plus: i64,
    },
    Above {
        name: String,
        follow: bool,
    },
    Plain(Value),
    /// A string with names in it, repeated.
    Written {
        text: String,
        times: usize,
    },
    Object {
        fields: Vec<(String, Term)>,
        exact: bool,
    },
    Array {
        items: Vec<Term>,
        open: bool,
    },
    Count(usize),
}

impl Term {
    /// One term at the beginning of `text`, and what is left of it.
    pub fn parse(text: &str) -> Result<(Term, &str), String> {
        let mut cursor = Cursor { rest: text.trim_start() };
        let term = cursor.term()?;
        Ok((term, cursor.rest.trim_start()))
    }

    /// The JSON to send.
    pub fn build(&self, names: &Names) -> Result<Value, String> {
        Ok(match self {
            Term::Plain(value) => value.clone(),
            Term::Written { text, times } => fill(text, names)?.repeat(*times).into(),
            Term::Name { name, plus: 0 } => known(name, names)?.clone(),
            Term::Name { name, plus } => (number(name, names)? + plus).into(),
            Term::Object { fields, .. } => {
                let mut map = Map::new();
                for (key, term) in fields {
                    map.insert(fill(key, names)?, term.build(names)?);
                }
                Value::Object(map)
            }
            Term::Array { items, .. } => {
                Value::Array(items.iter().map(|i| i.build(names)).collect::<Result<_, _>>()?)
            }
            Term::Any
            | Term::Absent
            | Term::Untrue
            | Term::Int
            | Term::Text
            | Term::Bool
            | Term::Count(_)
            | Term::Above { .. } => {
                return Err(format!("{self:?} can be expected, not sent"));
            }
        })
    }

    /// Whether `value` is what was expected; binds names that are new.
    pub fn check(&self, value: &Value, names: &mut Names) -> Result<(), String> {
        let fits = match self {
            Term::Any => true,
            Term::Absent => return Err(format!("{value} where nothing was expected")),
            Term::Untrue => *value == Value::Bool(false),
            Term::Count(count) => value.as_array().is_some_and(|a| a.len() == *count),
            Term::Int => value.is_i64() || value.is_u64(),
            Term::Text => value.is_string(),
            Term::Bool => value.is_boolean(),
            Term::Name { name, plus } => return check_name(name, *plus, value, names),
            Term::Above { name, follow } => {
                let above = value.as_i64() > Some(number(name, names)?);
                if above && *follow {
                    names.insert(name.clone(), value.clone());
                }
                above
            }
            Term::Plain(expected) => expected == value,
            Term::Written { .. } => self.build(names)? == *value,
            Term::Object { fields, exact } => return check_object(fields, *exact, value, names),
            Term::Array { items, open } => return check_array(items, *open, value, names),
        };
        if fits { Ok(()) } else { Err(format!("{} is not {self:?}", shorten(&value.to_string()))) }
    }
}

/// `${x}` in a text replaced by what x is: strings without their quotes.
pub fn fill(text: &str, names: &Names) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let (name, after) =
            rest[at + 2..].split_once('}').ok_or_else(|| format!("no }} in {text:?}"))?;
        match known(name, names)? {
            Value::String(s) => out.push_str(s),
            other => out.push_str(&other.to_string()),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether a line is what `pattern` says: `$x` in it is what x is, or becomes it where it is new,
/// up to what follows it in the pattern; `$_` is anything.
pub fn fits(pattern: &str, line: &str, names: &mut Names) -> Result<bool, String> {
    let Some((before, after)) = pattern.split_once('$') else { return Ok(pattern == line) };
    let Some(line) = line.strip_prefix(before) else { return Ok(false) };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, rest) = after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()));
    let next = rest.split('$').next().unwrap_or_default();
    let end = if next.is_empty() { Some(line.len()) } else { line.find(next) };
    let Some(end) = end else { return Ok(false) };
    match names.get(name) {
        _ if name == "_" => {}
        None => {
            names.insert(name.into(), line[..end].into());
        }
        Some(known) => {
            let known = known.as_str().map_or_else(|| known.to_string(), str::to_owned);
            if known != line[..end] {
                return Ok(false);
            }
        }
    }
    fits(rest, &line[end..], names)
}

pub fn shorten(text: &str) -> String {
    if text.len() <= 600 {
        return text.into();
    }
    let cut = (0..=600).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    format!("{}… ({} bytes)", &text[..cut], text.len())
}

fn known<'a>(name: &str, names: &'a Names) -> Result<&'a Value, String> {
    names.get(name).ok_or_else(|| format!("${name} was never bound"))
}

fn number(name: &str, names: &Names) -> Result<i64, String> {
    known(name, names)?.as_i64().ok_or_else(|| format!("${name} is no number"))
}

fn check_name(name: &str, plus: i64, value: &Value, names: &mut Names) -> Result<(), String> {
    if !names.contains_key(name) && plus == 0 {
        names.insert(name.into(), value.clone());
        return Ok(());
    }
    let expected = match plus {
        0 => known(name, names)?.clone(),
        _ => (number(name, names)? + plus).into(),
    };
    if expected == *value {
        return Ok(());
    }
    Err(format!("{} is not ${name}{plus:+} = {expected}", shorten(&value.to_string())))
}

fn check_object(
    fields: &[(String, Term)],
    exact: bool,
    value: &Value,
    names: &mut Names,
) -> Result<(), String> {
    let object =
        value.as_object().ok_or_else(|| format!("{} is no object", shorten(&value.to_string())))?;
    for (key, term) in fields {
        match (object.get(key), term) {
            (None, Term::Absent | Term::Untrue) => {}
            (None, _) => return Err(format!("no {key:?} in {}", shorten(&value.to_string()))),
            (Some(inner), term) => {
                term.check(inner, names).map_err(|e| format!("{key:?}: {e}"))?;
            }
        }
    }
    let strange = object.keys().find(|k| exact && !fields.iter().any(|(key, _)| key == *k));
    match strange {
        Some(key) => Err(format!("{key:?} was not expected in {}", shorten(&value.to_string()))),
        None => Ok(()),
    }
}

fn check_array(items: &[Term], open: bool, value: &Value, names: &mut Names) -> Result<(), String> {
    let array =
        value.as_array().ok_or_else(|| format!("{} is no array", shorten(&value.to_string())))?;
    if array.len() < items.len() || (!open && array.len() > items.len()) {
        let found = shorten(&value.to_string());
        return Err(format!("{} elements instead of {}: {found}", array.len(), items.len()));
    }
    for (i, (item, inner)) in items.iter().zip(array).enumerate() {
        item.check(inner, names).map_err(|e| format!("element {i}: {e}"))?;
    }
    Ok(())
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn term(&mut self) -> Result<Term, String> {
        self.space();
        match self.rest.chars().next() {
            Some('{') => self.object(false),
            Some('=') => {
                self.skip("=")?;
                self.object(true)
            }
            Some('[') => self.array(),
            Some('"') => self.written(),
            Some('$') => self.name(),
            Some('>') => {
                let follow = self.rest.starts_with(">>");
                self.skip(if follow { ">>$" } else { ">$" })?;
                Ok(Term::Above { name: self.word(), follow })
            }
            Some(_) => self.bare(),
            None => Err("a value is missing".into()),
        }
    }

    fn object(&mut self, exact: bool) -> Result<Term, String> {
        self.skip("{")?;
        let mut fields = Vec::new();
        while !self.ends("}")? {
            let Term::Written { text, times: 1 } = self.written()? else {
                return Err("a key is no string".into());
            };
            self.space();
            self.skip(":")?;
            fields.push((text, self.term()?));
            self.comma("}")?;
        }
        Ok(Term::Object { fields, exact })
    }

    fn array(&mut self) -> Result<Term, String> {
        self.skip("[")?;
        let (mut items, mut open) = (Vec::new(), false);
        while !self.ends("]")? {
            if let Some(rest) = self.rest.strip_prefix('*') {
                self.rest = rest;
                let count = self.word().parse().map_err(|_| "not a count of elements")?;
                self.skip("]")?;
                return Ok(Term::Count(count));
            }
            if self.rest.starts_with("...") {
                self.skip("...")?;
                open = true;
            } else {
                items.push(self.term()?);
            }
            self.comma("]")?;
        }
        Ok(Term::Array { items, open })
    }

    fn written(&mut self) -> Result<Term, String> {
        self.space();
        let quoted = quoted(self.rest)?;
        let text = serde_json::from_str(quoted).map_err(|e| format!("{quoted}: {e}"))?;
        self.rest = &self.rest[quoted.len()..];
        let mut times = 1;
        if self.rest.starts_with('*') {
            self.skip("*")?;
            let digits = self.word();
            times = digits.parse().map_err(|_| format!("not a count: {digits:?}"))?;
        }
        Ok(Term::Written { text, times })
    }

    fn name(&mut self) -> Result<Term, String> {
        self.skip("$")?;
        let name = self.word();
        let mut plus = 0;
        if self.rest.starts_with(['+', '-']) {
            let sign = if self.rest.starts_with('-') { -1 } else { 1 };
            self.rest = &self.rest[1..];
            let digits = self.word();
            plus = sign * digits.parse::<i64>().map_err(|_| format!("not a number: {digits:?}"))?;
        }
        Ok(Term::Name { name, plus })
    }

    fn bare(&mut self) -> Result<Term, String> {
        let end = self.rest.find([',', '}', ']', ' ', '\t']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(match word {
            "_" => Term::Any,
            "absent" => Term::Absent,
            "untrue" => Term::Untrue,
            "int" => Term::Int,
            "string" => Term::Text,
            "bool" => Term::Bool,
            _ => Term::Plain(serde_json::from_str(word).map_err(|e| format!("{word:?}: {e}"))?),
        })
    }

    fn word(&mut self) -> String {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.into()
    }

    fn ends(&mut self, end: &str) -> Result<bool, String> {
        self.space();
        if self.rest.is_empty() {
            return Err(format!("no {end}"));
        }
        let ended = self.rest.starts_with(end);
        if ended {
            self.skip(end)?;
        }
        Ok(ended)
    }

    fn comma(&mut self, end: &str) -> Result<(), String> {
        self.space();
        if self.rest.starts_with(end) { Ok(()) } else { self.skip(",") }
    }

    fn skip(&mut self, what: &str) -> Result<(), String> {
        self.rest = self
            .rest
            .strip_prefix(what)
            .ok_or_else(|| format!("{what:?} expected at {:?}", shorten(self.rest)))?;
        Ok(())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

/// The string literal at the beginning of `text`, quotes included.
pub fn quoted(text: &str) -> Result<&str, String> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if at == 0 => {}
            _ if at == 0 => return Err(format!("a string expected at {:?}", shorten(text))),
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Ok(&text[..=at]),
            _ => {}
        }
    }
    Err(format!("a string without end: {:?}", shorten(text)))
}

#[test]
fn terms_expect_what_they_say() {
    let mut names = Names::new();
    let mut check = |pattern: &str, json: &str| {
        let (term, rest) = Term::parse(pattern).expect(pattern);
        assert_eq!(rest, "", "{pattern}");
        term.check(&serde_json::from_str(json).expect(json), &mut names).is_ok()
    };
    assert!(check(r#"{"a":1}"#, r#"{"a":1,"b":2}"#));
    assert!(!check(r#"={"a":1}"#, r#"{"a":1,"b":2}"#));
    assert!(!check(r#"{"a":1}"#, r#"{"b":2}"#));
    assert!(check(r#"{"a":$x,"b":$x+1,"c":>$x}"#, r#"{"a":5,"b":6,"c":7}"#));
    assert!(check("$x", "5") && !check("$x", "6") && !check(">$x", "5"));
    assert!(check(r#"{"b":absent, "a":_}"#, r#"{"a":null}"#));
    assert!(!check(r#"{"a":absent}"#, r#"{"a":null}"#));
    assert!(check("[1, ...]", "[1,2]") && !check("[1]", "[1,2]") && !check("[1, 2]", "[1]"));
    assert!(check(r#""n${x}-"*2"#, r#""n5-n5-""#));
    assert!(check("[*2]", "[1,2]") && !check("[*2]", "[1]"));
    assert!(check(r#"{"m":untrue}"#, "{}") && !check(r#"{"m":untrue}"#, r#"{"m":true}"#));
    assert!(check("[int, string, bool]", r#"[1,"",true]"#) && !check("int", "1.0"));
}
