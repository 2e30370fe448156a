//! Raw bytes as talks write them: `00 ff`, `"text\r\n"`, `"x"*100`, `u32:7`, `zero*32`,
//! `session:alice`.

use super::term::{Names, fill, quoted};
use crate::client::session_bytes;

/// The bytes that a line of a talk writes.
pub fn bytes(text: &str, names: &Names) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let piece;
        (piece, rest) = if rest.starts_with('"') {
            let literal = quoted(rest)?;
            let inner = fill(&literal[1..literal.len() - 1], names)?;
            (unescape(&inner)?, &rest[literal.len()..])
        } else {
            let end = rest.find([' ', '*']).unwrap_or(rest.len());
            (word(&rest[..end], names)?, &rest[end..])
        };
        let mut times = 1;
        if let Some(after) = rest.strip_prefix('*') {
            let end = after.find(' ').unwrap_or(after.len());
            times = after[..end].parse().map_err(|_| format!("not a count: {after:?}"))?;
            rest = &after[end..];
        }
        out.extend(piece.repeat(times));
        rest = rest.trim_start();
    }
    Ok(out)
}

fn word(word: &str, names: &Names) -> Result<Vec<u8>, String> {
    let wrong = || format!("bytes are written otherwise than {word:?}");
    if word == "zero" {
        return Ok(vec![0]);
    }
    if let Some(name) = word.strip_prefix("session:") {
        return Ok(session_bytes(&fill(&format!("${{{name}}}"), names)?)?.to_vec());
    }
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| wrong());
    match word.split_once(':') {
        Some(("u8", n)) => Ok(vec![number(n)? as u8]),
        Some(("u16", n)) => Ok((number(n)? as u16).to_be_bytes().to_vec()),
        Some(("u32", n)) => Ok((number(n)? as u32).to_be_bytes().to_vec()),
        Some(("u64", n)) => Ok(number(n)?.to_be_bytes().to_vec()),
        Some(_) => Err(wrong()),
        None => {
            if !word.len().is_multiple_of(2) || !word.is_ascii() {
                return Err(wrong());
            }
            (0..word.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&word[i..i + 2], 16).map_err(|_| wrong()))
                .collect()
        }
    }
}

/// `\r \n \t \0 \" \\ \xNN`; everything else stands for itself.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next() {
            Some('r') => out.push(b'\r'),
            Some('n') => out.push(b'\n'),
            Some('t') => out.push(b'\t'),
            Some('0') => out.push(0),
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                out.push(u8::from_str_radix(&digits, 16).map_err(|e| format!("\\x{digits}: {e}"))?);
            }
            Some(c @ ('"' | '\\')) => out.push(c as u8),
            other => return Err(format!("an unknown escape: {other:?}")),
        }
    }
    Ok(out)
}

#[test]
fn bytes_are_written_in_four_ways() {
    let names = Names::from([("x".into(), "y".into())]);
    let written = bytes(r#"00ff 01 "a\r\n${x}\x80" u16:258 zero*2 "ab"*2"#, &names);
    assert_eq!(written.as_deref(), Ok(&b"\x00\xff\x01a\r\ny\x80\x01\x02\0\0abab"[..]));
}
