use super::*;
use crate::store::BackendSource;
use crate::store::crash::{Chance, Disk};

const ROUND: u64 = 0x1234_5678_9ABC_DEF0;
const SINCE: Posted = Posted { last: 10, round: ROUND };

struct Bare(Box<dyn redb::StorageBackend>);

impl Region for Bare {
    fn is_there(&self) -> bool {
        true
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn empty() -> Disk {
    Disk::holding(vec![0; DAYBOOK_BYTES as usize])
}

fn load(disk: &Disk, posted: Posted) -> (Daybook, Vec<Note>) {
    Daybook::load(Box::new(Bare(disk.open().unwrap())), posted).unwrap()
}

fn found(disk: &Disk, posted: Posted) -> Found {
    Found::read(&Bare(disk.open().unwrap()), posted).unwrap()
}

fn note(id: u64, length: usize) -> Note {
    let record: Vec<u8> = (0..length).map(|at| (id as usize * 31 + at) as u8).collect();
    Note { place: (id % 5, id), record: record.into() }
}

/// What lies on the disk if the power goes now.
fn image(disk: &Disk) -> Vec<u8> {
    disk.trace().cuts().image(disk.position(), &mut Chance::new(0))
}

#[test]
fn what_was_noted_is_found_by_the_next_who_opens_it() {
    let mut chance = Chance::new(1);
    for _ in 0..50 {
        let disk = empty();
        let mut told = Vec::new();
        let mut id = 10;
        for _ in 0..3 {
            let before = disk.trace();
            let (daybook, found) = load(&disk, SINCE);
            assert!(found == told);
            // What is about to be told is made durable, should it not have been.
            let syncs = usize::from(!told.is_empty());
            assert_eq!(disk.trace().since(&before), (0, 0, syncs));
            for _ in 0..chance.below(8) {
                let notes: Vec<Note> = (0..1 + chance.below(9) as u64)
                    .map(|i| note(id + 1 + i, chance.below(900)))
                    .collect();
                id += notes.len() as u64;
                assert!(daybook.has_room(&notes));
                daybook.note(&notes).unwrap();
                told.extend(notes);
            }
        }
        assert!(load(&Disk::holding(image(&disk)), SINCE).1 == told);
    }
}

#[test]
fn a_message_is_one_page_and_one_sync() {
    let disk = empty();
    let (daybook, _) = load(&disk, SINCE);
    let before = disk.trace();
    daybook.note(&[note(11, 200)]).unwrap();
    assert_eq!(disk.trace().since(&before), (1, PAGE, 1));
}

#[test]
fn a_round_that_has_begun_ends_the_one_before() {
    let disk = empty();
    let (daybook, _) = load(&disk, SINCE);
    for id in 11..20 {
        daybook.note(&[note(id, 5000)]).unwrap();
    }
    daybook.begin(ROUND + 1);
    // Not the number alone: ids that have been posted do not come back.
    assert!(load(&disk, Posted { last: 19, ..SINCE }).1.is_empty());
    let now = Posted { last: 19, round: ROUND + 1 };
    assert!(load(&disk, now).1.is_empty());
    daybook.note(&[note(20, 100)]).unwrap();
    assert!(load(&disk, now).1 == [note(20, 100)]);
}

#[test]
fn it_takes_what_fits_and_says_when_it_is_full() {
    let disk = empty();
    let (daybook, _) = load(&disk, SINCE);
    let mut id = 10;
    while daybook.has_room(&[note(id + 1, 100)]) {
        id += 1;
        daybook.note(&[note(id, 100)]).unwrap();
    }
    assert_eq!(id - 10, DAYBOOK_BYTES / PAGE as u64);
    assert_eq!(load(&disk, SINCE).1.len() as u64, id - 10);
    assert!(!load(&disk, SINCE).0.has_room(&[note(id + 1, 1)]));
    daybook.begin(ROUND + 1);
    assert!(daybook.has_room(&[note(id + 1, DAYBOOK_BYTES as usize - NOTES_AT - NOTE_HEAD)]));
    assert!(!daybook.has_room(&[note(id + 1, DAYBOOK_BYTES as usize - NOTES_AT - NOTE_HEAD + 1)]));
}

#[test]
fn what_was_cut_short_is_not_there_and_the_next_takes_its_place() {
    let disk = empty();
    let (daybook, _) = load(&disk, SINCE);
    daybook.note(&[note(11, 100)]).unwrap();
    daybook.note(&[note(12, 9000)]).unwrap();
    for byte in (0..9000).step_by(97) {
        let mut bytes = image(&disk);
        bytes[PAGE + byte] ^= 1;
        let cut = Disk::holding(bytes);
        let (daybook, notes) = load(&cut, SINCE);
        assert!(notes == [note(11, 100)], "byte {byte}");
        assert!(!found(&cut, SINCE).is_broken);
        daybook.note(&[note(13, 50)]).unwrap();
        assert!(load(&cut, SINCE).1 == [note(11, 100), note(13, 50)], "byte {byte}");
    }
}

#[test]
fn a_record_that_rotted_costs_its_own_messages_and_is_noticed() {
    let disk = empty();
    let (daybook, _) = load(&disk, SINCE);
    for id in 11..15 {
        daybook.note(&[note(id, 5000)]).unwrap();
    }
    for (rotten, left) in [(0, [12, 13, 14]), (1, [11, 13, 14]), (2, [11, 12, 14])] {
        for byte in [0, 5, 9, 13, 20, 4000, 5000] {
            let mut bytes = image(&disk);
            bytes[rotten * 2 * PAGE + byte] ^= 1;
            let rotten = Disk::holding(bytes);
            assert!(load(&rotten, SINCE).1 == left.map(|id| note(id, 5000)), "byte {byte}");
            assert!(found(&rotten, SINCE).is_broken);
        }
    }
}

#[test]
fn no_text_can_pass_for_a_record() {
    // Somebody writes a message that holds one, with a page of it where a record would begin.
    let forged = |round| {
        let mut forged = Vec::new();
        encode(round, &[note(1000, 60)], &mut forged);
        let mut text = vec![b'x'; PAGE - NOTES_AT - NOTE_HEAD];
        text.extend(forged);
        Note { place: (1, 11), record: text.into() }
    };
    let next = Posted { last: 11, round: ROUND + 1 };
    for (guessed, found) in [(ROUND, 1), (ROUND + 1, 2)] {
        let disk = empty();
        let (daybook, _) = load(&disk, SINCE);
        daybook.note(&[forged(guessed)]).unwrap();
        assert_eq!(load(&disk, SINCE).1.len(), 1, "within a record it is text");
        daybook.begin(next.round);
        daybook.note(&[note(12, 10)]).unwrap();
        // Behind the new record it lies bare, and only who knows the round has forged anything.
        assert_eq!(load(&disk, next).1.len(), found);
    }
    assert!((0..100).all(|_| new_round().unwrap() != new_round().unwrap()));
}

#[test]
fn a_failed_disk_is_not_written_to_again() {
    let disk = empty();
    let (daybook, _) = load(&disk, SINCE);
    daybook.note(&[note(11, 10)]).unwrap();
    disk.fail_after(0);
    assert!(daybook.note(&[note(12, 10)]).is_err());
    disk.heal();
    let before = disk.position();
    assert!(daybook.note(&[note(13, 10)]).is_err());
    assert_eq!(disk.position(), before);
    assert!(load(&disk, SINCE).1 == [note(11, 10)]);
}

#[test]
fn where_no_round_has_begun_nothing_is_noted() {
    let (daybook, notes) = load(&empty(), Posted::default());
    assert!(!daybook.is_open() && notes.is_empty());
    daybook.begin(ROUND);
    assert!(daybook.is_open());
    let (nowhere, _) = Daybook::load(Box::new(Nowhere), SINCE).unwrap();
    assert!(!nowhere.is_open());
}
