//! A stream of XML, cut into its pieces: as much of XML as two servers write to a client.
//!
//! No entities are resolved and no namespaces kept: whoever reads a piece knows what it looks for.

/// A stanza larger than what the servers here send.
const STANZA_BYTES_MAX: usize = 1 << 20;

/// The length of the piece that `input` begins with: white space, a declaration, the opening or
/// closing tag of the stream, or an element with everything inside. `None` while it is not all
/// there.
pub(super) fn cut(input: &[u8]) -> Result<Option<usize>, String> {
    let space = input.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if space > 0 {
        return Ok(Some(space));
    }
    if input.len() > STANZA_BYTES_MAX {
        return Err("a stanza without end".into());
    }
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        let Some(open) = input[at..].iter().position(|byte| *byte == b'<') else {
            return Ok(None);
        };
        if depth == 0 && open > 0 {
            return Err("text between stanzas".into());
        }
        let open = at + open;
        let Some(end) = tag_end(&input[open..]) else { return Ok(None) };
        let tag = &input[open..open + end];
        at = open + end;
        if tag.starts_with(b"<?") {
            if depth == 0 {
                return Ok(Some(at));
            }
        } else if tag.starts_with(b"</") {
            // Closing what was not opened closes the stream.
            if depth <= 1 {
                return Ok(Some(at));
            }
            depth -= 1;
        } else if tag.starts_with(b"<stream:stream") {
            return Ok(Some(at));
        } else if !tag.ends_with(b"/>") {
            depth += 1;
        } else if depth == 0 {
            return Ok(Some(at));
        }
    }
}

/// The length of the tag that `input` begins with. An attribute may hold `>`.
fn tag_end(input: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in input.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_falls_into_its_pieces() {
        let pieces = [
            "<?xml version='1.0'?>",
            "<stream:stream from='a>b' id=\"'1'\">",
            "<stream:features><a><b/>text</a></stream:features>",
            "\n ",
            "<success/>",
            "<message to='x'><body>1 &lt; 2</body></message>",
            "</stream:stream>",
        ];
        let whole = pieces.concat();
        let mut rest = whole.as_bytes();
        for piece in pieces {
            let length = cut(rest).unwrap().unwrap();
            assert_eq!(std::str::from_utf8(&rest[..length]), Ok(piece));
            if !piece.trim().is_empty() {
                for short in 0..length {
                    assert_eq!(cut(&rest[..short]), Ok(None), "{piece} {short}");
                }
            }
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn text_between_stanzas_is_no_stream() {
        assert!(cut(b"hello <a/>").is_err());
        assert!(cut(&vec![b'<'; STANZA_BYTES_MAX + 1]).is_err());
    }
}
