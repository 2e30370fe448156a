//! Messages in two tables: whatever lies where, every question has the same answer.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::*;
use crate::domain::words::{Range, Take};
use crate::limits::{
    BATCH_COMMANDS_MAX, COOKIE_WINDOW, RECENT_FULL, RECENT_MAX, RECENT_REST, RECENT_RIPE,
};
use crate::store::crash::{Chance, Disk};
use crate::store::tlv;
use crate::store::{arrivals, line};

/// Alice's with three, and one in which nobody ever writes.
pub(super) const CHATS: [ChatId; 4] =
    [ChatId(1 << 32 | 2), ChatId(1 << 32 | 3), ChatId(1 << 32 | 4), ChatId(2 << 32 | 3)];
const COUNT: usize = 36;

pub(super) fn whole() -> Range {
    let (after, before) = (MessageId(0), MessageId::END);
    Range { after, before, since: None, count: 1000, take: Take::First }
}

/// The `i`th message of a talk in three chats, some of them much busier than others.
pub(super) fn say(tx: &mut Tx<'_>, i: usize) -> Result<Message, StoreError> {
    let mut chance = Chance::new(i as u64);
    let chat = CHATS[[0, 0, 0, 1, 1, 2][chance.below(6)]];
    let (low, high) = chat.pair().unwrap();
    let from = if chance.one_in(2) { low } else { high };
    let text: Arc<str> = format!("{i} {}", "x".repeat(chance.below(300))).into();
    // Some times come twice, some clocks go backwards.
    let now = Timestamp(1000 + (i as u64 / 3) * 10 - chance.below(15) as u64);
    let cookie = format!("cookie {}", i % 20);
    let cookie = (!chance.one_in(3)).then_some(cookie.as_str());
    tx.append(chat, from, now, Kind::Text, &text, cookie)
}

/// Everything that can be asked of a snapshot or a turn.
fn answers(look: &impl Look) -> Vec<String> {
    let mut answers = Vec::new();
    for chat in CHATS {
        let mut say = |what: &dyn fmt::Debug| answers.push(format!("{what:?}"));
        say(&look.head(chat));
        for id in 0..=COUNT as u64 + 1 {
            say(&look.message(chat, MessageId(id)));
            say(&look.message_at(chat, Seq(id as u32)));
            for take in [Take::First, Take::Last] {
                let id = MessageId(id);
                say(&look.messages(chat, &Range { after: id, take, count: 3, ..whole() }));
                say(&look.messages(chat, &Range { before: id, take, count: 3, ..whole() }));
            }
            let since = Some(Timestamp(990 + id * 4));
            say(&look.messages(chat, &Range { since, count: 2, ..whole() }));
        }
        say(&look.messages(chat, &whole()));
        say(&look.messages(chat, &Range { take: Take::Last, ..whole() }));
    }
    answers
}

/// What only a turn is asked, with nothing remembered of the chats before.
fn turn_answers(tx: &mut Tx<'_>) -> Vec<String> {
    let mut answers = Vec::new();
    for chat in CHATS {
        for account in 1..=4 {
            tx.state.chats = Default::default();
            answers.push(format!("{:?}", tx.member(AccountNo(account), chat)));
            for cookie in 0..20 {
                let cookie = format!("cookie {cookie}");
                answers.push(format!("{:?}", tx.cookie(chat, AccountNo(account), &cookie)));
            }
        }
    }
    answers
}

fn everything(store: &mut Store) -> (Vec<String>, Vec<String>, Vec<String>) {
    let of_snapshot = store.reader().read(|here| Ok(answers(here))).unwrap();
    let of_turn = store.write(|tx| Ok(answers(tx))).unwrap();
    (of_snapshot, of_turn, store.write(|tx| Ok(turn_answers(tx))).unwrap())
}

pub(super) fn peopled() -> Store {
    let mut store = memory();
    let put = |tx: &mut Tx<'_>| {
        CHATS.iter().try_for_each(|chat| {
            let (low, high) = chat.pair().unwrap();
            tx.put_member(low, *chat, &Member::default())?;
            tx.put_member(high, *chat, &Member::default())
        })
    };
    store.write(put).unwrap();
    store
}

fn say_all(store: &mut Store, mut which: std::ops::Range<usize>) {
    store.write(|tx| which.try_for_each(|i| say(tx, i).map(drop))).unwrap()
}

pub(super) fn merge_all(store: &mut Store) {
    while store.waiting() > 0 {
        store.merge().unwrap();
    }
}

pub(super) fn merge_chats(store: &mut Store, chats: usize) {
    store.run(Ending::Plain, |tx| tx.merge(chats)).unwrap();
}

/// How many messages have been merged, and how many have not.
fn places(store: &Store) -> (u64, u64) {
    let lengths = |here: &Snapshot| {
        let merged = here.tables.messages()?.len()?;
        Ok((merged, here.count()? - merged))
    };
    store.reader().read(lengths).unwrap()
}

#[test]
fn every_question_has_the_same_answer_wherever_the_merge_ended() {
    let mut plain = peopled();
    say_all(&mut plain, 0..COUNT);
    let right = everything(&mut plain);
    assert_eq!(right.0, right.1);
    for merged in 0..=COUNT {
        let mut store = peopled();
        say_all(&mut store, 0..merged);
        merge_all(&mut store);
        assert_eq!(places(&store), (merged as u64, 0));
        // The last of them are asked for in the turn that says them.
        let rest = merged.max(COUNT - 5);
        say_all(&mut store, merged..rest);
        let within = |tx: &mut Tx<'_>| {
            (rest..COUNT).try_for_each(|i| say(tx, i).map(drop))?;
            Ok((answers(tx), turn_answers(tx)))
        };
        let (of_turn, of_turn_only) = store.write(within).unwrap();
        assert!(of_turn == right.0 && of_turn_only == right.2, "{merged} in the turn");
        assert_eq!(places(&store), (merged as u64, (COUNT - merged) as u64));
        assert!(everything(&mut store) == right, "{merged} merged");
        store.reopen().unwrap();
        assert!(everything(&mut store) == right, "{merged} merged and reopened");

        let verdict = store.reader().verify(&mut |_| {}).unwrap();
        assert_eq!((verdict.faults, verdict.messages, verdict.chats), (vec![], COUNT as u64, 3));
        if merged % 8 == 0 {
            let home = tempfile::tempdir().unwrap();
            let target = home.path().join("backup.redb");
            let verdict = store.reader().backup(&target, &mut |_| {}).unwrap();
            assert_eq!((verdict.faults, verdict.messages), (vec![], COUNT as u64));
            let mut copy = Store::open(Place::File(target), OPTIONS).unwrap();
            assert_eq!(places(&copy), (COUNT as u64, 0), "a backup is merged");
            assert!(everything(&mut copy) == right, "{merged} merged and restored");
        }
    }
}

#[test]
fn every_question_has_the_same_answer_between_the_slices_of_a_merge() {
    for chats in 1..=3 {
        let mut store = peopled();
        say_all(&mut store, 0..COUNT);
        let right = everything(&mut store);
        let mut slices = 0;
        while store.waiting() > 0 {
            let before = places(&store);
            merge_chats(&mut store, chats);
            slices += 1;
            let after = places(&store);
            assert!(
                after.0 > before.0 && after.0 + after.1 == COUNT as u64,
                "{before:?} {after:?}"
            );
            assert_eq!(after.1, store.waiting() as u64);
            assert!(everything(&mut store) == right, "{chats} chats, slice {slices}");
        }
        assert!((chats == 3) == (slices == 1), "{slices} slices of {chats} chats");
    }
}

#[test]
fn a_snapshot_stays_one_point_in_time_while_merges_pass() {
    let mut store = peopled();
    say_all(&mut store, 0..COUNT / 2);
    let reader = store.reader();
    let right = reader.read(|here| Ok(answers(here))).unwrap();
    let before = reader.snapshot().unwrap();
    // One that has looked already, and one that is to look when everything is elsewhere.
    let looked = reader.snapshot().unwrap();
    answers(&looked);
    let behind = Arc::new(Arrivals::read(before.tables.recent().unwrap(), Vec::new()).unwrap());
    let early = Sight::new(lock(&store.shared).as_ref().unwrap().arrivals.clone());
    merge_chats(&mut store, 1);
    // It took the index before the merge and the tables after it.
    let tables = reader.snapshot().unwrap().tables;
    let across = Snapshot { tables, sight: Sight::new(behind.clone()), quarantine: Arc::default() };
    let across_told = Snapshot {
        tables: reader.snapshot().unwrap().tables,
        sight: early,
        quarantine: Arc::default(),
    };
    say_all(&mut store, COUNT / 2..COUNT);
    merge_all(&mut store);
    // The same, and a second merge has put newer ones into the chats.
    let late = reader.snapshot().unwrap().tables;
    let late = Snapshot { tables: late, sight: Sight::new(behind), quarantine: Arc::default() };
    for (name, snapshot) in
        [("before", before), ("looked", looked), ("across", across), ("told", across_told)]
    {
        assert!(answers(&snapshot) == right, "{name}");
    }
    assert!(answers(&late) == reader.read(|here| Ok(answers(here))).unwrap());
}

#[test]
fn readers_never_see_a_hole_while_messages_come_and_are_merged() {
    // What was told of each chat: the newest seq.
    let told: [AtomicU32; 3] = Default::default();
    let turns = AtomicUsize::new(0);
    const TURNS: usize = 3000;
    let mut store = peopled();
    let read = |reader: &Reader, chance: &mut Chance| {
        let which = chance.below(3);
        let chat = CHATS[which];
        let walk = chance.one_in(50);
        let least = told[which].load(Ordering::Acquire);
        reader
            .read(|here| {
                let head = here.head(chat)?;
                assert!(head.seq.0 >= least, "{head:?}, told {least}");
                let mut before = MessageId::END;
                let mut next: Option<Message> = None;
                let (count, take) = (7, Take::Last);
                loop {
                    let (page, more) =
                        here.messages(chat, &Range { before, count, take, ..whole() })?;
                    for message in page.into_iter().rev() {
                        match &next {
                            None => assert_eq!((message.id, message.seq), (head.id, head.seq)),
                            Some(next) => {
                                assert_eq!(message.id, next.previous, "{message:?} {next:?}");
                                assert_eq!(message.seq.0 + 1, next.seq.0);
                            }
                        }
                        before = message.id;
                        next = Some(message);
                    }
                    // Most look at the end only, so that many are taken while something is
                    // written.
                    if !more || !walk {
                        break;
                    }
                }
                assert!(!walk || next.is_none_or(|first| first.seq == Seq(1)));
                let seq = Seq(1 + chance.below(head.seq.0.max(1) as usize) as u32);
                if seq <= head.seq {
                    let id = here.message_at(chat, seq)?.expect("it lies within the chat");
                    assert_eq!(here.message(chat, id)?.map(|m| m.seq), Some(seq));
                }
                Ok(())
            })
            .unwrap();
    };
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (reader, turns) = (store.reader(), &turns);
            scope.spawn(move || {
                let mut chance = Chance::new(seed);
                while turns.load(Ordering::Acquire) < TURNS {
                    read(&reader, &mut chance);
                }
            });
        }
        let mut chance = Chance::new(77);
        for turn in 0..TURNS {
            let batch = 1 + chance.below(4);
            let said = store.write(|tx| {
                (0..batch).map(|i| say(tx, turn * 4 + i)).collect::<Result<Vec<_>, _>>()
            });
            for message in said.unwrap() {
                let which = CHATS.iter().position(|chat| *chat == message.chat).unwrap();
                told[which].store(message.seq.0, Ordering::Release);
            }
            if chance.one_in(3) {
                merge_chats(&mut store, 1 + chance.below(3));
            }
            turns.store(turn + 1, Ordering::Release);
        }
    });
}

#[test]
fn no_more_wait_than_there_may() {
    let mut store = memory();
    let text: Arc<str> = "x".into();
    let mut most = 0;
    for turn in 0..20_u32 {
        store
            .write(|tx| {
                for i in 0..BATCH_COMMANDS_MAX as u32 {
                    // First few chats, then more than one commit of a merge takes.
                    let to = AccountNo(10 + if turn < 10 { i % 64 } else { turn * 1024 + i });
                    let chat = ChatId::direct(ALICE, to);
                    tx.append(chat, ALICE, Timestamp(1), Kind::Text, &text, None)?;
                }
                Ok(())
            })
            .unwrap();
        most = most.max(store.waiting());
        assert!(store.waiting() <= RECENT_MAX);
        assert_eq!(store.is_ripe(), store.waiting() >= RECENT_RIPE);
    }
    assert!(most >= RECENT_FULL, "{most}");
    // As it is at worst: each touches a page of its own.
    let before = store.work().bytes_written;
    store.merge().unwrap();
    let bytes = store.work().bytes_written - before;
    assert!(bytes < 6 << 20, "{bytes} bytes in one commit");
    assert_eq!(places(&store).1, store.waiting() as u64);
    assert_eq!(store.reader().verify(&mut |_| {}).unwrap().messages, 20 * 1024);
    store.seal().unwrap();
    assert!(store.waiting() < RECENT_REST, "next to nothing waits while the server rests");
    merge_all(&mut store);
    let few = send(&mut store, ALICE, "x");
    store.seal().unwrap();
    assert_eq!(places(&store), (20 * 1024, 1), "a few are not worth their pages");
    assert_eq!(store.reader().read(|here| here.message(chat(), few.id)).unwrap(), Some(few));
}

#[test]
fn long_messages_are_merged_a_few_at_a_time() {
    let mut store = memory();
    let text: Arc<str> = "x".repeat(16_384).into();
    for _ in 0..4 {
        let send = |tx: &mut Tx<'_>| {
            (0..100).try_for_each(|_| {
                tx.append(chat(), ALICE, Timestamp(1), Kind::Text, &text, None).map(drop)
            })
        };
        store.write(send).unwrap();
    }
    store.merge().unwrap();
    assert_eq!(store.waiting(), 400 - 256);
    merge_all(&mut store);
    assert_eq!(store.reader().verify(&mut |_| {}).unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_failed_turn_leaves_nothing_that_waits() {
    let mut store = peopled();
    say_all(&mut store, 0..5);
    let right = everything(&mut store);
    let failed = store.write(|tx| {
        say(tx, 9)?;
        Err::<(), _>(StoreError::Damaged("somebody's row".into()))
    });
    assert!(failed.is_err());
    assert!(everything(&mut store) == right);
    assert_eq!(store.waiting(), 5);
}

#[test]
fn a_merge_that_fails_keeps_nobody_from_writing() {
    let disk = Disk::new();
    let mut store = Store::open(Place::Backend(Arc::new(disk.clone())), OPTIONS).unwrap();
    let mut said = 0;
    let mut say_on = |store: &mut Store, count: usize| {
        for _ in 0..count {
            store.write(|tx| say(tx, said)).unwrap();
            said += 1;
        }
        said
    };
    say_on(&mut store, 9);
    assert!(store.is_ripe());
    disk.fail_after(0);
    assert!(matches!(store.merge(), Err(StoreError::Io(_))));
    disk.heal();
    store.reopen().unwrap();
    assert!(!store.is_ripe(), "not at once again");
    say_on(&mut store, 40);
    assert!(store.waiting() >= 49, "written without a merge");
    store.seal().unwrap();
    assert_eq!(store.waiting(), 49);
    say_on(&mut store, 100);
    assert!(store.waiting() <= 128, "but not for ever");
    let all = say_on(&mut store, 10);
    let verdict = store.reader().verify(&mut |_| {}).unwrap();
    assert_eq!((verdict.faults, verdict.messages), (vec![], all as u64));
}

#[test]
fn cookies_and_implied_marks_are_found_over_the_end_of_a_merge() {
    let mut store = memory();
    join(&mut store);
    let first = send_at(&mut store, ALICE, "x", Timestamp(1), Some("c"));
    for _ in 0..COOKIE_WINDOW / 2 {
        send(&mut store, BOB, "y");
    }
    merge_all(&mut store);
    let own = send_at(&mut store, ALICE, "x", Timestamp(1), Some("d"));
    for _ in 0..COOKIE_WINDOW / 2 - 3 {
        send(&mut store, BOB, "y");
    }
    store.reopen().unwrap();
    assert_eq!(member(&mut store, ALICE).read, mark(&own));
    let known = |store: &mut Store, cookie| {
        store.write(|tx| tx.cookie(chat(), ALICE, cookie)).unwrap().map(|head| head.id)
    };
    assert_eq!(known(&mut store, "d"), Some(own.id));
    assert_eq!(known(&mut store, "c"), Some(first.id));
    send(&mut store, BOB, "y");
    send(&mut store, BOB, "y");
    store.reopen().unwrap();
    assert_eq!(known(&mut store, "c"), None, "it has left the window");
}

#[test]
fn messages_that_lie_astray_are_named_and_merged_all_the_same() {
    let mut store = memory();
    let sent: Vec<Message> = (0..4).map(|_| send(&mut store, ALICE, "x")).collect();
    // The third has been merged before the others, as no merge would have it.
    let plant = |tx: &mut Tx<'_>| {
        tx.begin()?;
        let key = (sent[2].chat.0, sent[2].id.0);
        let mut record = Vec::new();
        line::put_message(&sent[2], &mut record);
        tlv::seal(&mut record, <arrivals::Place as redb::Value>::as_bytes(&key).as_ref());
        tx.tables.messages_mut()?.insert(key, &record)?;
        tx.tables.recent_mut()?.remove((key.1, key.0))
    };
    store.write(plant).unwrap();
    store.reopen().unwrap();
    let faults = store.reader().verify(&mut |_| {}).unwrap().faults;
    assert!(matches!(&*faults, [one] if one.ends_with("it was merged before an older one")));
    merge_all(&mut store);
    assert_eq!(store.reader().verify(&mut |_| {}).unwrap().faults, Vec::<String>::new());
    assert_eq!(store.reader().read(|here| here.messages(chat(), &whole())).unwrap().0, sent);
}

#[test]
fn a_seal_merges_nothing_where_there_is_no_room() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    store.write(|tx| (0..RECENT_REST).try_for_each(|i| say(tx, i).map(drop))).unwrap();
    drop(store);
    let full = Options { free_space: u64::MAX, ..OPTIONS };
    let mut store = Store::open(Place::Directory(home.path().into()), full).unwrap();
    store.seal().unwrap();
    assert!(!store.is_unsealed());
    assert_eq!(store.waiting(), RECENT_REST);
    store.close().unwrap();
    let mut store = at(&home);
    store.write(|tx| say(tx, RECENT_REST).map(drop)).unwrap();
    store.seal().unwrap();
    assert_eq!(store.waiting(), 0);
}
