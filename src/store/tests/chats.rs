//! Sending, cookies, marks and history.

use super::*;
use crate::domain::words::{Range, Take};
use crate::limits::{COOKIE_WINDOW, ID_BLOCK};

#[test]
fn a_chain_has_no_gaps_and_time_never_runs_backwards() {
    let mut store = memory();
    let mut last = Message { time: Timestamp(0), seq: Seq(0), ..send(&mut memory(), ALICE, "") };
    last.id = MessageId(0);
    for now in [50, 40, 60, 10, 60] {
        let next = send_at(&mut store, ALICE, "x", Timestamp(now), None);
        assert_eq!((next.previous, next.seq.0), (last.id, last.seq.0 + 1));
        assert!(next.id > last.id && next.time >= last.time && next.time.0 >= now);
        last = next;
    }
    assert_eq!(last.time, Timestamp(60));
    let head = store.reader().read(|here| here.head(chat())).unwrap();
    assert_eq!(head, Head { id: last.id, seq: Seq(5), time: Timestamp(60) });
    let known = store.write(|tx| tx.head(chat())).unwrap();
    assert_eq!(known, head);
}

#[test]
fn ids_go_on_over_their_blocks_and_over_restarts() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    let first = send(&mut store, ALICE, "x");
    store.state.ids.as_mut().unwrap().next = ID_BLOCK;
    let last = send(&mut store, ALICE, "x");
    let next = send(&mut store, ALICE, "x");
    assert_eq!((first.id.0, last.id.0, next.id.0), (1, ID_BLOCK, ID_BLOCK + 1));
    store.close().unwrap();
    let mut store = at(&home);
    assert_eq!(send(&mut store, ALICE, "x").id.0, 2 * ID_BLOCK + 1);
}

#[test]
fn a_failed_turn_leaves_nothing_and_gives_no_id_twice() {
    let mut store = memory();
    let mut given = vec![send(&mut store, ALICE, "kept")];
    let mut lost = Vec::new();
    let failed = store.write(|tx| {
        lost.push(tx.append(chat(), ALICE, Timestamp(1), Kind::Text, &"lost".into(), Some("c"))?);
        Err::<(), _>(StoreError::Damaged("somebody's row".into()))
    });
    assert!(failed.is_err());
    assert_eq!(store.write(|tx| tx.cookie(chat(), ALICE, "c")).unwrap(), None);
    let next = send(&mut store, ALICE, "next");
    assert_eq!((next.previous, next.seq), (given[0].id, Seq(2)));
    given.push(next);
    assert!(given[1].id > given[0].id);
}

#[test]
fn a_cookie_is_known_for_a_thousand_messages_and_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    let first = send_at(&mut store, ALICE, "x", Timestamp(9), Some("c"));
    let again = send_at(&mut store, ALICE, "y", Timestamp(9), Some("c"));
    let known = |store: &mut Store, who| {
        store.write(|tx| tx.cookie(chat(), who, "c")).unwrap().map(|head| head.id)
    };
    assert_eq!(known(&mut store, ALICE), Some(first.id), "the first one counts");
    assert_eq!(known(&mut store, BOB), None);
    let other = ChatId::direct(ALICE, AccountNo(3));
    assert_eq!(store.write(|tx| tx.cookie(other, ALICE, "c")).unwrap(), None);
    for _ in 0..COOKIE_WINDOW - 2 {
        send(&mut store, BOB, "z");
    }
    assert_eq!(known(&mut store, ALICE), Some(first.id), "the last of the thousand");
    store.close().unwrap();
    let mut store = at(&home);
    assert_eq!(known(&mut store, ALICE), Some(first.id));
    send(&mut store, BOB, "z");
    assert_eq!(known(&mut store, ALICE), Some(again.id), "the first has left the window");
    store.reopen().unwrap();
    assert_eq!(known(&mut store, ALICE), Some(again.id));
    send(&mut store, BOB, "z");
    assert_eq!(known(&mut store, ALICE), None);
}

#[test]
fn a_cookie_counts_within_its_own_batch() {
    let mut store = memory();
    let text: Arc<str> = "x".into();
    let twice = store.write(|tx| {
        let sent = tx.append(chat(), ALICE, Timestamp(1), Kind::Text, &text, Some("c"))?;
        Ok((sent.id, tx.cookie(chat(), ALICE, "c")?.unwrap().id))
    });
    let (sent, found) = twice.unwrap();
    assert_eq!(sent, found);
}

#[test]
fn marks_are_answered_at_once_and_written_by_a_flush() {
    let mut store = memory();
    join(&mut store);
    let first = send(&mut store, ALICE, "x");
    let second = send(&mut store, ALICE, "x");
    let commits = store.work().commits;
    store.write(|tx| tx.move_marks(BOB, chat(), mark(&second), mark(&first))).unwrap();
    assert!(store.has_marks());
    let seen = member(&mut store, BOB);
    assert_eq!((seen.delivered, seen.read), (mark(&second), mark(&first)));
    assert_eq!(store.work().commits, commits, "marks alone are no commit");
    assert_eq!(on_disk(&store, BOB), Member::default());

    store.flush().unwrap();
    assert_eq!(on_disk(&store, BOB), seen);
    assert!(!store.has_marks());
    assert_eq!(store.work().commits, commits + 1);
    store.flush().unwrap();
    assert_eq!(store.work().commits, commits + 1, "nothing waits");

    // Never back, and what does not move does not wait.
    store.write(|tx| tx.move_marks(BOB, chat(), mark(&first), mark(&first))).unwrap();
    assert!(!store.has_marks());
    assert_eq!(member(&mut store, BOB), seen);
    let stranger = AccountNo(9);
    store.write(|tx| tx.move_marks(stranger, chat(), mark(&first), mark(&first))).unwrap();
    assert!(!store.has_marks());
}

#[test]
fn a_read_mark_takes_the_delivered_one_along() {
    let mut store = memory();
    join(&mut store);
    let sent = send(&mut store, ALICE, "x");
    store.write(|tx| tx.move_marks(BOB, chat(), Mark::default(), mark(&sent))).unwrap();
    assert_eq!(member(&mut store, BOB).delivered, mark(&sent));
}

#[test]
fn young_marks_let_a_commit_pass_and_old_ones_ride_along() {
    let mut store = memory();
    join(&mut store);
    let sent = send(&mut store, ALICE, "x");
    let began = std::time::Instant::now();
    store.write(|tx| tx.move_marks(BOB, chat(), mark(&sent), mark(&sent))).unwrap();
    send(&mut store, ALICE, "x");
    let passed = store.has_marks() && on_disk(&store, BOB) == Member::default();
    assert!(passed || began.elapsed().as_millis() >= 1000);
    store.state.marks.age();
    send(&mut store, ALICE, "x");
    assert!(!store.has_marks());
    assert_eq!(on_disk(&store, BOB).read, mark(&sent));
}

#[test]
fn sealing_and_closing_write_the_marks() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    join(&mut store);
    let sent = send(&mut store, ALICE, "x");
    store.write(|tx| tx.move_marks(BOB, chat(), mark(&sent), mark(&sent))).unwrap();
    assert!(store.is_unsealed());
    store.seal().unwrap();
    assert!(!store.is_unsealed() && !store.has_marks());
    assert_eq!(on_disk(&store, BOB).read, mark(&sent));
    let sent = send(&mut store, ALICE, "x");
    assert!(store.is_unsealed());
    store.write(|tx| tx.move_marks(BOB, chat(), mark(&sent), mark(&sent))).unwrap();
    store.close().unwrap();
    let store = at(&home);
    assert_eq!(on_disk(&store, BOB).read, mark(&sent));
    assert!(!store.is_unsealed());
}

#[test]
fn a_row_written_now_takes_its_marks_along() {
    let mut store = memory();
    join(&mut store);
    let sent = send(&mut store, ALICE, "x");
    store.write(|tx| tx.move_marks(BOB, chat(), mark(&sent), mark(&sent))).unwrap();
    let cleared = Member { cleared: sent.id, ..Member::default() };
    store.write(|tx| tx.put_member(BOB, chat(), &cleared)).unwrap();
    let there = on_disk(&store, BOB);
    assert_eq!((there.cleared, there.read), (sent.id, mark(&sent)));
}

#[test]
fn ones_own_message_is_read_without_a_write() {
    let mut store = memory();
    join(&mut store);
    send(&mut store, BOB, "x");
    let own = send(&mut store, ALICE, "y");
    let commits = store.work().commits;
    assert_eq!(member(&mut store, ALICE).read, mark(&own));
    assert!(!store.has_marks());
    assert_eq!(on_disk(&store, ALICE), Member::default());
    // The same when nothing is remembered of the chat.
    store.reopen().unwrap();
    assert_eq!(member(&mut store, ALICE).read, mark(&own));
    assert_eq!(member(&mut store, ALICE).delivered, mark(&own));
    assert_eq!(store.work().commits, commits);
}

#[test]
fn an_implied_mark_is_written_before_it_leaves_the_window() {
    let mut store = memory();
    join(&mut store);
    let own = send(&mut store, ALICE, "x");
    for i in 0..COOKIE_WINDOW + 200 {
        // Forgetting everything now and then changes nothing.
        if i % 97 == 0 {
            store.reopen().unwrap();
        }
        send(&mut store, BOB, "y");
        assert_eq!(member(&mut store, ALICE).read, mark(&own), "after {i}");
        let written = on_disk(&store, ALICE).read == mark(&own);
        assert_eq!(written, i + 1 >= COOKIE_WINDOW / 2, "after {i}");
    }
}

#[test]
fn a_last_seen_time_rides_along_and_a_minute_of_it_is_flushed() {
    let mut store = memory();
    store.write(|tx| tx.touch_last_seen(ALICE, Timestamp(100_000))).unwrap();
    assert!(store.has_marks());
    store.flush().unwrap();
    store.write(|tx| tx.touch_last_seen(ALICE, Timestamp(130_000))).unwrap();
    store.write(|tx| tx.touch_last_seen(ALICE, Timestamp(110_000))).unwrap();
    assert!(!store.has_marks(), "half a minute is nothing to write for");
    let seen = |store: &mut Store| store.write(|tx| tx.last_seen(ALICE)).unwrap();
    assert_eq!(seen(&mut store), Some(Timestamp(130_000)));
    assert_eq!(store.reader().read(|h| h.last_seen(ALICE)).unwrap(), Some(Timestamp(100_000)));
    store.write(|tx| tx.touch_last_seen(ALICE, Timestamp(160_000))).unwrap();
    assert!(store.has_marks());
    store.flush().unwrap();
    assert_eq!(store.reader().read(|h| h.last_seen(ALICE)).unwrap(), Some(Timestamp(160_000)));
    assert_eq!(seen(&mut store), Some(Timestamp(160_000)));
}

#[test]
fn too_many_marks_do_not_wait() {
    let mut store = memory();
    let sent = send(&mut store, ALICE, "x");
    store
        .write(|tx| {
            for no in 0..5000 {
                tx.put_member(AccountNo(no), chat(), &Member::default())?;
            }
            Ok(())
        })
        .unwrap();
    store
        .write(|tx| {
            for no in 3..5000 {
                tx.move_marks(AccountNo(no), chat(), mark(&sent), mark(&sent))?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(on_disk(&store, AccountNo(3)).read, mark(&sent));
    store.flush().unwrap();
    assert_eq!(on_disk(&store, AccountNo(4999)).read, mark(&sent));
}

fn ids(store: &Store, range: Range) -> (Vec<u32>, bool) {
    let (messages, more) = store.reader().read(|here| here.messages(chat(), &range)).unwrap();
    (messages.iter().map(|message| message.seq.0).collect(), more)
}

#[test]
fn history_is_read_from_either_end() {
    let mut store = memory();
    let mut all = Vec::new();
    for i in 0..20 {
        all.push(send_at(&mut store, ALICE, "x", Timestamp(i / 4 * 1000), None));
        // Other chats in between.
        let other = ChatId::direct(ALICE, AccountNo(3 + i as u32 % 2));
        let text: Arc<str> = "o".into();
        store.write(|tx| tx.append(other, ALICE, Timestamp(1), Kind::Text, &text, None)).unwrap();
    }
    let whole = Range {
        after: MessageId(0),
        before: MessageId::END,
        since: None,
        count: 100,
        take: Take::First,
    };
    let id = |seq: usize| all[seq - 1].id;
    let last = |range: Range| Range { take: Take::Last, ..range };
    let everything: Vec<u32> = (1..=20).collect();
    assert_eq!(ids(&store, whole), (everything.clone(), false));
    assert_eq!(ids(&store, last(whole)), (everything, false));
    let three = Range { count: 3, ..whole };
    assert_eq!(ids(&store, three), (vec![1, 2, 3], true));
    assert_eq!(ids(&store, last(three)), (vec![18, 19, 20], true));
    let part = Range { after: id(5), before: id(9), count: 3, ..whole };
    assert_eq!(ids(&store, part), (vec![6, 7, 8], false), "both ends excluded");
    let crossed = Range { after: id(9), before: id(5), ..whole };
    assert_eq!(ids(&store, crossed), (vec![], false));
    for (since, first) in [(0, 1), (1, 5), (1000, 5), (1001, 9), (4000, 17)] {
        let range = Range { since: Some(Timestamp(since)), ..whole };
        assert_eq!(ids(&store, range).0[0], first, "since {since}");
    }
    let never = Range { since: Some(Timestamp(4001)), ..whole };
    assert_eq!(ids(&store, never), (vec![], false));
    let none = Range { count: 0, ..whole };
    assert_eq!(ids(&store, none), (vec![], true));

    for seq in 0..=21 {
        let found = store.reader().read(|here| here.message_at(chat(), Seq(seq))).unwrap();
        let there = all.iter().find(|m| m.seq.0 == seq).map(|m| m.id);
        assert_eq!(found, there, "seq {seq}");
    }
    let empty = ChatId::direct(BOB, BOB);
    let nothing = store.reader().read(|here| here.messages(empty, &whole)).unwrap();
    assert_eq!(nothing, (vec![], false));
    assert_eq!(store.reader().read(|here| here.head(empty)).unwrap(), Head::default());
}

#[test]
fn an_answer_ends_where_it_is_long_enough() {
    let mut store = memory();
    let text = "x".repeat(16_384);
    for _ in 0..80 {
        send(&mut store, ALICE, &text);
    }
    let range = Range {
        after: MessageId(0),
        before: MessageId::END,
        since: None,
        count: 500,
        take: Take::Last,
    };
    let (seqs, more) = ids(&store, range);
    assert!(more);
    assert_eq!((seqs.len(), seqs.last()), (65, Some(&80)));
}

#[test]
fn a_lone_send_is_one_sync_and_few_bytes() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    join(&mut store);
    let text: Arc<str> = "x".repeat(120).into();
    let batch = |store: &mut Store, count: u32, chats: u32| {
        store
            .write(|tx| {
                for i in 0..count {
                    let chat = ChatId::direct(BOB, AccountNo(10 + i % chats));
                    tx.append(chat, BOB, Timestamp(1), Kind::Text, &text, Some("abc"))?;
                }
                Ok(())
            })
            .unwrap();
    };
    for _ in 0..250 {
        batch(&mut store, 64, 16);
    }
    let before = store.work();
    for _ in 0..100 {
        batch(&mut store, 1, 1);
    }
    let alone = store.work();
    for _ in 0..100 {
        batch(&mut store, 64, 16);
    }
    let together = store.work();
    assert_eq!(alone.commits - before.commits, 100);
    // Few more where the file grows, and where so much is posted that the journal has to begin anew.
    assert!((100..105).contains(&(alone.syncs - before.syncs)), "{before:?} {alone:?}");
    assert!((100..105).contains(&(together.syncs - alone.syncs)), "{together:?}");
    let bytes = (alone.bytes_written - before.bytes_written) / 100;
    assert!(bytes <= 6 * 1024, "{bytes} bytes alone");
    let bytes = (together.bytes_written - alone.bytes_written) / 6400;
    assert!(bytes <= 1024, "{bytes} bytes of 64");

    store.write(|tx| tx.head(chat())).unwrap();
    store.reader().read(|here| here.head(chat())).unwrap();
    assert_eq!(store.work().syncs, together.syncs, "reading is no commit");
    while store.is_ripe() {
        store.merge().unwrap();
    }
    let merged = store.work();
    let bytes = (merged.bytes_written - together.bytes_written) / 6400;
    assert!(bytes <= 512, "{bytes} bytes of merging");
    store.seal().unwrap();
    // The rest is merged first, and sealing takes two.
    let syncs = store.work().syncs - merged.syncs;
    assert!((2..4).contains(&syncs), "{syncs}");
}
