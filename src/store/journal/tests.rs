//! A journal under a small redb: one that writes every change to a place that neither of the last
//! two commits needs, and says in its header where everything lies.

use std::collections::HashMap;

use super::record::Page;
use super::*;
use crate::store::BackendSource;
use crate::store::backend::UNBOOKED;
use crate::store::crash::{Chance, Disk};

/// Where things lie, by their number; what lies there can be told from that and the commit.
type State = [u64; THINGS];

const THINGS: usize = 12;
const PLACES: u64 = 160;
const COMMIT_AT: usize = 64;
const MAP_AT: usize = 72;
const BEFORE_AT: usize = MAP_AT + THINGS * 8;

struct Small {
    journal: Journal,
    commit: u64,
    state: State,
    /// Of the commit before.
    before: State,
    /// What each place of `state` holds.
    held: HashMap<u64, Page>,
    /// The newest commit was not whole.
    fell_back: bool,
    /// Now and then so much that nobody needs is written too that pages go to their places at once.
    noisy: bool,
}

fn place(number: u64) -> u64 {
    FIRST_PAGE * (1 + number)
}

/// The header of a commit, such that redb's own fields say nothing about pages.
fn header(commit: u64, state: &State, before: &State) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[COMMIT_AT..MAP_AT].copy_from_slice(&commit.to_le_bytes());
    for (number, place) in state.iter().chain(before).enumerate() {
        let at = MAP_AT + number * 8;
        header[at..at + 8].copy_from_slice(&place.to_le_bytes());
    }
    header
}

/// Says which commit and which thing it is, and is mostly what the thing always is.
fn page(commit: u64, thing: u64) -> Page {
    let mut page = Box::new([0; PAGE]);
    page[16..500].fill(thing as u8 + 1);
    page[..8].copy_from_slice(&commit.to_le_bytes());
    page[8..16].copy_from_slice(&thing.to_le_bytes());
    page[2000 + (commit % 50) as usize * 8] ^= 0xFF;
    page
}

impl Small {
    fn make(disk: &Disk) -> Small {
        let journal = Journal::new(disk.open().unwrap());
        journal.set_len(place(PLACES)).unwrap();
        let state = [0; THINGS];
        let held = HashMap::new();
        let mut small = Small {
            journal,
            commit: 0,
            state,
            before: state,
            held,
            fell_back: false,
            noisy: false,
        };
        small.write(&(0..THINGS as u64).collect::<Vec<_>>(), &mut Chance::new(0));
        small
    }

    fn load(disk: &Disk) -> Result<Small, Unfit> {
        Ok(Small::on(Journal::load(Arc::new(TwoSlots::load(disk.open().unwrap())?))?))
    }

    fn on(journal: Journal) -> Small {
        let mut header = [0; HEADER_BYTES];
        journal.read(0, &mut header).unwrap();
        let long = |at: usize| u64::from_le_bytes(*header[at..].first_chunk().unwrap());
        let states = [MAP_AT, BEFORE_AT].map(|at| {
            let mut state = [0; THINGS];
            state.iter_mut().enumerate().for_each(|(i, place)| *place = long(at + i * 8));
            state
        });
        let commit = long(COMMIT_AT);
        let [state, before] = states;
        // As redb does when a commit proves not whole.
        let (fell_back, commit, state) = match hold(&journal, commit, &state) {
            Some(_) => (false, commit, state),
            None => (true, commit - 1, before),
        };
        let held = hold(&journal, commit, &state).expect("one of two commits is whole");
        Small { journal, commit, state, before: state, held, fell_back, noisy: false }
    }

    /// A commit of these things.
    fn write(&mut self, things: &[u64], chance: &mut Chance) {
        let mut next = self.state;
        self.commit += 1;
        for thing in things {
            let free = loop {
                let free = place(chance.below(PLACES as usize - 1) as u64);
                if ![&self.state, &self.before, &next].iter().any(|state| state.contains(&free)) {
                    break free;
                }
            };
            next[*thing as usize] = free;
            let page = page(self.commit, *thing);
            self.journal.write(free, &*page).unwrap();
            self.held.insert(free, page);
        }
        self.journal.write(0, &header(self.commit, &next, &self.state)).unwrap();
        self.journal.sync_data().unwrap();
        self.before = mem::replace(&mut self.state, next);
        self.held.retain(|place, _| next.contains(place));
    }

    /// A commit of one to six things, as redb's are.
    fn go_on(&mut self, chance: &mut Chance) {
        if self.noisy && chance.one_in(12) {
            for _ in 0..40 {
                let free = place(chance.below(PLACES as usize - 1) as u64);
                if ![&self.state, &self.before].iter().any(|state| state.contains(&free)) {
                    self.journal.write(free, &[0xEE; PAGE]).unwrap();
                }
            }
        }
        let count = 1 + chance.below(6);
        let mut things: Vec<u64> = (0..count).map(|_| chance.below(THINGS) as u64).collect();
        things.sort_unstable();
        things.dedup();
        self.write(&things, chance);
    }

    fn check(&self) {
        let mut found = [0; PAGE];
        for place in self.state {
            self.journal.read(place, &mut found).unwrap();
            assert!(found == *self.held[&place], "commit {}: {place}", self.commit);
        }
    }
}

/// What lies on the disk if the power goes now.
fn image(disk: &Disk) -> Vec<u8> {
    disk.trace().cuts().image(disk.position(), &mut Chance::new(0))
}

/// The pages of a commit; `None` when one of them is not what the commit says.
fn hold(journal: &Journal, commit: u64, state: &State) -> Option<HashMap<u64, Page>> {
    let mut held = HashMap::new();
    for (thing, place) in (0..).zip(state) {
        let mut found = Box::new([0; PAGE]);
        journal.read(*place, &mut *found).ok()?;
        let written = u64::from_le_bytes(*found.first_chunk()?);
        if written > commit || *found != *page(written, thing) {
            return None;
        }
        held.insert(*place, found);
    }
    Some(held)
}

#[test]
fn what_is_written_is_read() {
    let disk = Disk::new();
    let mut chance = Chance::new(1);
    let mut small = Small::make(&disk);
    small.noisy = true;
    for _ in 0..800 {
        small.go_on(&mut chance);
        small.check();
    }
    small.journal.close().unwrap();
    let again = Small::load(&disk).unwrap();
    assert_eq!((again.commit, again.state), (small.commit, small.state));
    assert!(!again.journal.pen().inherited, "a closed file is whole without its journal");
    let mut out = vec![0; 3 * PAGE];
    again.journal.read(place(7), &mut out).unwrap();
    for (number, page) in (7..).zip(out.as_chunks::<PAGE>().0) {
        let mut single = [0; PAGE];
        again.journal.read(place(number), &mut single).unwrap();
        assert!(single == *page, "many pages read at once are those read one by one");
    }
}

/// Cuts the power of `disk` at one position in `every` from `begun` on; `told` are the positions at
/// which commits were announced.
fn cut(disk: &Disk, begun: usize, told: &[(usize, u64)], noisy: bool, every: usize, seed: u64) {
    let mut chance = Chance::new(seed);
    let trace = disk.trace();
    let mut cuts = trace.cuts();
    for position in begun..=trace.len() {
        if !chance.one_in(every) {
            continue;
        }
        let (_, promised) = *told.iter().rev().find(|(at, _)| *at <= position).unwrap();
        let after = Disk::holding(cuts.image(position, &mut chance));
        let mut found = Small::load(&after).unwrap();
        assert!((promised..=promised + 1).contains(&found.commit), "{promised} at {position}");
        assert!(noisy || !found.fell_back, "half a commit at {position}");
        if every > 1 || !chance.one_in(16) {
            continue;
        }
        // It goes on, and loses its power again.
        found.noisy = noisy;
        let mut told = vec![(0, found.commit)];
        for _ in 0..12 {
            found.go_on(&mut chance);
            found.check();
            told.push((after.position(), found.commit));
        }
        cut(&after, 0, &told, noisy, 4, position as u64);
    }
}

#[test]
fn every_cut_leaves_the_last_commit_or_the_one_under_way() {
    for (seed, noisy) in [(1, false), (2, true)] {
        let disk = Disk::new();
        Small::make(&disk).journal.close().unwrap();
        let begun = disk.position();
        let mut small = Small::load(&disk).unwrap();
        small.noisy = noisy;
        let mut told = vec![(begun, small.commit)];
        for _ in 0..150 {
            small.go_on(&mut Chance::new(seed * 1000 + small.commit));
            told.push((disk.position(), small.commit));
        }
        cut(&disk, begun, &told, noisy, 1, seed);
    }
}

#[test]
fn a_commit_is_a_page_or_two_and_one_sync() {
    let disk = Disk::new();
    let mut small = Small::make(&disk);
    let mut chance = Chance::new(3);
    for _ in 0..200 {
        let before = disk.trace();
        small.write(&[1, 2, 3], &mut chance);
        let new = disk.trace();
        let (writes, bytes, syncs) = new.since(&before);
        assert_eq!(syncs, 1);
        // Where a half begins, what was kept goes to its places.
        assert!(writes == 1 && bytes <= 2 * PAGE || writes > 8, "{writes} of {bytes} bytes");
    }
}

#[test]
fn a_large_commit_is_written_once() {
    let disk = Disk::new();
    let mut small = Small::make(&disk);
    small.journal.set_len(place(5000)).unwrap();
    let before = disk.trace();
    for number in 1000..2000 {
        small.journal.write(place(number), &[number as u8; PAGE]).unwrap();
    }
    small.write(&[1], &mut Chance::new(4));
    let (_, bytes, syncs) = disk.trace().since(&before);
    assert_eq!(syncs, 1);
    assert!((1000 * PAGE..1050 * PAGE).contains(&bytes), "{bytes}");
    let mut out = [0; PAGE];
    small.journal.read(place(1500), &mut out).unwrap();
    assert_eq!(out, [1500_u64 as u8; PAGE]);
}

#[test]
fn a_record_that_rotted_is_noticed() {
    let disk = Disk::new();
    let mut small = Small::make(&disk);
    for _ in 0..5 {
        small.write(&[1, 2], &mut Chance::new(5));
    }
    let sound = image(&disk);
    let journal = 64 * 1024;
    for record in 0..6 {
        let mut bytes = sound.clone();
        bytes[journal + record * PAGE + 100] ^= 1;
        let Ok(found) = Small::load(&Disk::holding(bytes)) else { continue };
        assert!(found.journal.needs_repair(), "record {record}: redb looks at every page");
    }
}

#[test]
fn a_failed_disk_is_not_written_to_again() {
    let disk = Disk::new();
    Small::make(&disk).journal.close().unwrap();
    let mut small = Small::load(&disk).unwrap();
    small.write(&[1], &mut Chance::new(6));
    small.journal.write(place(150), &[1; PAGE]).unwrap();
    disk.fail_after(1);
    assert!(small.journal.sync_data().is_err());
    disk.heal();
    let before = disk.position();
    assert!(small.journal.sync_data().is_err());
    assert!(small.journal.write(place(150), &[2; PAGE]).is_err());
    small.journal.close().unwrap();
    assert_eq!(disk.position(), before);
    // Whether the last commit is there is not known, and it is whole if it is.
    assert_eq!(Small::load(&disk).unwrap().commit, small.commit);
}

#[test]
fn what_is_not_a_page_is_refused() {
    let small = Small::make(&Disk::new());
    for (offset, length) in [(place(0) + 1, PAGE), (place(0), 100), (300, 40), (4000, PAGE)] {
        assert!(small.journal.write(offset, &vec![0; length]).is_err(), "{length} at {offset}");
        let small = Small::make(&Disk::new());
        small.check();
    }
}

#[test]
fn commits_of_many_pages_stay_within_their_half() {
    // From those that always fit to those that never do.
    for pages in [9, 14, 16, 20, 31, 32] {
        let disk = Disk::new();
        Small::make(&disk).journal.close().unwrap();
        let small = Small::load(&disk).unwrap();
        small.journal.set_len(place(2 * PLACES)).unwrap();
        let mut chance = Chance::new(pages);
        let mut held = HashMap::new();
        for commit in 2..40 {
            for number in 0..pages {
                let mut page = Box::new([0; PAGE]);
                page.fill_with(|| chance.next() as u8);
                // Each place is taken again two commits later.
                let place = place(PLACES + commit % 2 * 40 + number);
                small.journal.write(place, &*page).unwrap();
                held.insert(place, page);
            }
            small.journal.write(0, &header(commit, &small.state, &small.state)).unwrap();
            small.journal.sync_data().unwrap();
        }
        let image = image(&disk);
        let daybook = 64 * 1024 + JOURNAL_BYTES as usize..64 * 1024 + ROOM_BYTES as usize;
        assert!(image[daybook].iter().all(|byte| *byte == 0), "{pages} pages");
        let slots = TwoSlots::load(Disk::holding(image).open().unwrap()).unwrap();
        let after = Journal::load(Arc::new(slots)).unwrap();
        let mut found = [0; PAGE];
        for (place, page) in held {
            after.read(place, &mut found).unwrap();
            assert!(found == *page, "{pages} pages: {place}");
        }
    }
}

#[test]
fn records_of_schema_4_are_read_where_they_lie_and_make_room_for_a_daybook() {
    for (seed, commits) in [(1, 3), (2, 40), (3, 130)] {
        let disk = Disk::new();
        Small::make(&disk).journal.close().unwrap();
        let mut image = image(&disk);
        backend::mark(&mut image, UNBOOKED);
        // As that version went on with it, and was ended in the middle of it.
        let disk = Disk::holding(image);
        let mut small = Small::load(&disk).unwrap();
        small.journal.pen().inherited = false;
        let mut chance = Chance::new(seed);
        (0..commits).for_each(|_| small.go_on(&mut chance));
        let after = Disk::holding(self::image(&disk));
        let mut small = Small::load(&after).unwrap();
        assert!(!small.journal.slots.is_booked());
        assert!(!small.fell_back);
        small.check();
        small.go_on(&mut chance);
        assert!(small.journal.slots.is_booked());
        small.check();
        let told = small.commit;
        let small = Small::load(&after).unwrap();
        assert!(small.journal.slots.is_booked() && small.commit == told);
        small.check();
    }
}
