//! Reading: the whole input is checked before a field is looked at, so that malformed text is
//! never half understood.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits::JSON_DEPTH_MAX;

/// A JSON value, or one that is spelled otherwise and means the same. Strings without escapes are borrowed from the input.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Flag(bool),
    Whole(u64),
    /// A whole number below zero.
    Negative(i64),
    /// Written with a fraction or an exponent, or beyond 64 bits: never an integer to us.
    Fraction(f64),
    Text(Cow<'a, str>),
    /// Never in JSON: a value of the line notation, whose type is that of the field it is in.
    Word(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Object<'a>),
}

/// The fields of a JSON object in the order they came, duplicates included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// Input that is not one JSON object, and where that shows.
#[derive(Debug)]
pub struct Malformed(pub(super) serde_json::Error);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Malformed {}

/// A known field that is absent where it is needed, or of another type than it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    Missing(&'static str),
    WrongType(&'static str),
}

/// Reads one JSON object in UTF-8 and nothing after it: no byte order mark, no NaN, no lone
/// surrogates, at most [`JSON_DEPTH_MAX`] levels with the outermost as the first.
pub fn object(input: &[u8]) -> Result<Object<'_>, Malformed> {
    let mut reader = serde_json::Deserializer::from_slice(input);
    let value = Level(JSON_DEPTH_MAX).deserialize(&mut reader).map_err(Malformed)?;
    reader.end().map_err(Malformed)?;
    match value {
        Value::Object(object) => Ok(object),
        Value::Null
        | Value::Flag(_)
        | Value::Whole(_)
        | Value::Negative(_)
        | Value::Fraction(_)
        | Value::Text(_)
        | Value::Word(_)
        | Value::Array(_) => Err(Malformed(Error::custom("not an object"))),
    }
}

/// Reads one JSON object at the beginning of a text by the same rules; also returns how many bytes
/// it takes.
pub fn object_at_start(input: &str) -> Result<(Object<'_>, usize), Malformed> {
    let mut values = serde_json::Deserializer::from_str(input).into_iter::<Value<'_>>();
    match values.next() {
        Some(Ok(Value::Object(object))) => Ok((object, values.byte_offset())),
        Some(Ok(_)) | None => Err(Malformed(Error::custom("not an object"))),
        Some(Err(error)) => Err(Malformed(error)),
    }
}

impl Value<'_> {
    /// How deep it nests: 0 for what holds nothing else.
    pub fn levels(&self) -> usize {
        match self {
            Value::Array(items) => 1 + items.iter().map(Value::levels).max().unwrap_or(0),
            Value::Object(object) => {
                1 + object.0.iter().map(|(_, value)| value.levels()).max().unwrap_or(0)
            }
            Value::Null
            | Value::Flag(_)
            | Value::Whole(_)
            | Value::Negative(_)
            | Value::Fraction(_)
            | Value::Text(_)
            | Value::Word(_) => 0,
        }
    }
}

impl<'a> Object<'a> {
    /// Of fields that were not read from JSON.
    pub fn of(fields: Vec<(Cow<'a, str>, Value<'a>)>) -> Object<'a> {
        Object(fields)
    }

    /// Every field as it came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Takes out every field of that name; the last one counts.
    pub fn take(&mut self, field: &str) -> Option<Value<'a>> {
        let mut taken = None;
        while let Some(at) = self.0.iter().position(|(name, _)| name == field) {
            taken = Some(self.0.remove(at).1);
        }
        taken
    }

    /// The last field of that name; `null` counts as absent.
    pub fn get(&self, field: &str) -> Option<&Value<'a>> {
        let (_, value) = self.0.iter().rev().find(|(name, _)| name == field)?;
        (*value != Value::Null).then_some(value)
    }

    pub fn text(&self, field: &'static str) -> Result<Option<&str>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Text(text) | Value::Word(text)) => Ok(Some(text)),
            Some(_) => Err(FieldError::WrongType(field)),
        }
    }

    pub fn text_required(&self, field: &'static str) -> Result<&str, FieldError> {
        self.text(field)?.ok_or(FieldError::Missing(field))
    }

    pub fn flag(&self, field: &'static str) -> Result<Option<bool>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(Value::Word(word)) if word == "true" => Ok(Some(true)),
            Some(Value::Word(word)) if word == "false" => Ok(Some(false)),
            Some(_) => Err(FieldError::WrongType(field)),
        }
    }

    /// A whole number; one below zero comes as `Err` inside, for fields where that means
    /// something or breaks a rule rather than the type.
    pub fn integer(&self, field: &'static str) -> Result<Option<Result<u64, i64>>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Whole(number)) => Ok(Some(Ok(*number))),
            Some(Value::Negative(number)) => Ok(Some(Err(*number))),
            Some(Value::Word(word)) => whole(word).map(Some).ok_or(FieldError::WrongType(field)),
            Some(_) => Err(FieldError::WrongType(field)),
        }
    }

    /// An array of strings.
    pub fn texts(&self, field: &'static str) -> Result<Option<Vec<&str>>, FieldError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(FieldError::WrongType(field)) };
        let texts = items.iter().map(|item| match item {
            Value::Text(text) | Value::Word(text) => Ok(text.as_ref()),
            Value::Null
            | Value::Flag(_)
            | Value::Whole(_)
            | Value::Negative(_)
            | Value::Fraction(_)
            | Value::Array(_)
            | Value::Object(_) => Err(FieldError::WrongType(field)),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }
}

/// A whole number as JSON writes it.
fn whole(word: &str) -> Option<Result<u64, i64>> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
    let is_padded = digits.starts_with('0') && 1 < digits.len();
    if !is_plain || digits.is_empty() || is_padded || word == "-0" {
        return None;
    }
    word.parse().map(Ok).or_else(|_| word.parse().map(Err)).ok()
}

/// The whole value is looked at, also by who throws it away.
impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Value<'de>, D::Error> {
        Level(JSON_DEPTH_MAX).deserialize(reader)
    }
}

/// How many levels of nesting are left.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn deeper<E: Error>(self) -> Result<Level, E> {
        match self.0.checked_sub(1) {
            Some(left) => Ok(Level(left)),
            None => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value<'de>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value<'de>, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(u64::try_from(number).map_or(Value::Negative(number), Value::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Fraction(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut object = Vec::new();
        while let Some(Text(name)) = fields.next_key()? {
            object.push((name, fields.next_value_seed(inner)?));
        }
        Ok(Value::Object(Object(object)))
    }
}

/// A string, borrowed where it has no escapes (serde's own `Cow` never borrows).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Text<'de>, D::Error> {
        reader.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_malformed(input: impl AsRef<[u8]>) -> bool {
        object(input.as_ref()).is_err()
    }

    #[test]
    fn only_one_json_object_in_utf_8_is_read() {
        for good in ["{}", " {} \r\n\t", r#"{"a":1,"b":[{}]}"#, r#"{"a":"\u0000\ud83d\ude00"}"#] {
            assert!(!is_malformed(good), "{good}");
        }
        let bad: [&[u8]; 18] = [
            b"",
            b" ",
            b"[]",
            b"5",
            b"null",
            b"\xef\xbb\xbf{}",
            b"{} x",
            b"{}{}",
            b"{\"a\":NaN}",
            b"{\"a\":Infinity}",
            b"{\"a\":1,}",
            b"{\"a\":01}",
            b"{'a':1}",
            br#"{"a":"\ud800"}"#,
            br#"{"a":"\ude00\ud83d"}"#,
            br#"{"\ud800":1}"#,
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\n\"}",
        ];
        for bad in bad {
            assert!(is_malformed(bad), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn thirty_two_levels_are_read_and_no_more() {
        let nested = |levels: usize| {
            let arrays = levels - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(arrays), "]".repeat(arrays))
        };
        assert!(!is_malformed(nested(JSON_DEPTH_MAX)));
        assert!(is_malformed(nested(JSON_DEPTH_MAX + 1)));
        assert!(is_malformed("{\"a\":".repeat(100_000)));
    }

    #[test]
    fn the_last_duplicate_wins_and_null_is_absent() {
        let object = object(br#"{"a":1,"a":"two","b":3,"b":null}"#).expect("well-formed");
        assert_eq!(object.text("a"), Ok(Some("two")));
        assert_eq!(object.integer("b"), Ok(None));
        assert_eq!(object.text_required("b"), Err(FieldError::Missing("b")));
    }

    #[test]
    fn only_integers_are_integers() {
        let object = object(
            br#"{"a":5,"b":-5,"c":5.0,"d":"5","e":true,"f":5e0,"g":18446744073709551616,"h":[5]}"#,
        )
        .expect("well-formed");
        assert_eq!(object.integer("a"), Ok(Some(Ok(5))));
        assert_eq!(object.integer("b"), Ok(Some(Err(-5))));
        for field in ["c", "d", "e", "f", "g", "h"] {
            assert_eq!(object.integer(field), Err(FieldError::WrongType(field)), "{field}");
        }
    }

    #[test]
    fn strings_without_escapes_are_not_copied() {
        let object = object(br#"{"a":"plain","b":"esc\n"}"#).expect("well-formed");
        assert!(matches!(object.get("a"), Some(Value::Text(Cow::Borrowed("plain")))));
        assert!(matches!(object.get("b"), Some(Value::Text(Cow::Owned(_)))));
        assert!(matches!(object.0[0].0, Cow::Borrowed("a")));
    }

    #[test]
    fn a_word_is_what_its_field_needs() {
        let word = |text: &'static str| Object::of(vec![("a".into(), Value::Word(text.into()))]);
        assert_eq!(word("5").text("a"), Ok(Some("5")));
        assert_eq!(word("5").integer("a"), Ok(Some(Ok(5))));
        assert_eq!(word("-5").integer("a"), Ok(Some(Err(-5))));
        assert_eq!(word("true").flag("a"), Ok(Some(true)));
        assert_eq!(word("false").flag("a"), Ok(Some(false)));
        for bad in ["", "-", "+5", "05", "-0", "5.0", "5e0", "0x5", "18446744073709551616", "--5"] {
            assert_eq!(word(bad).integer("a"), Err(FieldError::WrongType("a")), "{bad}");
        }
        for bad in ["", "1", "True", "yes"] {
            assert_eq!(word(bad).flag("a"), Err(FieldError::WrongType("a")), "{bad}");
        }
        assert_eq!(word("x").texts("a"), Err(FieldError::WrongType("a")));
        // What is nothing to JSON is a word like any other.
        assert_eq!(word("null").text("a"), Ok(Some("null")));
    }

    #[test]
    fn an_object_at_the_start_ends_where_it_ends() {
        let (object, bytes) = object_at_start(r#"{"a":"}","b":{}} c=5"#).expect("well-formed");
        assert_eq!((object.text("a"), bytes), (Ok(Some("}")), 16));
        for bad in ["", "{", "[]", "{'a':1}", r#"{"a":NaN}"#, r#"{"a":"\ud800"}"#] {
            assert!(object_at_start(bad).is_err(), "{bad}");
        }
        assert!(object_at_start(&"{\"a\":".repeat(100_000)).is_err());
    }

    #[test]
    fn an_array_of_strings_holds_nothing_else() {
        let object = object(br#"{"a":["x","y"],"b":["x",1],"c":"x","d":[]}"#).expect("well-formed");
        assert_eq!(object.texts("a"), Ok(Some(vec!["x", "y"])));
        assert_eq!(object.texts("b"), Err(FieldError::WrongType("b")));
        assert_eq!(object.texts("c"), Err(FieldError::WrongType("c")));
        assert_eq!(object.texts("d"), Ok(Some(vec![])));
    }
}
