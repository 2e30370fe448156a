//! The daybook: how a message reaches the card in one page, before it is entered into any table.
//!
//! A commit of redb is hundreds of thousands of instructions and two or three pages, whatever is
//! committed. Most turns write messages and nothing else, and a message needs no table to be safe. So
//! such a turn's messages are noted here, one record after the other, each with its own check: a
//! write-ahead log of messages. What is noted is read from memory, see `noted`. The next turn that
//! writes anything else enters all of it into `recent` with its own commit, and so does the turn for
//! which there is no room left, and the seal; after that the daybook begins again from its first page.
//!
//! ```text
//! record   begins at a page of 4 KiB, padded with zeros to the end of its last
//! 0        magic                    4 bytes
//! 4        CRC-32 of what follows   4
//! 8        length without padding   4
//! 12       messages                 4
//! 16       round                    8
//! 24       of each: id 8, chat 8, length 4, its record as `recent` takes it
//! ```
//!
//! Numbers are little-endian.
//!
//! - Nothing is ever taken back here. The commit that enters messages into `recent` also writes into
//!   `meta` that the next round has begun, see [`Posted`]: with it, all records of the round before
//!   stop to count at once.
//! - A round's number is random and told to nobody. So no page of a long message, left over from some
//!   round before, can pass for a record, whatever its author wrote there.
//! - A record is written where nothing lies that counts: a write that is cut short harms itself alone.
//! - Each record stands for itself. One that has rotted costs its own messages and no others.
//! - Whoever opens the database finds the messages where they are; none of them is written again.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::rand::SystemRandom;

use crate::store::StoreError;
use crate::store::journal::number_at;
use crate::store::noted::Note;
use crate::store::posting::Posted;

/// Room for 64 turns of one message, or some 1,500 messages of many together.
pub(super) const DAYBOOK_BYTES: u64 = 256 * 1024;
/// What a card writes at least. A record begins where no other one's write can harm it.
const PAGE: usize = 4096;

const MAGIC: [u8; 4] = *b"mDb1";
const CRC_AT: usize = 4;
const LENGTH_AT: usize = 8;
const COUNT_AT: usize = 12;
const ROUND_AT: usize = 16;
const NOTES_AT: usize = 24;
/// Of a message, before its record.
const NOTE_HEAD: usize = 20;
/// A record's buffer is not kept when it has grown beyond this.
const BUFFER_MAX: usize = 32 * 1024;

/// Where a daybook lies: `DAYBOOK_BYTES` somewhere.
pub(super) trait Region: Send + Sync {
    /// Whether it is there, or has a different use still.
    fn is_there(&self) -> bool;
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

/// Of a database in whose file there is no room for one.
pub(super) struct Nowhere;

impl Region for Nowhere {
    fn is_there(&self) -> bool {
        false
    }

    fn read(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// See the module.
pub(super) struct Daybook {
    region: Box<dyn Region>,
    pen: Mutex<Pen>,
}

#[derive(Default)]
struct Pen {
    /// What its records are marked with. 0: none has begun, nothing can be noted.
    round: u64,
    /// Where the next record goes.
    at: u64,
    /// The disk failed: whoever opens the database again reads what is there.
    failed: bool,
    buffer: Vec<u8>,
}

impl Daybook {
    /// Reads what is noted there and in no table, ascending by id, and makes certain that it is
    /// durable: what a process that was killed had not synced is about to be told.
    pub(super) fn load(
        region: Box<dyn Region>,
        posted: Posted,
    ) -> io::Result<(Daybook, Vec<Note>)> {
        let is_there = region.is_there() && posted.round != 0;
        let found = if is_there { Found::read(&*region, posted)? } else { Found::default() };
        if found.is_broken {
            log::error!("the daybook is damaged: messages from shortly before the end may be lost");
        }
        if !found.notes.is_empty() {
            region.sync()?;
        }
        let pen = Pen { round: posted.round, at: found.end, ..Pen::default() };
        Ok((Daybook { region, pen: Mutex::new(pen) }, found.notes))
    }

    /// Whether there is one to write to: else every turn is a commit.
    pub(super) fn is_open(&self) -> bool {
        self.region.is_there() && self.has_round()
    }

    /// Whether a round has begun, here or where the daybook is to be.
    pub(super) fn has_round(&self) -> bool {
        self.pen().round != 0
    }

    /// Whether these fit behind what is there.
    pub(super) fn has_room(&self, notes: &[Note]) -> bool {
        let notes = notes.iter().map(|note| NOTE_HEAD + note.record.len());
        let length = (NOTES_AT + notes.sum::<usize>()).next_multiple_of(PAGE);
        self.pen().at + length as u64 <= DAYBOOK_BYTES
    }

    /// Makes notes durable, for which there is room: one write and one sync.
    pub(super) fn note(&self, notes: &[Note]) -> io::Result<()> {
        let mut pen = self.pen();
        if pen.failed {
            return Err(io::Error::other("the disk has failed before"));
        }
        let mut record = std::mem::take(&mut pen.buffer);
        encode(pen.round, notes, &mut record);
        let done = self.region.write(pen.at, &record).and_then(|()| self.region.sync());
        pen.failed = done.is_err();
        done?;
        pen.at += record.len() as u64;
        if record.capacity() <= BUFFER_MAX {
            pen.buffer = record;
        }
        Ok(())
    }

    /// Everything that was noted is durable elsewhere, and so is that this round follows.
    pub(super) fn begin(&self, round: u64) {
        let mut pen = self.pen();
        (pen.round, pen.at) = (round, 0);
    }

    fn pen(&self) -> MutexGuard<'_, Pen> {
        // Nothing that panics happens while it is held.
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number for the next round.
pub(super) fn new_round() -> Result<u64, StoreError> {
    let random = ring::rand::generate::<[u8; 8]>(&SystemRandom::new());
    let bytes = random.map_err(|_| StoreError::Io("the system has no random bytes".into()))?;
    Ok(u64::from_le_bytes(bytes.expose()).max(1))
}

/// Writes a record over what is in `out`, with its padding: the kernel need not read what it would
/// keep of the last page.
fn encode(round: u64, notes: &[Note], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; COUNT_AT - CRC_AT]);
    out.extend_from_slice(&(notes.len() as u32).to_le_bytes());
    out.extend_from_slice(&round.to_le_bytes());
    for note in notes {
        let (chat, id) = note.place;
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&chat.to_le_bytes());
        out.extend_from_slice(&(note.record.len() as u32).to_le_bytes());
        out.extend_from_slice(&note.record);
    }
    let length = (out.len() as u32).to_le_bytes();
    out[LENGTH_AT..COUNT_AT].copy_from_slice(&length);
    let crc = crc32fast::hash(&out[LENGTH_AT..]);
    out[CRC_AT..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(PAGE), 0);
}

/// `None` where these bytes are no record of this round, or not a whole one.
fn decode(round: u64, bytes: &[u8]) -> Option<Vec<Note>> {
    let sum = number_at(bytes, CRC_AT)?;
    let own_round = u64::from_le_bytes(*bytes.get(ROUND_AT..)?.first_chunk()?);
    if own_round != round || crc32fast::hash(bytes.get(LENGTH_AT..)?) != sum {
        return None;
    }
    let count = number_at(bytes, COUNT_AT)?;
    let mut rest = bytes.get(NOTES_AT..)?;
    let mut notes = Vec::new();
    for _ in 0..count {
        let (head, behind) = rest.split_first_chunk::<NOTE_HEAD>()?;
        let long = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let (record, behind) = behind.split_at_checked(number_at(head, 16)? as usize)?;
        notes.push(Note { place: (long(8)?, long(0)?), record: record.into() });
        rest = behind;
    }
    rest.is_empty().then_some(notes)
}

/// How long the record is that begins so, when one does.
fn length_of(begin: &[u8]) -> Option<usize> {
    let length = number_at(begin, LENGTH_AT)? as usize;
    let fits = (NOTES_AT..=DAYBOOK_BYTES as usize).contains(&length);
    (begin.starts_with(&MAGIC) && fits).then_some(length)
}

/// What a region holds that counts.
#[derive(Default)]
struct Found {
    /// Ascending by id.
    notes: Vec<Note>,
    /// Behind the last record that counts.
    end: u64,
    /// One lies before that which does not check.
    is_broken: bool,
}

impl Found {
    fn read(region: &dyn Region, posted: Posted) -> io::Result<Found> {
        let mut found = Found::default();
        let mut begin = [0; PAGE];
        let mut at = 0;
        while at < DAYBOOK_BYTES {
            region.read(at, &mut begin)?;
            let mut end = at + PAGE as u64;
            if let Some(length) = length_of(&begin).filter(|l| *l as u64 <= DAYBOOK_BYTES - at) {
                let mut record = vec![0; length];
                region.read(at, &mut record)?;
                if let Some(notes) = decode(posted.round, &record) {
                    end = at + length.next_multiple_of(PAGE) as u64;
                    found.is_broken |= at != found.end;
                    found.end = end;
                    // Mere caution: a round has none that is older.
                    let newer = |note: &Note| note.place.1 > posted.last;
                    found.notes.extend(notes.into_iter().filter(newer));
                }
            }
            at = end;
        }
        found.notes.sort_by_key(|note| note.place.1);
        Ok(found)
    }
}

impl fmt::Debug for Daybook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daybook").finish_non_exhaustive()
    }
}
