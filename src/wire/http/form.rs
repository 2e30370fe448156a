//! Names and values of a query or a form (`application/x-www-form-urlencoded`).
//!
//! Our reading: of several values of a name the first counts; a pair with a broken escape, an empty
//! value or one beyond [`FORM_VALUE_BYTES_MAX`] is as good as none; what is not UTF-8 is replaced.

use crate::limits::FORM_VALUE_BYTES_MAX;

/// What `name` is in there.
pub fn value(form: &[u8], name: &str) -> Option<Box<str>> {
    form.split(|b| *b == b'&').find_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (key, value) = (&pair[..equals], &pair[equals + 1..]);
        // Escapes make a text three times as long at most; nothing longer is taken apart.
        if 3 * name.len() < key.len() || 3 * FORM_VALUE_BYTES_MAX < value.len() {
            return None;
        }
        if decoded(key)? != name.as_bytes() {
            return None;
        }
        let value = decoded(value)?;
        let usable = !value.is_empty() && value.len() <= FORM_VALUE_BYTES_MAX;
        usable.then(|| String::from_utf8_lossy(&value).into())
    })
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => 16 * digit(*rest.next()?)? + digit(*rest.next()?)?,
            byte => *byte,
        });
    }
    Some(bytes)
}

fn digit(hex: u8) -> Option<u8> {
    char::from(hex).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(form: &str, name: &str) -> Option<String> {
        value(form.as_bytes(), name).map(Into::into)
    }

    #[test]
    fn values_are_found_by_their_names() {
        let form = "apikey=AQ_-&id=7+8%2b9&empty=&id=later&bare&%73id=%C3%a9&x=%ff";
        for (name, expected) in [
            ("apikey", Some("AQ_-")),
            ("id", Some("7 8+9")),
            ("sid", Some("é")),
            ("x", Some("\u{fffd}")),
            ("empty", None),
            ("bare", None),
            ("", None),
            ("ID", None),
        ] {
            assert_eq!(of(form, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_broken_or_too_long_is_not_there() {
        for broken in ["a=%", "a=%4", "a=%zz", "a=%+1", "%a=1", "", "=", "&&", "a"] {
            assert_eq!(of(broken, "a"), None, "{broken}");
        }
        assert_eq!(of("a=%zz&a=2", "a").as_deref(), Some("2"));
        let most = "x".repeat(FORM_VALUE_BYTES_MAX);
        assert_eq!(of(&format!("a={most}"), "a"), Some(most.clone()));
        assert_eq!(of(&format!("a={most}x"), "a"), None);
        let escaped = "%78".repeat(FORM_VALUE_BYTES_MAX);
        assert_eq!(of(&format!("a={escaped}"), "a"), Some(most));
        assert_eq!(of(&format!("a={escaped}x"), "a"), None);
    }
}
