//! A disk in memory that can lose power: for the crash tests, here and of the whole engine.
//!
//! A [`Disk`] is a [`BackendSource`](crate::store::BackendSource). It records every write, every
//! change of length and every sync it is asked for; [`Disk::position`] counts them. A test runs its
//! work once, notes the position at which each thing was announced, and then asks the [`Trace`]
//! what lies on the disk when the power goes at a position, as often as it likes:
//!
//! ```text
//! let disk = Disk::new();
//! let store = Store::open(Place::Backend(Arc::new(disk.clone())), options)?;
//! … work; announced.push((disk.position(), what)) …
//! let trace = disk.trace();
//! let mut cuts = trace.cuts();
//! for position in 0..=trace.len() {
//!     let after = Disk::holding(cuts.image(position, &mut Chance::new(seed)));
//!     … open a store on `after`: all that was announced at or before `position` must be there …
//! }
//! ```
//!
//! - What was written before the last sync is there. Of what came since, any subset may be: whole
//!   writes kept, dropped and in any order, or single sectors of them kept, dropped or garbled.
//! - A position from the making of the database (see [`Disk::position`] after `Store::open`)
//!   leaves a file that need not open: a real one is made under another name.
//! - A cut during recovery is a second trace: that of the disk that held the first cut's image.
//! - A lying disk treats syncs as done and does nothing: a test that still passes on one proves
//!   nothing.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::store::BackendSource;

/// What a disk writes whole or, when the power goes, not at all or wrongly.
const SECTOR: usize = 512;

/// Merges come after 8 messages, when 28 wait at the latest, and take two chats each.
const HURRY: usize = 256;

/// See the module. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    platter: Arc<Mutex<Platter>>,
}

#[derive(Default)]
struct Platter {
    /// What the disk held when it was made.
    base: Vec<u8>,
    /// What a reader sees.
    now: Vec<u8>,
    steps: Vec<Step>,
    lying: bool,
    /// From this step on everything fails.
    fails_at: Option<usize>,
}

#[derive(Clone, Debug)]
enum Step {
    Write { offset: usize, data: Box<[u8]> },
    Length(usize),
    Sync,
}

impl Disk {
    /// An empty one.
    pub(super) fn new() -> Disk {
        Disk::default()
    }

    /// One that holds what a cut left.
    pub(super) fn holding(image: Vec<u8>) -> Disk {
        let platter = Platter { base: image.clone(), now: image, ..Platter::default() };
        Disk { platter: Arc::new(Mutex::new(platter)) }
    }

    /// From now on syncs are answered and not done.
    pub(super) fn lie(&self) {
        self.lock().lying = true;
    }

    /// How many writes, changes of length and syncs there were: a cut at this position has seen all
    /// of them and nothing later.
    pub(super) fn position(&self) -> usize {
        self.lock().steps.len()
    }

    /// Everything fails after `steps` more of them, reading too, until [`Disk::heal`].
    pub(super) fn fail_after(&self, steps: usize) {
        let mut platter = self.lock();
        platter.fails_at = Some(platter.steps.len() + steps);
    }

    /// Ends what [`Disk::fail_after`] began. What was written before is there.
    pub(super) fn heal(&self) {
        self.lock().fails_at = None;
    }

    /// What was recorded so far.
    pub(super) fn trace(&self) -> Trace {
        let platter = self.lock();
        let mut steps = platter.steps.clone();
        if platter.lying {
            // A step that does nothing keeps the positions what they were.
            for step in &mut steps {
                if let Step::Sync = step {
                    *step = Step::Write { offset: 0, data: Box::default() };
                }
            }
        }
        Trace { base: platter.base.clone(), steps }
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackendSource for Disk {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.lock().alive()?;
        Ok(Box::new(self.clone()))
    }

    fn exists(&self) -> bool {
        !self.lock().now.is_empty()
    }

    fn hurry(&self) -> usize {
        HURRY
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        let platter = self.lock();
        platter.alive()?;
        Ok(platter.now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.lock();
        platter.alive()?;
        let start = usize::try_from(offset).map_err(|_| outside())?;
        let end = start.checked_add(out.len()).ok_or_else(outside)?;
        out.copy_from_slice(platter.now.get(start..end).ok_or_else(outside)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| outside())?;
        self.lock().step(Step::Length(length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.lock().step(Step::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| outside())?;
        let mut platter = self.lock();
        if platter.now.len() < offset + data.len() {
            return Err(outside());
        }
        platter.step(Step::Write { offset, data: data.into() })
    }
}

impl Platter {
    fn alive(&self) -> io::Result<()> {
        match self.fails_at {
            Some(at) if self.steps.len() >= at => Err(io::Error::other("the disk has failed")),
            Some(_) | None => Ok(()),
        }
    }

    fn step(&mut self, step: Step) -> io::Result<()> {
        self.alive()?;
        step.apply(&mut self.now);
        self.steps.push(step);
        Ok(())
    }
}

impl Step {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Step::Write { offset, data } => write(image, *offset, data),
            Step::Length(length) => image.resize(*length, 0),
            Step::Sync => {}
        }
    }
}

/// What lies beyond the end has no place to go.
fn write(image: &mut [u8], offset: usize, data: &[u8]) {
    if let Some(rest) = image.get_mut(offset..) {
        let length = rest.len().min(data.len());
        rest[..length].copy_from_slice(&data[..length]);
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside of the disk")
}

/// Everything a disk was asked for.
#[derive(Clone)]
pub(super) struct Trace {
    base: Vec<u8>,
    steps: Vec<Step>,
}

impl Trace {
    /// How many steps: a cut is possible at `0..=len()`.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Writes, bytes of them, and syncs, since an earlier trace of the same disk was taken.
    pub(super) fn since(&self, earlier: &Trace) -> (usize, usize, usize) {
        let (mut writes, mut bytes, mut syncs) = (0, 0, 0);
        for step in self.steps.iter().skip(earlier.len()) {
            match step {
                Step::Write { data, .. } => (writes, bytes) = (writes + 1, bytes + data.len()),
                Step::Sync => syncs += 1,
                Step::Length(_) => {}
            }
        }
        (writes, bytes, syncs)
    }

    pub(super) fn cuts(&self) -> Cuts<'_> {
        Cuts { trace: self, durable: self.base.clone(), synced: 0 }
    }
}

/// The images that cuts leave. Fast where positions ascend.
pub(super) struct Cuts<'t> {
    trace: &'t Trace,
    /// What is certainly there after the first `synced` steps, the last of which is a sync.
    durable: Vec<u8>,
    synced: usize,
}

impl<'t> Cuts<'t> {
    /// What lies on the disk when the power goes after `position` steps.
    ///
    /// # Panics
    ///
    /// When there are fewer steps.
    pub(super) fn image(&mut self, position: usize, chance: &mut Chance) -> Vec<u8> {
        let pending = self.advance(position);
        let mut image = self.durable.clone();
        let mut waiting = Vec::new();
        for step in pending {
            match step {
                // The file system's own journal keeps lengths in order.
                Step::Length(length) => {
                    if chance.one_in(2) {
                        image.resize(*length, 0);
                    }
                }
                Step::Write { offset, data } => waiting.push((*offset, &**data)),
                Step::Sync => {}
            }
        }
        let fate = Fate::of(chance);
        if fate != Fate::InOrder {
            chance.shuffle(&mut waiting);
        }
        for (offset, data) in waiting {
            fate.befall(&mut image, offset, data, chance);
        }
        image
    }

    /// Makes durable what the last sync before `position` did, and gives what came after it.
    fn advance(&mut self, position: usize) -> &'t [Step] {
        let seen = &self.trace.steps[..position];
        let synced = seen.iter().rposition(|step| matches!(step, Step::Sync)).map_or(0, |i| i + 1);
        if synced < self.synced {
            self.durable.clone_from(&self.trace.base);
            self.synced = 0;
        }
        for step in &seen[self.synced..synced] {
            step.apply(&mut self.durable);
        }
        self.synced = synced;
        &self.trace.steps[synced..position]
    }
}

/// What becomes of the writes that no sync had made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    /// All are there.
    InOrder,
    /// Whole writes are there or not.
    Some,
    /// Single sectors are there or not.
    Torn,
    /// The same, and some hold neither the old nor the new.
    Garbled,
}

impl Fate {
    fn of(chance: &mut Chance) -> Fate {
        match chance.below(8) {
            0 => Fate::Lost,
            1 => Fate::InOrder,
            2 | 3 => Fate::Some,
            4 | 5 => Fate::Torn,
            _ => Fate::Garbled,
        }
    }

    fn befall(self, image: &mut [u8], offset: usize, data: &[u8], chance: &mut Chance) {
        match self {
            Fate::Lost => {}
            Fate::InOrder => write(image, offset, data),
            Fate::Some => {
                if chance.one_in(2) {
                    write(image, offset, data);
                }
            }
            Fate::Torn | Fate::Garbled => {
                for (i, sector) in data.chunks(SECTOR).enumerate() {
                    let at = offset + i * SECTOR;
                    if self == Fate::Garbled && chance.one_in(4) {
                        let noise: Vec<u8> = sector.iter().map(|_| chance.next() as u8).collect();
                        write(image, at, &noise);
                    } else if chance.one_in(2) {
                        write(image, at, sector);
                    }
                }
            }
        }
    }
}

/// Chance that can be repeated: the same seed, the same fate (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

impl std::fmt::Debug for Platter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, steps) = (self.now.len(), self.steps.len());
        f.debug_struct("Platter").field("bytes", &bytes).field("steps", &steps).finish()
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("steps", &self.steps.len()).finish()
    }
}

impl std::fmt::Debug for Cuts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cuts").field("synced", &self.synced).finish()
    }
}
