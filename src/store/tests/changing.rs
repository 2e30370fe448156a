//! Messages that are rewritten, edited or deleted, wherever they lie.

use super::merging::{CHATS, merge_all, merge_chats, peopled, say, whole};
use super::*;
use crate::domain::words::{Range, Take};
use crate::store::crash::Chance;
use crate::store::line;

/// The fields of a record that this version does not know.
fn later_fields(store: &Store, message: &Message) -> Vec<(u8, Vec<u8>)> {
    let read = |here: &Snapshot| {
        let history = crate::store::history::History::of(here, message.chat)?;
        let entry = history.get(message.id)?.unwrap();
        let mut fields = entry.fields().unwrap();
        let mut later = Vec::new();
        while let Some((tag, bytes)) = fields.next().unwrap() {
            if tag > line::MESSAGE_TAGS {
                later.push((tag, bytes.to_vec()));
            }
        }
        Ok(later)
    };
    store.reader().read(read).unwrap()
}

#[test]
fn a_message_is_rewritten_wherever_it_lies() {
    for (merged, later) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut store = memory();
        join(&mut store);
        let first = send_at(&mut store, ALICE, "first", Timestamp(5), Some("c"));
        let second = send(&mut store, BOB, "second");
        // As a later version would have written it.
        let plant = |tx: &mut Tx<'_>| {
            tx.begin()?;
            let key = (first.id.0, first.chat.0);
            let mut record = Vec::new();
            line::put_message(&first, &mut record);
            tlv::put_bytes(&mut record, 200, b"later");
            tlv::seal(&mut record, <arrivals::Place as redb::Value>::as_bytes(&key).as_ref());
            tx.tables.recent_mut()?.insert(key, &record)
        };
        store.write(plant).unwrap();
        if merged {
            merge_all(&mut store);
        }
        let changed = Message { kind: Kind::Deleted, text: "".into(), ..first.clone() };
        store.write(|tx| tx.rewrite(&changed)).unwrap();
        if later {
            merge_all(&mut store);
        }
        let there = store.reader().read(|here| here.messages(chat(), &whole())).unwrap().0;
        assert_eq!(there, [changed.clone(), second.clone()]);
        assert_eq!(later_fields(&store, &first), [(200, b"later".to_vec())]);
        assert_eq!(store.reader().verify(&mut |_| {}).unwrap().faults, Vec::<String>::new());
        let known = store.write(|tx| tx.cookie(chat(), ALICE, "c")).unwrap();
        assert_eq!(known.map(|head| head.id), Some(first.id), "its cookie is known still");

        for elsewhere in [
            Message { seq: Seq(7), ..changed.clone() },
            Message { time: Timestamp(6), ..changed.clone() },
            Message { previous: MessageId(0), ..second.clone() },
            Message { id: MessageId(second.id.0 + 1), ..second.clone() },
            Message { chat: CHATS[1], ..second.clone() },
        ] {
            let refused = store.write(|tx| tx.rewrite(&elsewhere));
            assert!(matches!(refused, Err(StoreError::Damaged(_))), "{elsewhere:?}");
        }
        let there = store.reader().read(|here| here.messages(chat(), &whole())).unwrap().0;
        assert_eq!(there, [changed, second]);
    }
}

#[test]
fn a_message_is_rewritten_in_the_turn_that_sends_it() {
    let mut store = memory();
    let text: Arc<str> = "x".into();
    let turn = |tx: &mut Tx<'_>| {
        let sent = tx.append(chat(), ALICE, Timestamp(1), Kind::Text, &text, None)?;
        let changed = Message { text: "y".into(), ..sent };
        tx.rewrite(&changed)?;
        assert_eq!(tx.message(chat(), changed.id)?.as_ref(), Some(&changed));
        Ok(changed)
    };
    let changed = store.write(turn).unwrap();
    let there = store.reader().read(|here| here.message(chat(), changed.id)).unwrap();
    assert_eq!(there, Some(changed));
}

/// What is asked of a chat from its floor on, which is all that anybody may see of it.
fn above_the_floor(store: &mut Store) -> Vec<String> {
    let mut answers = Vec::new();
    for chat in CHATS {
        let of_snapshot = store.reader().read(|here| {
            let floor = here.floor(chat)?.unwrap_or_default();
            let after = MessageId(floor.id.0.saturating_sub(1));
            let mut seen = Vec::new();
            let end = MessageId::END;
            here.glance(chat, after, end, &mut |glance| {
                seen.push(format!("{glance:?}"));
                true
            })?;
            let all = here.messages(chat, &Range { after, ..whole() })?;
            let last = Range { after, take: Take::Last, count: 5, ..whole() };
            let is_at_its_place = |m: &Message| Ok(here.message_at(chat, m.seq)? == Some(m.id));
            let places: Vec<_> =
                all.0.iter().filter(|m| m.kind.has_place()).map(is_at_its_place).collect();
            let places: Result<Vec<bool>, StoreError> = places.into_iter().collect();
            assert!(places?.into_iter().all(|is_found| is_found));
            Ok(format!("{:?}", (here.head(chat)?, all, here.messages(chat, &last)?, seen)))
        });
        answers.push(of_snapshot.unwrap());
        let of_turn = store.write(|tx| {
            let floor = tx.floor(chat)?.unwrap_or_default();
            let mut found = Vec::new();
            for who in 1..=4 {
                found.push(format!("{:?}", tx.member(AccountNo(who), chat)?));
                // The first with a cookie counts, and below a floor that may be removed or not.
                for cookie in (0..20).filter(|_| floor == Mark::default()) {
                    let head = tx.cookie(chat, AccountNo(who), &format!("cookie {cookie}"))?;
                    found.push(format!("{head:?}"));
                }
            }
            Ok(found)
        });
        answers.extend(of_turn.unwrap());
    }
    answers
}

/// Deletes all of a chat, as the rules do it.
fn clear(tx: &mut Tx<'_>, chat: ChatId) -> Result<(), StoreError> {
    let (low, high) = chat.pair().unwrap();
    for who in [low, high] {
        if let Some(part) = tx.member(who, chat)? {
            tx.put_member(who, chat, &part)?;
        }
    }
    let record = tx.append(chat, low, Timestamp(1), Kind::Cleared, &Arc::from(""), None)?;
    tx.put_floor(chat, Mark { seq: Seq(record.seq.0 + 1), ..mark(&record) })
}

#[test]
fn edits_and_deletions_come_to_the_same_wherever_a_message_lies() {
    for seed in 0..8 {
        let mut chance = Chance::new(seed);
        let (mut one, mut other) = (peopled(), peopled());
        for i in 0..120 {
            let chat = CHATS[chance.below(3)];
            let (what, which, chats) = (chance.below(12), chance.next(), 1 + chance.below(4));
            let act = |tx: &mut Tx<'_>| match what {
                0 => clear(tx, chat),
                1 | 2 => {
                    let floor = tx.floor(chat)?.unwrap_or_default();
                    let (all, _) = tx.messages(chat, &Range { after: floor.id, ..whole() })?;
                    let Some(old) = all.get(which as usize % all.len().max(1)) else {
                        return Ok(());
                    };
                    let text = format!("edited {i}").into();
                    tx.rewrite(&Message { text, ..old.clone() })
                }
                _ => say(tx, i).map(drop),
            };
            one.write(act).unwrap();
            other.write(act).unwrap();
            match chance.below(8) {
                0 | 1 => merge_chats(&mut one, chats),
                2 => one.sweep().unwrap(),
                3 => {
                    // Both, because what was left of a block of ids is given to nobody.
                    for store in [&mut one, &mut other] {
                        store.flush().unwrap();
                        store.reopen().unwrap();
                    }
                }
                _ => {}
            }
            if i % 5 == 0 {
                let [here, there] = [&mut one, &mut other].map(above_the_floor);
                let odd = here.iter().zip(&there).find(|(here, there)| here != there);
                assert_eq!((odd, here.len()), (None, there.len()), "seed {seed}, step {i}");
                assert_eq!(one.reader().verify(&mut |_| {}).unwrap().faults, Vec::<String>::new());
            }
        }
    }
}
