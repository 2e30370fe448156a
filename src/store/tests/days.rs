//! How far the messages had come at what time.

use super::*;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn put(store: &mut Store, at: u64) -> MessageId {
    store.write(|tx| tx.put_day(Timestamp(at))).unwrap();
    store.reader().read(|here| here.day(Timestamp(at))).unwrap().unwrap().1
}

fn day(store: &Store, by: u64) -> Option<(u64, MessageId)> {
    let day = store.reader().read(|here| here.day(Timestamp(by))).unwrap();
    day.map(|(at, id)| (at.0, id))
}

#[test]
fn what_was_there_at_a_time_is_older_than_its_id() {
    let mut store = memory();
    join(&mut store);
    assert_eq!(day(&store, u64::MAX), None);
    let first = send(&mut store, ALICE, "one");
    let noon = put(&mut store, 10 * DAY);
    let second = send(&mut store, ALICE, "two");
    assert!(first.id < noon && noon < second.id);
    let evening = put(&mut store, 10 * DAY + 5);
    assert!(second.id < evening);
    assert_eq!(day(&store, 10 * DAY - 1), None);
    assert_eq!(day(&store, 10 * DAY + 4), Some((10 * DAY, noon)));
    assert_eq!(day(&store, u64::MAX), Some((10 * DAY + 5, evening)));
    // A clock that stood ahead has been set back.
    put(&mut store, 90 * DAY);
    let back = put(&mut store, 11 * DAY);
    assert_eq!(day(&store, u64::MAX), Some((11 * DAY, back)));
    assert_eq!(day(&store, 11 * DAY - 1), Some((10 * DAY + 5, evening)));
}

#[test]
fn days_come_along_with_a_backup_and_are_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = at(&directory);
    let id = put(&mut store, DAY);
    let path = directory.path().join("backup.redb");
    assert!(store.reader().backup(&path, &mut |_| {}).unwrap().faults.is_empty());
    let copy = Store::open(Place::File(path), OPTIONS).unwrap();
    assert_eq!(day(&copy, DAY), Some((DAY, id)));
    // What is younger has come less far.
    let broken = |tx: &mut Tx<'_>| {
        let table = tx.tables.days_mut()?;
        table.put(2 * DAY, 1, |out| rows::put_one(id.0 - 1, out))
    };
    store.write(|tx| tx.put_day(Timestamp(2 * DAY)).and_then(|()| broken(tx))).unwrap();
    let verdict = store.reader().verify(&mut |_| {}).unwrap();
    assert!(verdict.faults.len() == 1 && verdict.faults[0].starts_with("days "), "{verdict:?}");
}

#[test]
fn one_that_cannot_be_read_is_as_good_as_none() {
    let mut store = memory();
    let id = put(&mut store, DAY);
    put(&mut store, 2 * DAY);
    store
        .write(|tx| tx.begin().and_then(|()| tx.tables.days_mut()?.insert(2 * DAY, b"....")))
        .unwrap();
    assert_eq!(day(&store, u64::MAX), Some((DAY, id)));
}

#[test]
fn every_chat_is_come_by_wherever_its_messages_lie() {
    let mut store = memory();
    let text: Arc<str> = "x".into();
    let chats: Vec<ChatId> = (2..9).map(|n| ChatId::direct(ALICE, AccountNo(n))).collect();
    for (n, chat) in chats.iter().enumerate().rev() {
        for _ in 0..=n {
            let at = Timestamp(1);
            store.write(|tx| tx.append(*chat, ALICE, at, Kind::Text, &text, None)).unwrap();
        }
        if n == 4 {
            store.merge().unwrap();
        }
    }
    let all = |store: &mut Store| {
        let mut found = Vec::new();
        let mut after = ChatId(0);
        let read = store.write(|tx| {
            while let Some(chat) = tx.chat_after(after)? {
                found.push(chat);
                after = chat;
            }
            Ok(())
        });
        read.unwrap();
        found
    };
    assert_eq!(all(&mut store), chats);
    assert!(store.has_waiting(MessageId::END) && !store.has_waiting(MessageId(10)));
    store.merge().unwrap();
    assert!(!store.has_waiting(MessageId::END));
    assert_eq!(all(&mut store), chats);
}
