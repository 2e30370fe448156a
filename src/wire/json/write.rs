//! Writing: commas and braces are right by construction, each object ends when its writer is
//! dropped, and nothing is kept but the bytes.

/// An object under way. Dropping it writes the closing brace.
#[derive(Debug)]
pub struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

/// An array under way. Dropping it writes the closing bracket.
#[derive(Debug)]
pub struct ArrayWriter<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl<'a> ObjectWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> ObjectWriter<'a> {
        out.push(b'{');
        ObjectWriter { out, is_first: true }
    }

    pub fn text(&mut self, field: &str, text: &str) -> &mut Self {
        write_text(text, self.key(field));
        self
    }

    pub fn number(&mut self, field: &str, number: u64) -> &mut Self {
        write_number(number, self.key(field));
        self
    }

    pub fn flag(&mut self, field: &str, flag: bool) -> &mut Self {
        self.key(field).extend_from_slice(if flag { b"true" } else { b"false" });
        self
    }

    /// A value that is JSON already.
    pub fn json(&mut self, field: &str, json: &str) -> &mut Self {
        self.key(field).extend_from_slice(json.as_bytes());
        self
    }

    pub fn object(&mut self, field: &str) -> ObjectWriter<'_> {
        ObjectWriter::new(self.key(field))
    }

    pub fn array(&mut self, field: &str) -> ArrayWriter<'_> {
        ArrayWriter::new(self.key(field))
    }

    pub fn texts<'t>(
        &mut self,
        field: &str,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> &mut Self {
        let mut array = self.array(field);
        for text in texts {
            array.text(text);
        }
        drop(array);
        self
    }

    fn key(&mut self, field: &str) -> &mut Vec<u8> {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        write_text(field, self.out);
        self.out.push(b':');
        self.out
    }
}

impl<'a> ArrayWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> ArrayWriter<'a> {
        out.push(b'[');
        ArrayWriter { out, is_first: true }
    }

    pub fn text(&mut self, text: &str) {
        write_text(text, self.next());
    }

    pub fn object(&mut self) -> ObjectWriter<'_> {
        ObjectWriter::new(self.next())
    }

    /// Bytes written so far, with everything before the array.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.is_first
    }

    fn next(&mut self) -> &mut Vec<u8> {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out
    }
}

impl Drop for ObjectWriter<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

impl Drop for ArrayWriter<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

/// How many bytes a string takes with its quotes.
pub fn text_len(text: &str) -> usize {
    2 + text.bytes().map(escaped_len).sum::<usize>()
}

fn escaped_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        0x20.. => 1,
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (plain, from) = rest.split_at(plain_run(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = from.split_first() else { break };
        rest = after;
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            control => {
                let (high, low) = (usize::from(control >> 4), usize::from(control & 15));
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', DIGITS[high], DIGITS[low]]);
            }
        }
    }
    out.push(b'"');
}

/// How many bytes there are before the first that must be escaped. Most texts have none, and they
/// are most of what a page of history is: eight bytes are looked at in one word (the usual tests
/// for a zero byte and for a byte below a bound, which never miss the first).
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut run = 0;
    while let Some(chunk) = bytes[run..].first_chunk::<8>() {
        let word = u64::from_ne_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let slash = zero(word ^ (ONES * u64::from(b'\\')));
        if (control | quote | slash) & HIGHS != 0 {
            break;
        }
        run += 8;
    }
    run + bytes[run..].iter().take_while(|byte| escaped_len(**byte) == 1).count()
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    // u64::MAX has twenty digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_run_ends_at_the_first_byte_to_escape_wherever_it_stands() {
        for length in 0..40 {
            let plain = vec![0xC3; length];
            assert_eq!(plain_run(&plain), length);
            for place in 0..length {
                for byte in 0..=255 {
                    let mut bytes = plain.clone();
                    bytes[place] = byte;
                    let expected = if escaped_len(byte) == 1 { length } else { place };
                    assert_eq!(plain_run(&bytes), expected, "{byte} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn objects_close_themselves_and_commas_stand_between() {
        let mut out = Vec::new();
        let mut object = ObjectWriter::new(&mut out);
        object.text("a", "x").number("b", 0).flag("c", false);
        object.texts("d", ["y", "z"]);
        {
            let mut array = object.array("e");
            assert!(array.is_empty());
            array.object().number("f", u64::MAX);
            array.object();
        }
        object.object("g").flag("h", true);
        object.json("i", "[1.50]");
        drop(object);
        let expected = r#"{"a":"x","b":0,"c":false,"d":["y","z"],"e":[{"f":18446744073709551615},{}],"g":{"h":true},"i":[1.50]}"#;
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn every_character_comes_back_as_it_was() {
        let everything: String =
            (0..0x500).filter_map(char::from_u32).chain("😀\u{2028}".chars()).collect();
        let mut out = Vec::new();
        write_text(&everything, &mut out);
        assert_eq!(out.len(), text_len(&everything));
        let back: String = serde_json::from_slice(&out).expect("valid JSON");
        assert_eq!(back, everything);
    }
}
