//! Lines as `wire::lines` cuts them, sent with `\r\n`, and the server's TIC.

use super::LINE_BYTES_MAX;
use crate::wire::lines::{Cutter, Flaw};
use crate::wire::{self, Broken, Buffer, Farewell};

/// One line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(pub String);

/// Bytes ⇄ lines.
#[derive(Debug)]
pub struct Codec {
    cutter: Cutter,
    /// The client has said something since the last beat.
    heard: bool,
    /// Beats since then.
    silent: u8,
}

/// A TIC is sent this often.
const BEAT_SECS: u64 = 30;
/// So many in a row stay unanswered before the client counts as gone.
const SILENT_MAX: u8 = 3;

impl Codec {
    pub fn new() -> Codec {
        Codec { cutter: Cutter::new(LINE_BYTES_MAX), heard: false, silent: 0 }
    }
}

impl Default for Codec {
    fn default() -> Codec {
        Codec::new()
    }
}

impl wire::Codec for Codec {
    type Packet = Line;

    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Line>, Broken<Line>> {
        let (text, why) = match self.cutter.cut(input) {
            Ok(line) => {
                self.heard |= line.is_some();
                return Ok(line.map(Line));
            }
            Err(Flaw::TooLong) => ("ERR a line has at most 4096 bytes", Farewell::TooLarge),
            Err(Flaw::NoText) => ("ERR a line is UTF-8", Farewell::Malformed),
        };
        Err(Broken { last: Some(Line(text.into())), why })
    }

    fn encode(&mut self, line: &Line, out: &mut Vec<u8>) {
        out.reserve(line.0.len() + 2);
        out.extend_from_slice(line.0.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn beat_secs(&self) -> Option<u64> {
        Some(BEAT_SECS)
    }

    fn on_beat(&mut self, out: &mut Vec<u8>) -> bool {
        self.silent = if std::mem::take(&mut self.heard) { 0 } else { self.silent + 1 };
        let is_there = self.silent < SILENT_MAX;
        if is_there {
            out.extend_from_slice(b"TIC\r\n");
        }
        is_there
    }
}
