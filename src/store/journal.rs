//! The journal: how a commit reaches the card in one or two pages instead of seven.
//!
//! redb writes a page for every node that a commit touches: for one message that is its leaf, the
//! branch above, the list of tables, three of its own books and the header, 28 KiB in seven places.
//! The next commit writes most of them again elsewhere, so what the card got is of use to nobody. A
//! [`Journal`] lies between redb and [`TwoSlots`]. What a sync makes durable it writes as one
//! record, one piece after the other, and keeps the pages in memory; a page is put in its place
//! later, when the journal needs the room, and by then most have been replaced.
//!
//! ```text
//! half 0   record 1, record 2, …      each begins at a page of 4 KiB
//! half 1   …                          the halves are written in turn
//! ```
//!
//! - A record holds the header and what changed in the pages, and a check over all of it. So a
//!   commit is there or not, whatever the card makes of the sectors that were under way.
//! - A record builds upon those from its `tail` on. When a half begins, the pages of the half
//!   before are put in place with the same sync that makes its first record durable; the records
//!   after that have this one as their tail, and the half before can be written over.
//! - An epoch begins with a slot that says what all records before it amount to: after a start that
//!   found records, and when the database is closed. Records of an epoch older than the newest slot
//!   are not looked at. A closed file is therefore whole without its journal.
//! - A commit of many pages puts them in place at once, without a record, as redb means it: where
//!   nothing lives, and where no record that still counts would put an older page over them. Should
//!   the power go meanwhile, redb finds by its checksums that the commit is not whole and takes the
//!   one before, all of whose pages are in place or in records.
//!
//! What redb writes between two syncs is `fresh`; what lies in records that count is `kept`. Both
//! hide what is on the disk.

mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{BackendError, StorageBackend};

use crate::store::backend::{self, FIRST_PAGE, HEADER_BYTES, ROOM_BYTES, SCHEMA, TwoSlots, Unfit};
pub(super) use record::number_at;
use record::{PAGE, Pages, Record, Turn};

/// A half takes some 30 small commits; what is put in place after it are 20 to 30 pages.
const HALF: u64 = 128 * 1024;
/// What the journal has of the room between the slots and the pages.
pub(super) const JOURNAL_BYTES: u64 = 2 * HALF;
/// A half where the journal has all of it.
const UNBOOKED_HALF: u64 = ROOM_BYTES / 2;
/// With more fresh pages than this they are put in place at once: what is in many pages stays in
/// most of them, and would be written twice.
const FRESH_MAX: usize = 32;
/// With more kept pages than this they are put in place: 256 KiB of memory.
const KEPT_MAX: usize = 64;
/// A record's buffer is not kept when it has grown beyond this.
const BUFFER_MAX: usize = 32 * 1024;

static NONE: Pages = Pages::new();

/// See the module.
pub(super) struct Journal {
    slots: Arc<TwoSlots>,
    sight: RwLock<Sight>,
    pen: Mutex<Pen>,
}

/// What readers look at before the disk.
struct Sight {
    header: [u8; HEADER_BYTES],
    fresh: Pages,
    kept: Pages,
}

/// What only the one who writes needs.
struct Pen {
    epoch: u64,
    /// The next record's.
    number: u64,
    tail: u64,
    /// What the last durable record gives as its tail; 1 when there is none.
    proven: u64,
    half: usize,
    /// The next record's place in the half.
    at: u64,
    /// The last record of each half in this epoch.
    last: [u64; 2],
    /// The header of the last sync.
    durable: [u8; HEADER_BYTES],
    /// There are records of before the start, or the room is divided as it was in schema 4: an epoch
    /// has to begin before anything is written.
    inherited: bool,
    /// Something was written since the start.
    touched: bool,
    /// The disk failed: whoever opens the database again reads what is there.
    failed: bool,
    buffer: Vec<u8>,
}

impl Pen {
    /// At the beginning of an epoch.
    fn new(epoch: u64, durable: [u8; HEADER_BYTES]) -> Pen {
        Pen {
            epoch,
            number: 1,
            tail: 1,
            proven: 1,
            half: 0,
            at: 0,
            last: [0; 2],
            durable,
            inherited: false,
            touched: false,
            failed: false,
            buffer: Vec::new(),
        }
    }
}

impl Journal {
    /// For an empty file.
    pub(super) fn new(disk: Box<dyn StorageBackend>) -> Journal {
        let slots = Arc::new(TwoSlots::new(disk, SCHEMA));
        let header = slots.header();
        Journal::of(slots, header, Pages::new())
    }

    /// For a file that has been made before. Reads its records and writes nothing.
    pub(super) fn load(slots: Arc<TwoSlots>) -> Result<Journal, Unfit> {
        let Found { mut header, mut kept, any, doubtful } = Found::read(&slots)?;
        if doubtful || slots.is_doubtful() {
            header = backend::with_verification(header);
        }
        slots.holds(&header)?;
        // redb cuts the file behind pages that nobody needs any more.
        let length = slots.len()?;
        kept.retain(|place, _| place + FIRST_PAGE <= length);
        let is_of_today = slots.is_booked();
        let journal = Journal::of(slots, header, kept);
        journal.pen().inherited = any || !is_of_today;
        Ok(journal)
    }

    fn of(slots: Arc<TwoSlots>, header: [u8; HEADER_BYTES], kept: Pages) -> Journal {
        let pen = Pen::new(slots.counter(), header);
        let sight = Sight { header, fresh: Pages::new(), kept };
        Journal { slots, sight: RwLock::new(sight), pen: Mutex::new(pen) }
    }

    /// Whether the file was not closed and a repair will read all of it.
    pub(super) fn needs_repair(&self) -> bool {
        backend::needs_repair(&self.sight().header)
    }

    /// See [`TwoSlots::read_ahead`].
    pub(super) fn read_ahead(&self, progress: &mut dyn FnMut(u64, u64)) -> io::Result<()> {
        self.slots.read_ahead(progress)
    }

    // Nothing that panics happens while these are held.
    fn pen(&self) -> MutexGuard<'_, Pen> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sight(&self) -> RwLockReadGuard<'_, Sight> {
        self.sight.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sight_mut(&self) -> RwLockWriteGuard<'_, Sight> {
        self.sight.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what writes. After an error nothing more is written: see [`Pen::failed`].
    fn scribble<T>(&self, work: impl FnOnce(&mut Pen) -> io::Result<T>) -> io::Result<T> {
        let mut pen = self.pen();
        if pen.failed {
            return Err(io::Error::other("the disk has failed before"));
        }
        pen.touched = true;
        let done = work(&mut pen);
        pen.failed = done.is_err();
        done
    }

    fn put(&self, pen: &mut Pen, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset < FIRST_PAGE {
            let start = offset as usize;
            let mut sight = self.sight_mut();
            let place = sight.header.get_mut(start..start + data.len()).ok_or_else(misplaced)?;
            place.copy_from_slice(data);
            return Ok(());
        }
        let (pages, []) = data.as_chunks::<PAGE>() else { return Err(misplaced()) };
        if !offset.is_multiple_of(FIRST_PAGE) {
            return Err(misplaced());
        }
        let many = {
            let mut sight = self.sight_mut();
            for (page, place) in pages.iter().zip((offset..).step_by(PAGE)) {
                sight.fresh.insert(place, Box::new(*page));
            }
            sight.fresh.len() > FRESH_MAX
        };
        if many {
            self.put_in_place(pen)?;
        }
        Ok(())
    }

    /// Fresh pages go where they belong, except where a record would put an older one over them.
    fn put_in_place(&self, pen: &mut Pen) -> io::Result<()> {
        if pen.inherited {
            self.begin_epoch(pen)?;
        }
        let sight = self.sight();
        for (place, page) in sight.fresh.iter().filter(|(place, _)| !sight.kept.contains_key(place))
        {
            self.slots.write(*place, &**page)?;
        }
        drop(sight);
        let mut sight = self.sight_mut();
        let Sight { fresh, kept, .. } = &mut *sight;
        fresh.retain(|place, _| kept.contains_key(place));
        Ok(())
    }

    fn sync(&self, pen: &mut Pen) -> io::Result<()> {
        if pen.inherited {
            self.begin_epoch(pen)?;
        }
        let (fresh, header) = {
            let sight = self.sight();
            (sight.fresh.len(), sight.header)
        };
        if fresh == 0 && header == pen.durable {
            // The file has grown.
            return self.slots.sync_data();
        }
        let mut record = mem::take(&mut pen.buffer);
        let homing = self.make_fit(pen, &mut record)?;
        if homing {
            self.home(|place, sight| !sight.fresh.contains_key(place))?;
        }
        // To its last page's end: the kernel need not read what it would keep of it.
        record.resize(record.len().next_multiple_of(PAGE), 0);
        self.slots.write_room(pen.half as u64 * half(&self.slots) + pen.at, &record)?;
        self.slots.sync_data()?;

        let mut sight = self.sight_mut();
        let mut fresh = mem::take(&mut sight.fresh);
        if homing {
            sight.kept = fresh;
        } else {
            sight.kept.append(&mut fresh);
        }
        drop(sight);
        pen.durable = header;
        pen.proven = pen.tail;
        if homing {
            pen.tail = pen.number;
        }
        pen.last[pen.half] = pen.number;
        pen.number += 1;
        pen.at += record.len() as u64;
        if record.capacity() <= BUFFER_MAX {
            pen.buffer = record;
        }
        Ok(())
    }

    /// Encodes a record of what is fresh that fits where the pen stands, and moves the pen where there
    /// is room for it. Whether what is kept has to go to its places with the same sync.
    fn make_fit(&self, pen: &mut Pen, record: &mut Vec<u8>) -> io::Result<bool> {
        let half = half(&self.slots);
        let mut homing = self.sight().kept.len() > KEPT_MAX;
        let mut spilled = false;
        loop {
            self.encode(pen, homing, record);
            let length = record.len() as u64;
            // So that a half holds at least two records: after the second, the other half is free.
            if length > half / 2 {
                if spilled {
                    // Then all of them can go to their places.
                    self.begin_epoch(pen)?;
                }
                self.put_in_place(pen)?;
                spilled = true;
            } else if pen.at + length > half {
                let other = 1 - pen.half;
                if pen.last[other] < pen.proven {
                    (pen.half, pen.at) = (other, 0);
                } else {
                    self.begin_epoch(pen)?;
                }
                homing = true;
            } else {
                return Ok(homing);
            }
        }
    }

    /// A record that is to be the others' tail builds upon none.
    fn encode(&self, pen: &Pen, is_tail: bool, record: &mut Vec<u8>) {
        let turn = Turn { epoch: pen.epoch, number: pen.number, tail: pen.tail };
        let Sight { header, fresh, kept } = &*self.sight();
        record::encode(record, turn, header, fresh, if is_tail { &NONE } else { kept });
    }

    /// Writes kept pages where they belong. They are there for good after the next sync.
    fn home(&self, which: impl Fn(&u64, &Sight) -> bool) -> io::Result<()> {
        let (sight, length) = (self.sight(), self.slots.len()?);
        // Of what lay behind the end since the file was cut nobody asks.
        let is_there = |place: &u64| place + FIRST_PAGE <= length;
        let mut pages =
            sight.kept.iter().filter(|(place, _)| is_there(place) && which(place, &sight));
        pages.try_for_each(|(place, page)| self.slots.write(*place, &**page))
    }

    /// Puts everything durable in place and says so in a slot. No record counts after that.
    fn begin_epoch(&self, pen: &mut Pen) -> io::Result<()> {
        self.home(|_, _| true)?;
        self.slots.sync_data()?;
        if self.slots.is_booked() {
            self.slots.write(0, &pen.durable)?;
            self.slots.sync_data()?;
        } else {
            self.slots.divide_room(&pen.durable)?;
        }
        self.sight_mut().kept.clear();
        let buffer = mem::take(&mut pen.buffer);
        *pen = Pen { touched: true, buffer, ..Pen::new(self.slots.counter(), pen.durable) };
        Ok(())
    }

    /// What redb wrote last before it closes is synced.
    fn finish(&self, pen: &mut Pen) -> io::Result<()> {
        self.begin_epoch(pen)?;
        if !self.slots.is_whole() {
            self.slots.write(0, &pen.durable)?;
            self.slots.sync_data()?;
        }
        Ok(())
    }
}

/// The bytes of a half.
fn half(slots: &TwoSlots) -> u64 {
    if slots.is_booked() { HALF } else { UNBOOKED_HALF }
}

/// What the slots and records on a disk amount to.
struct Found {
    header: [u8; HEADER_BYTES],
    kept: Pages,
    /// There are records that count.
    any: bool,
    /// A record that does not check may be more than one that was under way when the power went.
    doubtful: bool,
}

impl Found {
    fn read(slots: &TwoSlots) -> io::Result<Found> {
        let halves = [Run::read(slots, 0)?, Run::read(slots, 1)?];
        let mut found = Found {
            header: slots.header(),
            kept: Pages::new(),
            any: false,
            doubtful: halves.iter().any(|half| half.torn >= Some(slots.counter())),
        };
        let mut halves = halves.map(|half| half.records);
        let last = |half: &Vec<Record>| half.last().map(|record| record.turn);
        // One behind the other; an empty half comes before everything.
        halves.sort_by_key(last);
        let Some(newest) = last(&halves[1]).filter(|turn| turn.epoch >= slots.counter()) else {
            return Ok(found);
        };
        found.any = true;
        let counts = |turn: &Turn| {
            turn.epoch == newest.epoch && (newest.tail..=newest.number).contains(&turn.number)
        };
        let mut expected = newest.tail;
        for record in halves.iter().flatten().filter(|record| counts(&record.turn)) {
            if record.turn.number != expected || record.apply(&mut found.kept).is_none() {
                break;
            }
            found.header = record.header();
            expected += 1;
        }
        if expected <= newest.number {
            log::error!("the journal is damaged: what was written last before the end may be lost");
            found.doubtful = true;
        }
        Ok(found)
    }
}

/// The records of a half, from its beginning on, as long as each is followed by its successor.
struct Run {
    records: Vec<Record>,
    /// The epoch of one behind them that does not check, by its own account.
    torn: Option<u64>,
}

impl Run {
    fn read(slots: &TwoSlots, half: u64) -> io::Result<Run> {
        let mut run = Run { records: Vec::new(), torn: None };
        let mut at = 0;
        let mut begin = [0; PAGE];
        let length = self::half(slots);
        let start = half * length;
        while at + FIRST_PAGE <= length {
            slots.read_room(start + at, &mut begin)?;
            let Some(bytes) = Record::length(&begin) else { break };
            let mut bytes = vec![0; bytes.min((length - at) as usize)];
            slots.read_room(start + at, &mut bytes)?;
            let Some(record) = Record::decode(bytes) else {
                run.torn = Record::epoch(&begin);
                break;
            };
            let turn = record.turn;
            let follows = run.records.last().is_none_or(|before| {
                (before.turn.epoch, before.turn.number + 1) == (turn.epoch, turn.number)
            });
            if !follows {
                break;
            }
            at += (record.bytes() as u64).next_multiple_of(FIRST_PAGE);
            run.records.push(record);
        }
        Ok(run)
    }
}

impl StorageBackend for Journal {
    fn len(&self) -> io::Result<u64> {
        self.slots.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset < FIRST_PAGE {
            let mut page = [0; PAGE];
            page[..HEADER_BYTES].copy_from_slice(&self.sight().header);
            let start = offset as usize;
            out.copy_from_slice(page.get(start..start + out.len()).ok_or_else(misplaced)?);
            return Ok(());
        }
        let hidden = self.sight().hidden(offset, out.len());
        // What is put in place meanwhile is there before it leaves `kept`, hence not missed.
        if hidden.len() * PAGE < out.len() {
            self.slots.read(offset, out)?;
        }
        for (place, page) in hidden {
            let at = (place.saturating_sub(offset)) as usize;
            let skipped = (offset.saturating_sub(place)) as usize;
            let length = (PAGE - skipped).min(out.len() - at);
            out[at..at + length].copy_from_slice(&page[skipped..skipped + length]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.scribble(|_| {
            // `kept` goes on naming every place that records would write to.
            self.sight_mut().fresh.retain(|place, _| place + FIRST_PAGE <= length);
            self.slots.set_len(length)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.scribble(|pen| self.sync(pen))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.scribble(|pen| self.put(pen, offset, data))
    }

    fn close(&self) -> io::Result<()> {
        let (touched, failed) = {
            let pen = self.pen();
            (pen.touched, pen.failed)
        };
        let finished =
            if touched && !failed { self.scribble(|pen| self.finish(pen)) } else { Ok(()) };
        self.slots.close().and(finished)
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.slots.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.slots.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.slots.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.slots.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.slots.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.slots.query_lock_range(start, end)
    }
}

impl Sight {
    /// Copies of the pages among these bytes that hide what is on the disk.
    fn hidden(&self, offset: u64, length: usize) -> Pages {
        let first = offset - offset % FIRST_PAGE;
        let places = first..offset + length as u64;
        let mut hidden = Pages::new();
        for pages in [&self.kept, &self.fresh] {
            hidden.extend(pages.range(places.clone()).map(|(place, page)| (*place, page.clone())));
        }
        hidden
    }
}

/// redb writes whole pages and, below the first, its header.
fn misplaced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "neither pages nor a part of the header")
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("slots", &self.slots).finish_non_exhaustive()
    }
}
