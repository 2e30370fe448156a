//! What was deleted: unreadable at once, removed in time, and in no backup.

use super::*;
use crate::domain::nouns::Extra;

/// Whether these bytes are anywhere in a file.
fn holds(path: &Path, text: &str) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Messages whose texts nothing else holds.
fn secrets(store: &mut Store, count: usize) -> Vec<Message> {
    join(store);
    (0..count).map(|n| send(store, ALICE, &format!("secret number {n:04} ends"))).collect()
}

#[test]
fn what_was_deleted_is_in_no_backup() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = at(&directory);
    let all = secrets(&mut store, 300);
    let wiped = Message {
        text: "".into(),
        extra: Some(Box::new(Extra { deleted: true, ..Extra::default() })),
        ..all[250].clone()
    };
    store.write(|tx| tx.rewrite(&wiped)).unwrap();
    store.write(|tx| tx.put_floor(chat(), mark(&all[200]))).unwrap();
    let path = directory.path().join("backup.redb");
    let verdict = store.reader().backup(&path, &mut |_| {}).unwrap();
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    assert_eq!(verdict.messages, 100);
    for (n, kept) in [(0, false), (199, false), (200, true), (249, true), (250, false), (299, true)]
    {
        assert_eq!(holds(&path, &format!("secret number {n:04} ends")), kept, "{n}");
    }
    let mut copy = Store::open(Place::File(path), OPTIONS).unwrap();
    let found = copy.reader().read(|here| here.message(chat(), wiped.id)).unwrap();
    assert_eq!(found, Some(wiped));
    assert_eq!(send(&mut copy, BOB, "and on").seq, Seq(301));
    let verdict = copy.reader().verify(&mut |_| {}).unwrap();
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
}

#[test]
fn what_lies_below_a_floor_is_removed_a_slice_at_a_time() {
    let mut store = memory();
    let count = crate::limits::SWEEP_RECORDS + 100;
    let all = secrets(&mut store, count);
    store.sweep().unwrap();
    assert!(!store.is_unswept(), "there was nothing to remove");
    while store.waiting() > 0 {
        store.merge().unwrap();
    }
    let last = all.last().unwrap();
    store.write(|tx| tx.put_floor(chat(), mark(last))).unwrap();
    let commits = store.work().commits;
    let mut slices = 0;
    while store.is_unswept() {
        store.sweep().unwrap();
        slices += 1;
        let verdict = store.reader().verify(&mut |_| {}).unwrap();
        assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    }
    assert_eq!((slices, store.work().commits - commits), (2, 2));
    let left = store.reader().read(|here| {
        let range = Range {
            after: MessageId(0),
            before: MessageId::END,
            since: None,
            count: 500,
            take: crate::domain::words::Take::First,
        };
        here.messages(chat(), &range)
    });
    assert_eq!(left.unwrap().0, std::slice::from_ref(last));
    // Once more there is nothing to do, and nothing is written for it.
    store.sweep().unwrap();
    assert_eq!(store.work().commits - commits, 2);
    assert_eq!(member(&mut store, ALICE).read, mark(last));
}

#[test]
fn what_waits_below_a_floor_is_merged_into_nothing() {
    let mut store = memory();
    let all = secrets(&mut store, 30);
    for floor in [10, 20] {
        store.write(|tx| tx.put_floor(chat(), mark(&all[floor]))).unwrap();
        let verdict = store.reader().verify(&mut |_| {}).unwrap();
        assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
        store.merge().unwrap();
        // What was merged before the second floor is removed by nobody yet.
        let left = store.reader().read(|here| here.tables.messages()?.len()).unwrap();
        assert_eq!(left, 20);
        let verdict = store.reader().verify(&mut |_| {}).unwrap();
        assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    }
    store.sweep().unwrap();
    let left = store.reader().read(|here| here.tables.messages()?.len()).unwrap();
    assert_eq!(left, 10);
}

#[test]
fn a_rewritten_message_keeps_its_place_and_its_cookie() {
    let mut store = memory();
    join(&mut store);
    let first = send_at(&mut store, ALICE, "one", Timestamp(1), Some("c"));
    let second = send(&mut store, BOB, "two");
    let edited = Message { text: "another".into(), ..first.clone() };
    store.write(|tx| tx.rewrite(&edited)).unwrap();
    let known = store.write(|tx| tx.cookie(chat(), ALICE, "c")).unwrap();
    assert_eq!(known.map(|head| head.id), Some(first.id));
    let head = store.reader().read(|here| here.head(chat())).unwrap();
    assert_eq!((head.id, head.seq), (second.id, second.seq));
    let found = store.reader().read(|here| here.message_at(chat(), first.seq)).unwrap();
    assert_eq!(found, Some(first.id));
    let verdict = store.reader().verify(&mut |_| {}).unwrap();
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
}

#[test]
fn a_damaged_floor_keeps_nobody_from_a_backup_or_a_merge() {
    let home = tempfile::tempdir().unwrap();
    let mut store = memory();
    let all = secrets(&mut store, 30);
    let other = ChatId::direct(ALICE, AccountNo(3));
    let text: Arc<str> = "elsewhere".into();
    let gone = store.write(|tx| tx.append(other, ALICE, Timestamp(1), Kind::Text, &text, None));
    let kept = store.write(|tx| tx.append(other, ALICE, Timestamp(1), Kind::Text, &text, None));
    store
        .write(|tx| {
            tx.put_floor(other, mark(&kept.unwrap()))?;
            tx.put_floor(chat(), mark(&all[10]))?;
            tx.tables.floors_mut()?.insert(chat().0, b"....")
        })
        .unwrap();
    store.merge().unwrap();
    assert_eq!(store.waiting(), 0);
    let gone = gone.unwrap().id;
    assert_eq!(store.reader().read(|here| here.message(other, gone)).unwrap(), None);
    store.sweep().unwrap();
    assert!(!store.is_unswept());
    // Nobody knows how much of it was deleted, so that nothing of it is lost.
    let path = home.path().join("backup.redb");
    let verdict = store.reader().backup(&path, &mut |_| {}).unwrap();
    assert_eq!(verdict.messages, 31);
    assert!(verdict.faults.len() == 1 && verdict.faults[0].starts_with("floors "));
    let copy = Store::open(Place::File(path), OPTIONS).unwrap();
    assert_eq!(copy.reader().verify(&mut |_| {}).unwrap().faults, verdict.faults);
}

#[test]
fn what_is_removed_while_a_walk_is_under_way_is_no_fault() {
    let mut store = memory();
    let all = secrets(&mut store, 2000);
    while store.waiting() > 0 {
        store.merge().unwrap();
    }
    let reader = store.reader();
    let mut is_whole = true;
    let verdict = reader.verify(&mut |records| {
        // Between two slices of the chat.
        if records > 1024 && std::mem::take(&mut is_whole) {
            store.write(|tx| tx.put_floor(chat(), mark(&all[1900]))).unwrap();
            while store.is_unswept() {
                store.sweep().unwrap();
            }
        }
    });
    assert!(!is_whole);
    assert_eq!(verdict.unwrap().faults, Vec::<String>::new());
    assert_eq!(store.reader().read(|here| here.tables.messages()?.len()).unwrap(), 100);
}
