//! Power cuts, simulated: whatever was told is there afterwards, once and in order.

use std::sync::Arc;

use super::places::mark_schema;
use super::*;
use crate::domain::words::{Range, Take};
use crate::store::backend::{UNBOOKED, UNJOURNALED};
use crate::store::crash::{Chance, Cuts, Disk, Trace};

/// What a run of the store told its users, and when.
#[derive(Default)]
struct Told {
    messages: Vec<(usize, Message)>,
    /// Bob's read mark: never further back than this.
    marks: Vec<(usize, Mark)>,
    /// Numbers of salts: each larger than all before.
    salts: Vec<(usize, u64)>,
}

fn on(disk: &Disk) -> Store {
    Store::open(Place::Backend(Arc::new(disk.clone())), OPTIONS).unwrap()
}

/// Sends alone and in batches, merges, marks, seals, flushes and reopens. Of itself the store merges
/// here from 28 messages on, those of two chats at a time.
fn work(disk: &Disk, told: &mut Told, turns: usize, chance: &mut Chance) {
    let mut store = on(disk);
    for turn in 0..turns {
        let batch = if chance.one_in(3) { 1 + chance.below(12) } else { 1 };
        let sent = store
            .write(|tx| {
                (0..batch).map(|i| append(tx, turn * 100 + i)).collect::<Result<Vec<_>, _>>()
            })
            .unwrap();
        let position = disk.position();
        let last = sent.iter().rfind(|message| message.chat == chat()).map(mark);
        told.messages.extend(sent.into_iter().map(|message| (position, message)));
        if let Some(last) = last.filter(|_| chance.one_in(3)) {
            store.write(|tx| tx.move_marks(BOB, chat(), last, last)).unwrap();
            store.flush().unwrap();
            told.marks.push((disk.position(), last));
        }
        if chance.one_in(6) {
            store.merge().unwrap();
        }
        if chance.one_in(3) {
            let salt = store.write(|tx| tx.next_salt()).unwrap();
            told.salts.push((disk.position(), salt));
        }
        if chance.one_in(8) {
            store.seal().unwrap();
        }
        if chance.one_in(8) {
            store.reopen().unwrap();
        }
    }
    store.close().unwrap();
}

/// Half of the messages go to Bob, the others to three more.
fn place_of(number: usize) -> ChatId {
    let more = number * 7 % 6;
    ChatId::direct(ALICE, AccountNo(if more < 3 { 2 } else { more as u32 }))
}

fn append(tx: &mut Tx<'_>, number: usize) -> Result<Message, StoreError> {
    let text: Arc<str> = format!("{number} {}", "x".repeat(number * 37 % 700)).into();
    let cookie = format!("cookie {number}");
    let now = Timestamp(1_000_000 - number as u64 % 7);
    tx.append(place_of(number), ALICE, now, Kind::Text, &text, Some(&cookie))
}

/// The first thing that was told and is not there.
fn missing(after: &Disk, told: &Told, position: usize) -> Option<String> {
    let mut store = match Store::open(Place::Backend(Arc::new(after.clone())), OPTIONS) {
        Ok(store) => store,
        Err(error) => return Some(error.to_string()),
    };
    let lost = store.write(|tx| {
        for (_, message) in told.messages.iter().filter(|(at, _)| *at <= position) {
            if tx.message(message.chat, message.id)?.as_ref() != Some(message) {
                return Ok(Some(format!("message {}", message.id.0)));
            }
            let cookie = message.cookie.as_deref().unwrap();
            if tx.cookie(message.chat, ALICE, cookie)?.map(|head| head.id) != Some(message.id) {
                return Ok(Some(format!("the cookie of message {}", message.id.0)));
            }
        }
        let read = told.marks.iter().filter(|(at, _)| *at <= position).map(|(_, mark)| *mark).max();
        let member = tx.member(BOB, chat())?.unwrap();
        Ok((member.read < read.unwrap_or_default()).then(|| "Bob's mark".to_string()))
    });
    match lost {
        Ok(None) => {}
        Ok(lost) => return lost,
        Err(error) => return Some(error.to_string()),
    }
    if let Some(fault) = not_once(&store, told, position) {
        return Some(fault);
    }
    let head = store.reader().read(|here| here.head(place_of(1))).unwrap();
    let next = store.write(|tx| append(tx, 1)).unwrap();
    if next.id <= head.id || next.previous != head.id || next.seq.0 != head.seq.0 + 1 {
        return Some(format!("the chain: {next:?} after {head:?}"));
    }
    if told.messages.iter().any(|(at, m)| *at <= position && m.id == next.id) {
        return Some(format!("id {} is given twice", next.id.0));
    }
    let salt = store.write(|tx| tx.next_salt()).unwrap();
    let given = told.salts.iter().filter(|(at, _)| *at <= position).map(|(_, salt)| *salt).max();
    if given.is_some_and(|given| salt <= given) {
        return Some(format!("salt {salt} after {given:?}"));
    }
    let faults = store.reader().verify(&mut |_| {}).unwrap().faults;
    if !faults.is_empty() {
        return faults.into_iter().next();
    }
    // Whatever the cut left of a merge, the next one goes on from there.
    while store.waiting() > 0 {
        store.merge().unwrap();
        if let Some(fault) = not_once(&store, told, position) {
            return Some(fault);
        }
    }
    store.reader().verify(&mut |_| {}).unwrap().faults.into_iter().next()
}

/// The first thing that is wrong with a chat read from one end to the other: every message once,
/// each behind the one before it, and all that were told among them.
fn not_once(store: &Store, told: &Told, position: usize) -> Option<String> {
    let told = told.messages.iter().filter(|(at, _)| *at <= position);
    let mut told: Vec<MessageId> = told.map(|(_, message)| message.id).collect();
    let mut last_of_all = MessageId(0);
    for chat in (0..6).map(place_of) {
        let whole = Range {
            after: MessageId(0),
            before: MessageId::END,
            since: None,
            count: 10_000,
            take: Take::First,
        };
        let (all, _) = store.reader().read(|here| here.messages(chat, &whole)).unwrap();
        let mut last = Head::default();
        for message in all {
            if message.previous != last.id || message.seq.0 != last.seq.0 + 1 {
                return Some(format!("{message:?} comes after {last:?}"));
            }
            last = Head { id: message.id, seq: message.seq, time: message.time };
            told.retain(|id| *id != message.id);
        }
        last_of_all = last_of_all.max(last.id);
    }
    told.first().map(|id| format!("message {} of {} is in no chat", id.0, last_of_all.0))
}

/// A database with its members, and the position from which on it must open.
fn made() -> (Disk, Told) {
    let disk = Disk::new();
    let mut store = on(&disk);
    join(&mut store);
    store.close().unwrap();
    // What follows starts from here, so that every position of its trace must open.
    let trace = disk.trace();
    let image = trace.cuts().image(trace.len(), &mut Chance::new(0));
    (Disk::holding(image), Told::default())
}

fn every_cut(trace: &Trace, step: usize, mut each: impl FnMut(&mut Cuts<'_>, usize)) {
    let mut cuts = trace.cuts();
    for position in (0..=trace.len()).step_by(step) {
        each(&mut cuts, position);
    }
}

/// `MSIMD_CUT_ROUNDS=20 cargo test cuts` runs twenty times as many.
fn rounds() -> u64 {
    std::env::var("MSIMD_CUT_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// One of an earlier schema.
fn made_before(schema: u32) -> (Disk, Told) {
    let (disk, told) = made();
    let trace = disk.trace();
    let mut image = trace.cuts().image(trace.len(), &mut Chance::new(0));
    mark_schema(&mut image, schema);
    (Disk::holding(image), told)
}

#[test]
fn nothing_told_is_lost_in_a_power_cut() {
    lose_power(made);
}

#[test]
fn nothing_told_is_lost_where_there_is_no_journal() {
    lose_power(|| made_before(UNJOURNALED));
}

#[test]
fn nothing_told_is_lost_while_room_is_made_for_a_daybook() {
    lose_power(|| made_before(UNBOOKED));
}

fn lose_power(make: impl Fn() -> (Disk, Told)) {
    for round in 0..rounds() {
        let (disk, mut told) = make();
        work(&disk, &mut told, 24, &mut Chance::new(7 + round));
        let mut count = 0;
        every_cut(&disk.trace(), 1, |cuts, position| {
            let seed = round << 32 | position as u64;
            let after = Disk::holding(cuts.image(position, &mut Chance::new(seed)));
            let lost = missing(&after, &told, position);
            assert_eq!(lost, None, "round {round}: cut at {position}, seed {seed}");
            count += 1;
        });
        assert!(count >= 200, "{count}");
    }
}

#[test]
fn nothing_told_is_lost_in_a_second_cut_during_the_recovery() {
    for round in 0..rounds() {
        let (disk, mut told) = made();
        work(&disk, &mut told, 12, &mut Chance::new(11 + round));
        let mut count = 0;
        every_cut(&disk.trace(), 9, |cuts, position| {
            let seed = round << 32 | position as u64;
            let once = Disk::holding(cuts.image(position, &mut Chance::new(seed)));
            drop(on(&once));
            every_cut(&once.trace(), 3, |again, second| {
                let twice = again.image(second, &mut Chance::new(seed * 1000 + second as u64));
                let lost = missing(&Disk::holding(twice), &told, position);
                assert_eq!(lost, None, "round {round}: cuts at {position} and {second}");
                count += 1;
            });
        });
        assert!(count >= 100, "{count}");
    }
}

#[test]
fn a_lying_disk_is_found_out() {
    let (disk, mut told) = made();
    disk.lie();
    work(&disk, &mut told, 12, &mut Chance::new(7));
    let mut found = 0;
    every_cut(&disk.trace(), 5, |cuts, position| {
        let after = Disk::holding(cuts.image(position, &mut Chance::new(position as u64)));
        let lost = std::panic::catch_unwind(|| missing(&after, &told, position));
        found += usize::from(!matches!(lost, Ok(None)));
    });
    assert!(found > 10, "{found}");
}

#[test]
fn a_failed_disk_is_an_error_and_reopening_goes_on_with_fresh_ids() {
    let (disk, _) = made();
    let mut told: Vec<Message> = Vec::new();
    for failing in 0..40 {
        let mut store = on(&disk);
        told.push(store.write(|tx| append(tx, failing)).unwrap());
        let tried = {
            disk.fail_after(failing % 12);
            let tried = store.write(|tx| append(tx, 1000 + failing));
            disk.heal();
            tried
        };
        if let Ok(message) = tried {
            told.push(message);
        } else {
            assert!(matches!(tried, Err(StoreError::Io(_))), "{tried:?}");
            let reader = store.reader();
            store.reopen().unwrap();
            reader.read(|here| here.head(chat())).unwrap();
        }
        let next = store.write(|tx| append(tx, 2000 + failing)).unwrap();
        assert!(told.iter().all(|m| m.id < next.id));
        told.push(next);
        for message in &told {
            let find = |here: &Snapshot| here.message(message.chat, message.id);
            assert_eq!(store.reader().read(find).unwrap().as_ref(), Some(message));
        }
        assert_eq!(store.reader().verify(&mut |_| {}).unwrap().faults, Vec::<String>::new());
    }
}
