//! Objects whose fields stay the texts that they are, for protocols that keep JSON of their
//! clients' as it came.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::read::{Malformed, Text, Value, object};

/// The fields of a JSON object, each as its JSON text.
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, &'a str)>);

/// Takes one JSON object apart, by the rules of [`object`], all of it down to the last level.
pub fn fields(input: &str) -> Result<Fields<'_>, Malformed> {
    object(input.as_bytes())?;
    serde_json::from_str(input).map_err(Malformed)
}

impl<'a> Fields<'a> {
    /// The JSON text of the last field of that name in upper or lower case; `null` counts as absent.
    pub fn raw(&self, field: &str) -> Option<&'a str> {
        let (_, raw) = self.0.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(field))?;
        (*raw != "null").then_some(*raw)
    }

    /// The same, read.
    pub fn value(&self, field: &str) -> Option<Value<'a>> {
        // The whole text was read once, so that this is a value again.
        serde_json::from_str(self.raw(field)?).ok()
    }

    /// The same where it is an object; `Some(None)`: it is something else.
    pub fn object(&self, field: &str) -> Option<Option<Fields<'a>>> {
        Some(serde_json::from_str(self.raw(field)?).ok())
    }

    /// The same where it is an array of objects; `Some(None)`: it is something else.
    pub fn objects(&self, field: &str) -> Option<Option<Vec<Fields<'a>>>> {
        Some(serde_json::from_str(self.raw(field)?).ok())
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Fields<'de>, D::Error> {
        reader.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Fields<'de>, A::Error> {
        let mut found = Vec::new();
        while let Some(Text(name)) = fields.next_key()? {
            found.push((name, fields.next_value::<&RawValue>()?.get()));
        }
        Ok(Fields(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::JSON_DEPTH_MAX;

    #[test]
    fn fields_stay_as_they_were_written() {
        let text = r#" {"a" : {"x": [1.50, 1e2,"\u00e9"]} ,"B":"b","n":null} "#;
        let fields = fields(text).expect("well-formed");
        assert_eq!(fields.raw("a"), Some(r#"{"x": [1.50, 1e2,"\u00e9"]}"#));
        assert_eq!(fields.raw("b"), Some("\"b\""));
        assert_eq!(fields.value("b"), Some(Value::Text("b".into())));
        assert_eq!((fields.raw("n"), fields.raw("c")), (None, None));
        let inner = fields.object("A").expect("there").expect("an object");
        assert_eq!(inner.raw("X"), Some(r#"[1.50, 1e2,"\u00e9"]"#));
        assert!(matches!(fields.object("b"), Some(None)));
        assert!(fields.object("n").is_none());
    }

    #[test]
    fn the_last_of_two_fields_counts_whatever_their_case() {
        let fields = fields(r#"{"a":1,"A":2,"b":3,"B":null,"\u0063":[{"d":4},{}]}"#).expect("good");
        assert_eq!((fields.raw("a"), fields.raw("b")), (Some("2"), None));
        let objects = fields.objects("C").expect("there").expect("objects");
        assert_eq!((objects.len(), objects[0].raw("d")), (2, Some("4")));
        assert!(matches!(fields.objects("a"), Some(None)));
    }

    #[test]
    fn what_lies_deep_is_looked_at_too() {
        let nested = |levels: usize| {
            let arrays = levels - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(arrays), "]".repeat(arrays))
        };
        assert!(fields(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(fields(&nested(JSON_DEPTH_MAX + 1)).is_err());
        for bad in ["", "[]", "null", r#"{"a":{"b":"\ud800"}}"#, r#"{"a":[01]}"#, "{} {}"] {
            assert!(fields(bad).is_err(), "{bad}");
        }
    }
}
