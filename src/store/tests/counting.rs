//! What has a place in the count of a chat, and what shares that of what came before it.

use super::keeping::{faults, plant};
use super::*;
use crate::limits::COOKIE_WINDOW;

/// A record of somebody's.
fn tell(store: &mut Store, from: AccountNo, kind: Kind) -> Message {
    store.write(|tx| tx.append(chat(), from, Timestamp(1), kind, &"".into(), None)).unwrap()
}

fn at_place(store: &Store, seq: u32) -> Option<MessageId> {
    store.reader().read(|here| here.message_at(chat(), Seq(seq))).unwrap()
}

const MIXED: [Kind; 9] = [
    Kind::Created,
    Kind::Joined,
    Kind::Text,
    Kind::Renamed,
    Kind::Access,
    Kind::Edited,
    Kind::Left,
    Kind::Deleted,
    Kind::Invited,
];

#[test]
fn what_tells_of_the_chat_has_the_place_of_what_came_before_it() {
    let mut store = memory();
    let mut all = Vec::new();
    for kind in MIXED {
        all.push(tell(&mut store, ALICE, kind));
        // The count goes on the same when the chat has to be read again.
        store.reopen().unwrap();
    }
    let seqs: Vec<u32> = all.iter().map(|message| message.seq.0).collect();
    assert_eq!(seqs, [0, 0, 1, 1, 1, 2, 2, 3, 4]);
    assert!(all.windows(2).all(|pair| pair[1].previous == pair[0].id));
    assert_eq!(store.reader().read(|here| here.head(chat())).unwrap().seq, Seq(4));
    assert_eq!(faults(&store), Vec::<String>::new());

    // Waiting to be merged and merged, a place leads to the message whose it is.
    for _ in 0..2 {
        let found: Vec<_> = (0..=5).map(|seq| at_place(&store, seq)).collect();
        let placed = |i: usize| Some(all[i].id);
        assert_eq!(found, [None, placed(2), placed(5), placed(7), placed(8), None]);
        store.merge().unwrap();
    }
}

#[test]
fn the_record_at_a_floor_does_not_take_the_place_of_what_is_gone() {
    let mut store = memory();
    send(&mut store, ALICE, "gone");
    let cleared = tell(&mut store, ALICE, Kind::Cleared);
    store.write(|tx| tx.put_floor(chat(), Mark { seq: Seq(2), ..mark(&cleared) })).unwrap();
    store.merge().unwrap();
    while store.is_unswept() {
        store.sweep().unwrap();
    }
    assert_eq!(at_place(&store, 1), None);
    let next = send(&mut store, BOB, "left");
    assert_eq!((next.seq, at_place(&store, 2)), (Seq(2), Some(next.id)));
    assert_eq!(faults(&store), Vec::<String>::new());
}

#[test]
fn a_chat_in_which_every_record_had_a_place_is_sound_and_goes_on() {
    let mut store = memory();
    for (i, kind) in MIXED.into_iter().enumerate() {
        let record = tell(&mut store, ALICE, kind);
        plant(&mut store, &Message { seq: Seq(i as u32 + 1), ..record }, false);
        store.reopen().unwrap();
    }
    assert_eq!(faults(&store), Vec::<String>::new());
    let joined = tell(&mut store, BOB, Kind::Joined);
    let sent = send(&mut store, BOB, "x");
    assert_eq!((joined.seq, sent.seq), (Seq(9), Seq(10)));
    assert_eq!(at_place(&store, 10), Some(sent.id));
    assert_eq!(faults(&store), Vec::<String>::new());
}

#[test]
fn a_count_that_does_not_go_on_is_named() {
    let mut store = memory();
    let all = [Kind::Text, Kind::Text, Kind::Joined].map(|kind| tell(&mut store, ALICE, kind));
    for (i, seq, what) in [
        (1, 1, "its seq is 1 after 1"),
        (2, 1, "its seq is 1 after 2"),
        (2, 4, "its seq is 4 after 2"),
    ] {
        plant(&mut store, &Message { seq: Seq(seq), ..all[i].clone() }, false);
        let found = faults(&store);
        let people = "account 1 and account 2";
        let named = format!("message {} of chat {} ({people}): {what}", all[i].id.0, chat().0);
        assert_eq!(found[0], named, "{found:?}");
        plant(&mut store, &all[i], false);
    }
    assert_eq!(faults(&store), Vec::<String>::new());
}

#[test]
fn an_implied_mark_outlives_any_number_of_records_without_a_place() {
    for forgets in [false, true] {
        let mut store = memory();
        join(&mut store);
        let own = send(&mut store, ALICE, "x");
        for i in 0..COOKIE_WINDOW + 100 {
            if forgets && i % 97 == 0 {
                store.reopen().unwrap();
            }
            let told = tell(&mut store, BOB, Kind::Joined);
            assert_eq!(told.seq, own.seq);
            assert_eq!(member(&mut store, ALICE).read, mark(&own), "after {i}");
            let written = on_disk(&store, ALICE).read == mark(&own);
            assert_eq!(written, i + 1 >= COOKIE_WINDOW / 2, "after {i}");
        }
        store.reopen().unwrap();
        assert_eq!(member(&mut store, ALICE).read, mark(&own));
    }
}
