//! mSIM 2 frames on TCP as a client writes and reads them.
//!
//! Written a second time on purpose: a codec shared with the server would agree with its mistakes,
//! and would have to be as general as the server's where this one only has to be cheap.

use std::ops::Range;

/// No session yet.
pub const NOBODY: [u8; 32] = [0; 32];
/// Where `sequence_number` lies in every frame.
const SEQ_AT: usize = 36;
/// Everything before the type's letters.
const HEAD: usize = 41;
/// Longest body accepted: clients must take frames up to 2 MiB.
const BODY_BYTES_MAX: u64 = 2 << 20;
/// The layer of a request that says nothing else: the one that has messages.
pub const LAYER: u32 = 3;

/// What a received frame is, as far as the bench cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer: its sequence number is not 0.
    Answer,
    /// MESSAGE-RECEIVE.
    Message,
    /// RESYNC: updates were lost.
    Resync,
    /// The last packet of a connection the server gives up.
    Error,
    /// Any other push.
    Other,
}

/// A frame at the start of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    pub seq: u32,
    pub status: u16,
    /// Where the body lies.
    pub body: Range<usize>,
}

/// Appends one request.
pub fn request(session: &[u8; 32], seq: u32, kind: &str, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&LAYER.to_be_bytes());
    out.extend_from_slice(session);
    out.extend_from_slice(&seq.to_be_bytes());
    out.push(kind.len() as u8);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(&(body.len() as u64).to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes());
    out.extend_from_slice(body);
}

/// Gives a frame made by [`request`] another layer and sequence number.
pub fn renumber(frame: &mut [u8], layer: u32, seq: u32) {
    frame[..4].copy_from_slice(&layer.to_be_bytes());
    frame[SEQ_AT..SEQ_AT + 4].copy_from_slice(&seq.to_be_bytes());
}

/// The frame that `input` begins with; `None` while it is not all there.
pub fn cut(input: &[u8]) -> Result<Option<Frame>, String> {
    if input.len() < HEAD {
        return Ok(None);
    }
    let seq = u32::from_be_bytes(four(&input[SEQ_AT..]));
    let kind_end = HEAD + usize::from(input[HEAD - 1]);
    let body_start = kind_end + 10;
    if input.len() < body_start {
        return Ok(None);
    }
    let mut length = [0; 8];
    length.copy_from_slice(&input[kind_end..kind_end + 8]);
    let length = u64::from_be_bytes(length);
    if length > BODY_BYTES_MAX {
        return Err(format!("the server sent a frame of {length} bytes"));
    }
    let body_end = body_start + length as usize;
    if input.len() < body_end {
        return Ok(None);
    }
    let status = u16::from_be_bytes([input[kind_end + 8], input[kind_end + 9]]);
    let kind = match (seq, &input[HEAD..kind_end]) {
        (_, b"ERROR") => Kind::Error,
        (1.., _) => Kind::Answer,
        (0, b"MESSAGE-RECEIVE") => Kind::Message,
        (0, b"RESYNC") => Kind::Resync,
        (0, _) => Kind::Other,
    };
    Ok(Some(Frame { kind, seq, status, body: body_start..body_end }))
}

/// The number after `key` in a body, found without reading the JSON around it.
pub fn number_after(body: &[u8], key: &str) -> Option<u64> {
    let digits = after(body, key)?;
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Whether `words` stand in a body, found without reading the JSON around them.
pub fn has(body: &[u8], words: &str) -> bool {
    after(body, words).is_some()
}

/// The session that an AUTH-PLAIN answer names: 64 hexadecimal digits after `"sessid":"`.
pub fn session_in(body: &[u8]) -> Option<[u8; 32]> {
    let digits = after(body, "\"sessid\":")?.strip_prefix(b"\"")?.get(..64)?;
    let mut session = [0; 32];
    for (byte, pair) in session.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(session)
}

/// What follows `key` and the spaces after it.
fn after<'a>(body: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let at = body.windows(key.len()).position(|window| window == key.as_bytes())?;
    Some(body[at + key.len()..].trim_ascii_start())
}

fn four(bytes: &[u8]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_lies_on_the_wire_as_the_protocol_page_draws_it() {
        let mut bytes = Vec::new();
        request(&[0xAB; 32], 7, "HELLO", b"{}", &mut bytes);
        let mut expected = vec![0, 0, 0, 3];
        expected.extend([0xAB; 32]);
        expected.extend([0, 0, 0, 7, 5]);
        expected.extend(b"HELLO");
        expected.extend([0, 0, 0, 0, 0, 0, 0, 2, 0, 0]);
        expected.extend(b"{}");
        assert_eq!(bytes, expected);
        renumber(&mut bytes, 5, 0x0102_0304);
        assert_eq!((&bytes[..4], &bytes[36..40]), (&[0, 0, 0, 5][..], &[1, 2, 3, 4][..]));
    }

    #[test]
    fn a_frame_is_cut_only_when_it_is_all_there() {
        let mut bytes = Vec::new();
        request(&NOBODY, 9, "MESSAGE-SEND", b"{\"message_id\":12}", &mut bytes);
        for end in 0..bytes.len() {
            assert_eq!(cut(&bytes[..end]), Ok(None), "{end}");
        }
        let whole = bytes.len();
        bytes.extend_from_slice(b"more");
        let frame = cut(&bytes).unwrap().unwrap();
        assert_eq!((frame.kind, frame.seq, frame.status), (Kind::Answer, 9, 0));
        assert_eq!(frame.body.end, whole);
        assert_eq!(number_after(&bytes[frame.body], "\"message_id\":"), Some(12));
    }

    #[test]
    fn pushes_are_told_apart() {
        let kind = |name, seq| {
            let mut bytes = Vec::new();
            request(&NOBODY, seq, name, b"", &mut bytes);
            cut(&bytes).unwrap().unwrap().kind
        };
        assert_eq!(kind("MESSAGE-RECEIVE", 0), Kind::Message);
        assert_eq!(kind("RESYNC", 0), Kind::Resync);
        assert_eq!(kind("CHATS-UPDATED", 0), Kind::Other);
        assert_eq!(kind("ERROR", 0), Kind::Error);
        assert_eq!(kind("ERROR", 4), Kind::Error);
    }

    #[test]
    fn an_absurd_length_is_refused_before_it_is_awaited() {
        let mut bytes = Vec::new();
        request(&NOBODY, 1, "HELLO", b"", &mut bytes);
        let at = bytes.len() - 10;
        bytes[at] = 0xFF;
        assert!(cut(&bytes).is_err());
    }

    #[test]
    fn a_session_is_read_from_its_hexadecimal_form() {
        let body = format!("{{\"sessid\": \"{}\"}}", "a5".repeat(32));
        assert_eq!(session_in(body.as_bytes()), Some([0xA5; 32]));
        assert_eq!(session_in(b"{\"sessid\":\"a5\"}"), None);
        assert_eq!(session_in(b"{}"), None);
    }
}
