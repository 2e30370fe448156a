//! A disk in memory that remembers everything that was asked of it, can lose power at any point of
//! that, and can fail on command.
//!
//! What was synced is there after a cut. Of what was written since, anything may be there or not, in
//! any order, torn between sectors, and the sector in flight may hold anything.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use msimd::store::BackendSource;
use redb::StorageBackend;

use crate::noise::Noise;

/// What a cut leaves whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
pub enum Op {
    Write { offset: u64, data: Box<[u8]> },
    Length(u64),
    Sync,
}

/// Cheap to clone: all clones are one disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    log: Vec<Op>,
    trouble: Option<Trouble>,
    /// Bytes it can hold; 0: any number.
    capacity: u64,
    failures: u32,
}

/// Which operations fail, and when.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub what: What,
    /// So many go well first.
    pub after: u32,
    /// So many fail then.
    pub times: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Writes,
    Syncs,
    /// Reads, writes and syncs.
    All,
}

/// How much of what was not synced a cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Nothing,
    Everything,
    /// The first of it, the last of those torn.
    Torn,
    /// Any of it, in any order.
    Shuffled,
    /// Any of it, torn, and one sector holds noise.
    Garbled,
}

pub const CUTS: [Cut; 5] = [Cut::Nothing, Cut::Everything, Cut::Torn, Cut::Shuffled, Cut::Garbled];

impl Disk {
    pub fn holding(bytes: Vec<u8>) -> Disk {
        let disk = Disk::default();
        disk.state().bytes = bytes;
        disk
    }

    /// How many operations there were.
    pub fn clock(&self) -> usize {
        self.state().log.len()
    }

    pub fn log(&self) -> Vec<Op> {
        self.state().log.clone()
    }

    pub fn trouble(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// From now on it holds so many bytes more than now; `None`: any number.
    pub fn room(&self, bytes: Option<u64>) {
        let mut state = self.state();
        state.capacity = bytes.map_or(0, |bytes| state.bytes.len() as u64 + bytes);
    }

    /// How many operations were made to fail.
    pub fn failures(&self) -> u32 {
        self.state().failures
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn suffer(&mut self, what: What) -> io::Result<()> {
        let Some(trouble) = &mut self.trouble else { return Ok(()) };
        if trouble.what != what && trouble.what != What::All {
            return Ok(());
        }
        if trouble.after > 0 {
            trouble.after -= 1;
            return Ok(());
        }
        if trouble.times == 0 {
            self.trouble = None;
            return Ok(());
        }
        trouble.times -= 1;
        self.failures += 1;
        Err(io::Error::other("the disk was told to fail"))
    }

    fn fits(&mut self, end: u64) -> io::Result<()> {
        if self.capacity != 0 && end > self.capacity {
            self.failures += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn apply(&mut self, op: Op) {
        apply(&mut self.bytes, &op);
        self.log.push(op);
    }
}

impl BackendSource for Disk {
    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn exists(&self) -> bool {
        !self.state().bytes.is_empty()
    }

    /// So that messages are merged all the time: after 8 of them, and 28 at the latest.
    fn hurry(&self) -> usize {
        256
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.trouble.is_some_and(|t| t.what == What::All) {
            state.suffer(What::All)?;
        }
        let start = offset as usize;
        let part = state.bytes.get(start..start + out.len());
        out.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.suffer(What::Writes)?;
        state.fits(len)?;
        state.apply(Op::Length(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.suffer(What::Syncs)?;
        state.apply(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.suffer(What::Writes)?;
        state.fits(offset + data.len() as u64)?;
        state.apply(Op::Write { offset, data: data.into() });
        Ok(())
    }
}

pub fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { offset, data } => put(bytes, *offset as usize, data),
        Op::Length(length) => bytes.resize(*length as usize, 0),
        Op::Sync => {}
    }
}

fn put(bytes: &mut Vec<u8>, start: usize, data: &[u8]) {
    if bytes.len() < start + data.len() {
        bytes.resize(start + data.len(), 0);
    }
    bytes[start..start + data.len()].copy_from_slice(data);
}

/// What is on the disk after a cut: `stable` is what was synced, `pending` what came after.
pub fn after_cut(stable: &[u8], pending: &[Op], cut: Cut, noise: &mut Noise) -> Vec<u8> {
    let mut bytes = stable.to_vec();
    match cut {
        Cut::Nothing => {}
        Cut::Everything => pending.iter().for_each(|op| apply(&mut bytes, op)),
        Cut::Torn => {
            let kept = noise.below(pending.len() + 1);
            pending[..kept].iter().for_each(|op| apply(&mut bytes, op));
            if let Some(op) = pending.get(kept) {
                tear(&mut bytes, op, noise, |_, noise| noise.one_in(2));
            }
        }
        Cut::Shuffled => {
            for op in shuffled(pending, noise) {
                apply(&mut bytes, op);
            }
        }
        Cut::Garbled => {
            for op in shuffled(pending, noise) {
                tear(&mut bytes, op, noise, |_, noise| !noise.one_in(4));
            }
            garble(&mut bytes, pending, noise);
        }
    }
    bytes
}

fn shuffled<'a>(pending: &'a [Op], noise: &mut Noise) -> Vec<&'a Op> {
    let mut some: Vec<&Op> = pending.iter().filter(|_| !noise.one_in(3)).collect();
    for i in (1..some.len()).rev() {
        some.swap(i, noise.below(i + 1));
    }
    some
}

/// Writes those sectors that `keep` chooses.
fn tear(bytes: &mut Vec<u8>, op: &Op, noise: &mut Noise, keep: impl Fn(usize, &mut Noise) -> bool) {
    let Op::Write { offset, data } = op else { return apply(bytes, op) };
    for (i, sector) in data.chunks(SECTOR).enumerate() {
        if keep(i, noise) {
            put(bytes, *offset as usize + i * SECTOR, sector);
        }
    }
}

/// The sector that was being written when the power went.
fn garble(bytes: &mut [u8], pending: &[Op], noise: &mut Noise) {
    let writes: Vec<(u64, usize)> = pending
        .iter()
        .filter_map(|op| match op {
            Op::Write { offset, data } => Some((*offset, data.len())),
            Op::Length(_) | Op::Sync => None,
        })
        .collect();
    let Some((offset, length)) = writes.get(noise.below(writes.len().max(1))) else { return };
    let start = *offset as usize + noise.below(length.div_ceil(SECTOR)) * SECTOR;
    let end = (start + SECTOR).min(*offset as usize + length).min(bytes.len());
    if let Some(sector) = bytes.get_mut(start..end) {
        noise.fill(sector);
    }
}

#[test]
fn a_cut_keeps_what_was_synced_and_only_maybe_the_rest() {
    let stable = vec![1; 4 * SECTOR];
    let pending = [Op::Write { offset: SECTOR as u64, data: vec![2; 2 * SECTOR].into() }];
    let mut seen = [false; 3];
    for seed in 0..200 {
        for cut in CUTS {
            let bytes = after_cut(&stable, &pending, cut, &mut Noise::new(seed));
            assert_eq!(bytes[..SECTOR], stable[..SECTOR]);
            assert_eq!(bytes[3 * SECTOR..], stable[..SECTOR]);
            seen[0] |= bytes == stable;
            seen[1] |= bytes[SECTOR..3 * SECTOR] == vec![2; 2 * SECTOR];
            seen[2] |= bytes[SECTOR] != bytes[2 * SECTOR];
        }
    }
    assert_eq!(seen, [true; 3], "nothing, everything, torn");
}
