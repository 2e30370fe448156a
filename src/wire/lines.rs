//! Lines of text out of bytes: cut at `\n`, a `\r` before it is no part of them, empty ones are
//! passed over.

use crate::wire::Buffer;

#[derive(Debug)]
pub(in crate::wire) struct Cutter {
    /// Of a line without its end.
    bytes_max: u32,
    /// How far the unread bytes were searched for an end: they are not searched again.
    searched: u32,
}

/// Bytes that are no line. Nothing after them can be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Flaw {
    TooLong,
    NoText,
}

impl Cutter {
    pub(in crate::wire) fn new(bytes_max: usize) -> Cutter {
        Cutter { bytes_max: u32::try_from(bytes_max).unwrap_or(u32::MAX), searched: 0 }
    }

    /// The next whole line, without its end; `None`: more bytes first.
    pub(in crate::wire) fn cut(&mut self, input: &mut Buffer) -> Result<Option<String>, Flaw> {
        loop {
            let bytes = input.as_slice();
            let most = self.bytes_max as usize;
            let searched = self.searched as usize;
            let Some(at) = bytes.iter().skip(searched).position(|b| *b == b'\n') else {
                // One more may be the `\r` of an end whose `\n` is on its way.
                if most.saturating_add(1) < bytes.len() {
                    return Err(Flaw::TooLong);
                }
                self.searched = u32::try_from(bytes.len()).unwrap_or(0);
                return Ok(None);
            };
            let end = searched + at;
            let line = &bytes[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if most < line.len() {
                return Err(Flaw::TooLong);
            }
            let line = std::str::from_utf8(line).map_err(|_| Flaw::NoText)?.to_owned();
            input.consume(end + 1);
            self.searched = 0;
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }
}
