//! What lies between redb and the disk: a header that survives a card which garbles the sector it
//! is writing when the power goes.
//!
//! redb keeps its header in the first 320 bytes and rewrites them at every commit. Pages are
//! written where nothing lives and checked by their checksums, so a torn page costs an unannounced
//! commit; a torn header costs the database. [`TwoSlots`] therefore keeps the header twice, in two
//! sectors of its own that are written in turn:
//!
//! ```text
//! 0        slot 0: magic, schema, counter, header, CRC-32
//! 32 KiB   slot 1: the same
//! 64 KiB   the journal, see `journal`; up to schema 3 there is none
//! 320 KiB  the daybook, see `daybook`; in schema 4 the journal takes its room, too
//! 576 KiB  redb's second page and all that follow (offset + 572 KiB; up to schema 3 + 60 KiB)
//! ```
//!
//! - The slots lie 32 KiB apart, so that a card's own smallest write unit does not hold both.
//! - The newest slot whose check matches is the header. Between two syncs only one slot is ever
//!   written, the older one, so the other holds what the last sync made durable.
//! - When one slot does not check, redb is made to verify every page (its "recovery required" set,
//!   its "two-phase" cleared), because it cannot be told whether that slot was torn a moment ago or
//!   has rotted since; in the latter case the other slot is one commit behind its pages.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use crate::store::daybook::{DAYBOOK_BYTES, Region};
use crate::store::journal::JOURNAL_BYTES;

/// What this version makes; a larger one is refused.
///
/// - 1: all messages lie in `messages`.
/// - 2: the newest lie in `recent`.
/// - 3: accounts and groups are found by their random numbers.
/// - 4: the same tables, and a journal before them. A file from before has no room for one and
///   stays of schema 3 until a backup of it is restored.
/// - 5: half of the journal's room is the daybook's, and the newest messages may lie there. A file
///   of schema 4 becomes one with its first write.
pub(super) const SCHEMA: u32 = 5;

/// Up to this schema there is no journal between the slots and the pages. Files of it are brought
/// to it and no further.
pub(super) const UNJOURNALED: u32 = 3;

/// Up to this schema the journal has all the room that there is, and no message lies before it.
pub(super) const UNBOOKED: u32 = 4;

const MAGIC: [u8; 8] = *b"msimd\x1A\n\0";
/// redb's first page, of which it uses the header only.
pub(super) const FIRST_PAGE: u64 = 4096;
pub(super) const HEADER_BYTES: usize = 320;
const SLOT_DISTANCE: u64 = 32 * 1024;
/// What lies behind the slots: the room of journal and daybook, or at once redb's second page.
pub(super) const SLOTS_END: u64 = 64 * 1024;
/// The room between the slots and the pages.
pub(super) const ROOM_BYTES: u64 = 512 * 1024;
/// One sector: written whole or, at worst, garbled alone.
const SLOT_BYTES: usize = 512;
const SCHEMA_AT: usize = 8;
const COUNTER_AT: usize = 12;
const HEADER_AT: usize = 20;
const CRC_AT: usize = HEADER_AT + HEADER_BYTES;

// Where redb 4.4 keeps what is needed here of its header.
const FLAGS_AT: usize = 9;
const RECOVERY_REQUIRED: u8 = 2;
const TWO_PHASE: u8 = 4;
const PAGE_SIZE_AT: usize = 12;
const REGION_HEADER_PAGES_AT: usize = 16;
const REGION_PAGES_AT: usize = 20;
const FULL_REGIONS_AT: usize = 24;
const LAST_REGION_PAGES_AT: usize = 28;

/// Why a file is none that can be opened.
#[derive(Debug)]
pub(super) enum Unfit {
    Foreign(String),
    Damaged(String),
    Newer(u32),
    Io(io::Error),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Unfit {
        Unfit::Io(error)
    }
}

/// See the module.
pub(super) struct TwoSlots {
    disk: Box<dyn StorageBackend>,
    /// What the slots say.
    schema: AtomicU32,
    /// How much further back pages lie than redb thinks.
    shift: u64,
    /// When it was loaded one of the slots did not check.
    doubtful: bool,
    state: Mutex<State>,
}

struct State {
    header: [u8; HEADER_BYTES],
    /// Of the newest slot; the slot is the counter's last bit.
    counter: u64,
    /// The slot of `counter` was written since the last sync and may be written again.
    open: bool,
    /// Which slots hold a header that checks.
    sound: [bool; 2],
}

impl TwoSlots {
    /// For an empty file.
    pub(super) fn new(disk: Box<dyn StorageBackend>, schema: u32) -> TwoSlots {
        // Counter 1: the first write goes to slot 0, as number 2.
        let state = State { header: [0; HEADER_BYTES], counter: 1, open: false, sound: [false; 2] };
        let shift = shift(schema);
        let schema = AtomicU32::new(schema);
        TwoSlots { disk, schema, shift, doubtful: false, state: Mutex::new(state) }
    }

    /// For a file that has been made before. Reads the two slots and writes nothing.
    pub(super) fn load(disk: Box<dyn StorageBackend>) -> Result<TwoSlots, Unfit> {
        let length = disk.len()?;
        let mut begin = [0; MAGIC.len()];
        if (begin.len() as u64..SLOTS_END).contains(&length) {
            disk.read(0, &mut begin)?;
        }
        if begin == MAGIC {
            return Err(cut_short(length, SLOTS_END));
        }
        if length < SLOTS_END {
            return Err(Unfit::Foreign(format!(
                "it has {length} bytes, a database has at least {SLOTS_END}"
            )));
        }
        let slots = [Slot::read(&*disk, 0)?, Slot::read(&*disk, 1)?];
        let (mut sound, mut doubtful) = ([true; 2], false);
        let newest = match slots {
            [Slot::Good(a, x), Slot::Good(b, y)] => {
                if a > b {
                    (a, x)
                } else {
                    (b, y)
                }
            }
            [Slot::Good(counter, header), _] | [_, Slot::Good(counter, header)] => {
                log::warn!("one of the two headers is damaged: every page will be verified");
                sound = [counter & 1 == 0, counter & 1 == 1];
                doubtful = true;
                (counter, Header { bytes: with_verification(header.bytes), ..header })
            }
            [Slot::Alien, Slot::Alien] => {
                return Err(Unfit::Foreign("it does not begin as a database does".into()));
            }
            [Slot::Bad | Slot::Alien, Slot::Bad | Slot::Alien] => {
                return Err(Unfit::Damaged("both of its headers are unreadable".into()));
            }
        };
        let (counter, Header { schema, bytes }) = newest;
        if schema > SCHEMA {
            return Err(Unfit::Newer(schema));
        }
        let state = State { header: bytes, counter, open: false, sound };
        let (shift, schema, state) = (shift(schema), AtomicU32::new(schema), Mutex::new(state));
        let slots = TwoSlots { disk, schema, shift, doubtful, state };
        if length < slots.shift + FIRST_PAGE {
            return Err(cut_short(length, slots.shift + FIRST_PAGE));
        }
        // A journal may know a newer header, of a shorter file.
        if !slots.is_journaled() {
            slots.holds(&bytes)?;
        }
        Ok(slots)
    }

    /// Whether all the pages of this header lie in the file.
    pub(super) fn holds(&self, header: &[u8; HEADER_BYTES]) -> Result<(), Unfit> {
        let (length, whole) = (self.disk.len()?, pages_end(header).saturating_add(self.shift));
        if length < whole { Err(cut_short(length, whole)) } else { Ok(()) }
    }

    pub(super) fn schema(&self) -> u32 {
        self.schema.load(Ordering::Acquire)
    }

    /// Whether there is room for a journal between the slots and the pages.
    pub(super) fn is_journaled(&self) -> bool {
        self.schema() > UNJOURNALED
    }

    /// Whether a part of that room is the daybook's.
    pub(super) fn is_booked(&self) -> bool {
        self.schema() > UNBOOKED
    }

    /// Divides the room of a file of schema 4 as it is divided today, when nothing in it counts any
    /// more. Both slots say so before anything is written there: should one of them rot, the other
    /// one says the same.
    pub(super) fn divide_room(&self, header: &[u8; HEADER_BYTES]) -> io::Result<()> {
        for _ in 0..2 {
            self.write_slot(0, header, SCHEMA)?;
            self.sync_data()?;
        }
        self.schema.store(SCHEMA, Ordering::Release);
        Ok(())
    }

    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        self.lock().header
    }

    /// Of the newest slot.
    pub(super) fn counter(&self) -> u64 {
        self.lock().counter
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Whether both slots hold a header that checks.
    pub(super) fn is_whole(&self) -> bool {
        self.lock().sound == [true; 2]
    }

    /// The bytes of the room between slots and pages, from its beginning on.
    pub(super) fn read_room(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(SLOTS_END + offset, out)
    }

    pub(super) fn write_room(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(SLOTS_END + offset, data)
    }

    /// Whether the file was not closed and a repair will read all of it.
    pub(super) fn needs_repair(&self) -> bool {
        needs_repair(&self.lock().header)
    }

    /// Reads the whole file once from front to back and forgets it: a card does that many times
    /// faster than the scattered reads of a repair, which then find it in the kernel's cache.
    pub(super) fn read_ahead(&self, progress: &mut dyn FnMut(u64, u64)) -> io::Result<()> {
        let length = self.disk.len()?;
        let mut buffer = vec![0; 1 << 18];
        let mut offset = 0;
        while offset < length {
            let part = buffer.len().min(usize::try_from(length - offset).unwrap_or(usize::MAX));
            self.disk.read(offset, &mut buffer[..part])?;
            offset += part as u64;
            progress(offset, length);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics happens while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_header(&self, offset: usize, data: &[u8]) -> io::Result<()> {
        self.write_slot(offset, data, self.schema().max(UNJOURNALED))
    }

    fn write_slot(&self, offset: usize, data: &[u8], schema: u32) -> io::Result<()> {
        let mut state = self.lock();
        let place = offset..offset + data.len();
        state.header.get_mut(place).ok_or_else(outside)?.copy_from_slice(data);
        if !state.open {
            state.counter += 1;
            state.open = true;
        }
        let slot = slot_bytes(state.counter, schema, &state.header);
        self.disk.write(slot_offset(state.counter), &slot)?;
        let number = usize::from(state.counter & 1 == 1);
        state.sound[number] = true;
        Ok(())
    }

    fn read_header(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let mut page = [0; FIRST_PAGE as usize];
        page[..HEADER_BYTES].copy_from_slice(&self.lock().header);
        out.copy_from_slice(page.get(offset..offset + out.len()).ok_or_else(outside)?);
        Ok(())
    }
}

impl StorageBackend for TwoSlots {
    fn len(&self) -> io::Result<u64> {
        Ok(match self.disk.len()? {
            0 => 0,
            length => length.checked_sub(self.shift).ok_or_else(outside)?,
        })
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset < FIRST_PAGE {
            self.read_header(offset as usize, out)
        } else {
            self.disk.read(offset + self.shift, out)
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.set_len(length + self.shift)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync_data()?;
        self.lock().open = false;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset < FIRST_PAGE {
            self.write_header(offset as usize, data)
        } else {
            self.disk.write(offset + self.shift, data)
        }
    }

    fn close(&self) -> io::Result<()> {
        self.disk.close()
    }

    // redb locks ranges that stand for its protocol, not for bytes: they are not shifted.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.query_lock_range(start, end)
    }
}

/// The daybook: the second half of the room.
impl Region for Arc<TwoSlots> {
    fn is_there(&self) -> bool {
        self.is_booked()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_room(JOURNAL_BYTES + offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_room(JOURNAL_BYTES + offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

const _: () = assert!(JOURNAL_BYTES + DAYBOOK_BYTES == ROOM_BYTES);

impl fmt::Debug for TwoSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoSlots").field("disk", &self.disk).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
struct Header {
    schema: u32,
    bytes: [u8; HEADER_BYTES],
}

#[expect(clippy::large_enum_variant, reason = "two of them live for one function")]
enum Slot {
    Good(u64, Header),
    /// Ours by its first bytes, but its check does not match.
    Bad,
    Alien,
}

impl Slot {
    fn read(disk: &dyn StorageBackend, slot: u64) -> io::Result<Slot> {
        let mut sector = [0; SLOT_BYTES];
        disk.read(slot_offset(slot), &mut sector)?;
        let field = |at: usize| -> [u8; 4] { [0, 1, 2, 3].map(|i| sector[at + i]) };
        if crc32fast::hash(&sector[..CRC_AT]) != u32::from_le_bytes(field(CRC_AT)) {
            return Ok(if sector[..8] == MAGIC { Slot::Bad } else { Slot::Alien });
        }
        if sector[..8] != MAGIC {
            return Ok(Slot::Alien);
        }
        let counter = u64::from(u32::from_le_bytes(field(COUNTER_AT)))
            | u64::from(u32::from_le_bytes(field(COUNTER_AT + 4))) << 32;
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(&sector[HEADER_AT..CRC_AT]);
        Ok(Slot::Good(counter, Header { schema: u32::from_le_bytes(field(SCHEMA_AT)), bytes }))
    }
}

fn slot_bytes(counter: u64, schema: u32, header: &[u8; HEADER_BYTES]) -> [u8; SLOT_BYTES] {
    let mut sector = [0; SLOT_BYTES];
    sector[..8].copy_from_slice(&MAGIC);
    sector[SCHEMA_AT..COUNTER_AT].copy_from_slice(&schema.to_le_bytes());
    sector[COUNTER_AT..HEADER_AT].copy_from_slice(&counter.to_le_bytes());
    sector[HEADER_AT..CRC_AT].copy_from_slice(header);
    let crc = crc32fast::hash(&sector[..CRC_AT]);
    sector[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    sector
}

/// Makes a file one of another schema, by its headers.
#[cfg(test)]
pub(super) fn mark(bytes: &mut [u8], schema: u32) {
    for slot in [0, SLOT_DISTANCE as usize] {
        let sector = &mut bytes[slot..slot + SLOT_BYTES];
        sector[SCHEMA_AT..COUNTER_AT].copy_from_slice(&schema.to_le_bytes());
        let crc = crc32fast::hash(&sector[..CRC_AT]);
        sector[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn slot_offset(counter: u64) -> u64 {
    (counter & 1) * SLOT_DISTANCE
}

/// How much further back pages lie than redb thinks.
fn shift(schema: u32) -> u64 {
    let room = if schema > UNJOURNALED { ROOM_BYTES } else { 0 };
    SLOTS_END + room - FIRST_PAGE
}

fn cut_short(length: u64, whole: u64) -> Unfit {
    Unfit::Damaged(format!("it is cut short: {length} of {whole} bytes"))
}

/// A header with which redb verifies every page.
pub(super) fn with_verification(mut header: [u8; HEADER_BYTES]) -> [u8; HEADER_BYTES] {
    header[FLAGS_AT] = (header[FLAGS_AT] | RECOVERY_REQUIRED) & !TWO_PHASE;
    header
}

/// Whether redb will read all pages, as after a power cut that no seal preceded.
pub(super) fn needs_repair(header: &[u8; HEADER_BYTES]) -> bool {
    let flags = header[FLAGS_AT];
    flags & RECOVERY_REQUIRED != 0 && flags & TWO_PHASE == 0
}

/// Where the pages end by redb's own account. It grows the file before it says so in its header and
/// says so before it cuts, hence a file is never shorter.
fn pages_end(header: &[u8; HEADER_BYTES]) -> u64 {
    let field = |at: usize| u64::from(u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i])));
    let page = field(PAGE_SIZE_AT);
    let head = field(REGION_HEADER_PAGES_AT);
    let full = head.saturating_add(field(REGION_PAGES_AT)).saturating_mul(field(FULL_REGIONS_AT));
    let last = match field(LAST_REGION_PAGES_AT) {
        0 => 0,
        pages => head + pages,
    };
    full.saturating_add(last).saturating_add(1).saturating_mul(page)
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside of the database's header")
}
