//! Messages that are noted and in no table yet: whatever is asked meanwhile has the same answer.

use super::merging::{CHATS, say, whole};
use super::places::mark_schema;
use super::*;
use crate::store::backend::{SCHEMA, UNBOOKED};
use crate::store::crash::{Chance, Disk};
use crate::store::look::Books;
use crate::store::rows;

fn on(disk: &Disk) -> Store {
    Store::open(Place::Backend(Arc::new(disk.clone())), OPTIONS).unwrap()
}

/// How many lie in `recent`, and how many are noted.
fn places(store: &Store) -> (u64, u64) {
    let lengths = |here: &Snapshot| {
        let recent = here.tables.recent()?.len()?;
        Ok((recent, here.count()? - recent - here.tables.messages()?.len()?))
    };
    store.reader().read(lengths).unwrap()
}

/// A store on a disk, with one commit behind it.
fn made() -> (Disk, Store) {
    let disk = Disk::new();
    let mut store = on(&disk);
    join(&mut store);
    (disk, store)
}

/// Some other write than a message's.
fn write_else(store: &mut Store) {
    store.write(|tx| tx.put_day(Timestamp(5))).unwrap();
}

#[test]
fn a_turn_of_messages_is_one_write_and_one_sync() {
    let (disk, mut store) = made();
    send(&mut store, ALICE, "the first takes numbers");
    let before = disk.trace();
    let sent = send(&mut store, ALICE, "x");
    assert_eq!(disk.trace().since(&before), (1, 4096, 1));
    let before = disk.trace();
    store.write(|tx| (0..20).try_for_each(|i| say(tx, i).map(drop))).unwrap();
    let (writes, bytes, syncs) = disk.trace().since(&before);
    assert_eq!((writes, syncs), (1, 1));
    assert!(bytes <= 8192, "{bytes}");
    assert_eq!(places(&store), (1, 21));
    assert_eq!(store.reader().read(|here| here.message(chat(), sent.id)).unwrap(), Some(sent));
}

#[test]
fn whatever_else_is_written_posts_them_first() {
    let (_, mut store) = made();
    let first = send(&mut store, ALICE, "1");
    let second = send(&mut store, BOB, "2");
    write_else(&mut store);
    assert_eq!(places(&store), (2, 0));
    // In the same turn, before and after it.
    let third = store
        .write(|tx| {
            let text: Arc<str> = "3".into();
            let third = tx.append(chat(), ALICE, Timestamp(2), Kind::Text, &text, Some("c"))?;
            tx.put_day(Timestamp(6))?;
            assert_eq!(tx.message(chat(), third.id)?.as_ref(), Some(&third));
            let fourth = tx.append(chat(), ALICE, Timestamp(2), Kind::Text, &text, None)?;
            assert_eq!(tx.messages(chat(), &whole())?.0.len(), 4);
            assert_eq!(fourth.previous, third.id);
            Ok(third)
        })
        .unwrap();
    assert_eq!(places(&store), (4, 0));
    let all = store.reader().read(|here| here.messages(chat(), &whole())).unwrap().0;
    assert_eq!(all[..3], [first, second, third]);
    assert!(store.reader().verify(&mut |_| {}).unwrap().faults.is_empty());
}

#[test]
fn a_full_daybook_is_posted_by_the_turn_that_finds_it_full() {
    let mut store = memory();
    join(&mut store);
    let mut posted = 0;
    for i in 0..300 {
        let before = store.work();
        store.write(|tx| say(tx, i)).unwrap();
        let after = store.work();
        let is_noted = after.bytes_written - before.bytes_written == 4096;
        assert!(is_noted || places(&store).1 == 0, "{i}");
        assert_eq!(after.commits - before.commits, 1);
        posted += usize::from(!is_noted);
    }
    assert_eq!(posted, 1 + 299 / 65, "the first takes numbers, 64 fit between two");
    // A turn for which no daybook is long enough.
    let text: Arc<str> = "x".repeat(16_000).into();
    let long = |tx: &mut Tx<'_>| {
        (0..20).try_for_each(|_| {
            tx.append(chat(), ALICE, Timestamp(1), Kind::Text, &text, None).map(drop)
        })
    };
    store.write(long).unwrap();
    assert_eq!(places(&store).1, 0);
    let verdict = store.reader().verify(&mut |_| {}).unwrap();
    assert_eq!((verdict.messages, verdict.faults), (320, vec![]));
}

#[test]
fn who_opens_it_finds_them_and_writes_none_of_them() {
    let (disk, mut store) = made();
    let sent: Vec<Message> = (0..9).map(|i| store.write(|tx| say(tx, i)).unwrap()).collect();
    let noted = places(&store).1;
    assert!(noted >= 8, "{noted}");
    drop(store);
    // Once by itself, once after a failure.
    let mut store = on(&disk);
    for again in [false, true] {
        if again {
            store.reopen().unwrap();
        }
        assert_eq!(places(&store).1, noted);
        // redb writes when it is closed and when it is opened.
        assert!(again || store.work().bytes_written <= 4096, "{:?}", store.work());
        for message in &sent {
            let found = store.reader().read(|here| here.message(message.chat, message.id));
            assert_eq!(found.unwrap().as_ref(), Some(message));
        }
    }
    assert!(store.is_unsealed());
    let next = store.write(|tx| say(tx, 9)).unwrap();
    assert!(sent.iter().all(|message| message.id < next.id));
    store.seal().unwrap();
    assert_eq!(places(&store).1, 0, "a server that rests has all of them in tables");
    assert_eq!(store.reader().verify(&mut |_| {}).unwrap().messages, 10);
}

#[test]
fn a_snapshot_stays_one_point_in_time_while_they_are_posted() {
    let (_, mut store) = made();
    let sent: Vec<Message> = (0..20).map(|i| store.write(|tx| say(tx, i)).unwrap()).collect();
    let reader = store.reader();
    let all = |here: &Snapshot| {
        let pages = CHATS.map(|chat| here.messages(chat, &whole()).unwrap().0);
        (pages, here.count().unwrap(), here.sight.places(&here.tables).unwrap())
    };
    let right = all(&reader.snapshot().unwrap());
    let before = reader.snapshot().unwrap();
    let looked = reader.snapshot().unwrap();
    all(&looked);
    let early = Sight::new(lock(&store.shared).as_ref().unwrap().arrivals.clone());
    let far_too_early = Sight::new(lock(&store.shared).as_ref().unwrap().arrivals.clone());

    // One is changed by the very turn that posts it.
    let changed = Message { kind: Kind::Deleted, text: "".into(), ..sent[3].clone() };
    let rewrite = |tx: &mut Tx<'_>| {
        tx.rewrite(&changed)?;
        assert_eq!(tx.message(changed.chat, changed.id)?.as_ref(), Some(&changed));
        Ok(())
    };
    store.write(rewrite).unwrap();
    let with_change = all(&reader.snapshot().unwrap());
    let tables = reader.snapshot().unwrap().tables;
    let across = Snapshot { tables, sight: early, quarantine: Arc::default() };
    // More are noted, and all of them merged.
    (20..30).for_each(|i| drop(store.write(|tx| say(tx, i)).unwrap()));
    while store.waiting() > 0 {
        store.merge().unwrap();
    }
    let tables = reader.snapshot().unwrap().tables;
    let late = Snapshot { tables, sight: far_too_early, quarantine: Arc::default() };

    assert!(all(&before) == right, "before");
    assert!(all(&looked) == right, "looked");
    // It took the index before they were posted and the tables after it.
    assert!(all(&across) == with_change, "across");
    assert_eq!(across.message(changed.chat, changed.id).unwrap(), Some(changed));
    assert!(late.young().unwrap().noted.is_none());
    assert_eq!(late.sight.places(&late.tables).unwrap(), []);
}

#[test]
fn a_turn_that_fails_leaves_them_noted() {
    let (_, mut store) = made();
    send(&mut store, ALICE, "1");
    let second = send(&mut store, ALICE, "2");
    let before = places(&store);
    let failed = store.write(|tx| {
        tx.put_day(Timestamp(5))?;
        Err::<(), _>(StoreError::Damaged("somebody's row".into()))
    });
    assert!(failed.is_err());
    assert_eq!(places(&store), before);
    let third = send(&mut store, ALICE, "3");
    assert_eq!((third.previous, third.seq), (second.id, Seq(3)));
    write_else(&mut store);
    assert_eq!(places(&store).0, 3);
}

#[test]
fn a_damaged_row_about_the_daybook_keeps_nobody_from_writing() {
    let (disk, mut store) = made();
    let first = send(&mut store, ALICE, "1");
    let spoil = |tx: &mut Tx<'_>| {
        tx.begin()?;
        tx.tables.meta_mut()?.insert("noted", b"....")
    };
    store.write(spoil).unwrap();
    drop(store);
    let mut store = on(&disk);
    let second = send(&mut store, ALICE, "2");
    assert_eq!(places(&store).1, 0, "nothing is noted before there is a round");
    let third = send(&mut store, ALICE, "3");
    assert_eq!(places(&store).1, 1);
    drop(store);
    let store = on(&disk);
    let all = store.reader().read(|here| here.messages(chat(), &whole())).unwrap().0;
    assert_eq!(all, [first, second, third]);
    assert!(store.reader().verify(&mut |_| {}).unwrap().faults.is_empty());
}

#[test]
fn a_database_of_schema_4_has_one_from_its_first_write_on() {
    let (disk, mut store) = made();
    let sent: Vec<Message> = (0..30).map(|i| store.write(|tx| say(tx, i)).unwrap()).collect();
    store.close().unwrap();
    let mut image = disk.trace().cuts().image(disk.position(), &mut Chance::new(0));
    mark_schema(&mut image, UNBOOKED);
    // What was the journal's holds anything.
    image[64 * 1024..576 * 1024].fill(0x5A);
    let disk = Disk::holding(image);
    let mut store = on(&disk);
    let place = |store: &Store, message: &Message| {
        store.reader().read(|here| here.message(message.chat, message.id)).unwrap()
    };
    assert!(sent.iter().all(|message| place(&store, message).as_ref() == Some(message)));
    write_else(&mut store);
    let next = store.write(|tx| say(tx, 30)).unwrap();
    assert_eq!(places(&store).1, 1, "what is written is noted now");
    drop(store);
    let store = on(&disk);
    assert_eq!(place(&store, &next), Some(next));
    let schema = |here: &Snapshot| here.tables.meta()?.row("schema", rows::one);
    assert_eq!(store.reader().read(schema).unwrap(), Some(u64::from(SCHEMA)));
    let verdict = store.reader().verify(&mut |_| {}).unwrap();
    assert_eq!((verdict.messages, verdict.faults), (31, vec![]));
}
