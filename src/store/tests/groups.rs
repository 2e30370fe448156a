//! Who is in a group: what is remembered is what lies on the disk.

use super::*;
use crate::domain::nouns::Access;

const GROUP: ChatId = ChatId(ChatId::FIRST_GROUP + 1);

fn enlist(store: &mut Store, who: u32, mode: Access) {
    let member = Member { want: mode, given: mode, ..Member::default() };
    store.write(|tx| tx.put_member(AccountNo(who), GROUP, &member)).unwrap();
}

/// What is remembered, compared with what a store that has just begun to remember would say.
fn roster(store: &mut Store) -> Vec<(AccountNo, Member)> {
    let warm = store.write(|tx| Ok(tx.roster(GROUP)?.parts().to_vec())).unwrap();
    store.flush().unwrap();
    store.reopen().unwrap();
    let cold = store.write(|tx| Ok(tx.roster(GROUP)?.parts().to_vec())).unwrap();
    assert_eq!(warm, cold);
    warm
}

#[test]
fn a_roster_follows_every_change_of_it() {
    let mut store = memory();
    for who in [3, 1, 2] {
        enlist(&mut store, who, Access::GROUP);
    }
    assert_eq!(roster(&mut store).iter().map(|(who, _)| who.0).collect::<Vec<_>>(), [1, 2, 3]);
    let text = Arc::from("hello");
    let message = store
        .write(|tx| {
            tx.roster(GROUP)?;
            let message = tx.append(GROUP, AccountNo(2), Timestamp(1), Kind::Text, &text, None)?;
            tx.move_marks(AccountNo(3), GROUP, mark(&message), Mark::default())?;
            Ok(message)
        })
        .unwrap();
    let parts = roster(&mut store);
    assert_eq!(parts[1].1.read, mark(&message), "whoever writes has read");
    assert_eq!((parts[2].1.delivered, parts[2].1.read), (mark(&message), Mark::default()));
    enlist(&mut store, 1, Access::PRESENCE);
    store.write(|tx| tx.remove_member(AccountNo(2), GROUP)).unwrap();
    assert_eq!(roster(&mut store).len(), 2);
    let readers = store.write(|tx| Ok(tx.roster(GROUP)?.readers().clone())).unwrap();
    assert_eq!(*readers, [AccountNo(3)], "who has no R hears nothing");
    let verdict = store.reader().verify(&mut |_| {}).unwrap();
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
}

#[test]
fn a_mark_that_waits_is_no_mark_of_who_comes_back() {
    let mut store = memory();
    enlist(&mut store, 1, Access::GROUP);
    enlist(&mut store, 2, Access::GROUP);
    let text = Arc::from("hello");
    let message = store
        .write(|tx| tx.append(GROUP, AccountNo(1), Timestamp(1), Kind::Text, &text, None))
        .unwrap();
    store
        .write(|tx| {
            tx.move_marks(AccountNo(2), GROUP, mark(&message), mark(&message))?;
            tx.remove_member(AccountNo(2), GROUP)
        })
        .unwrap();
    enlist(&mut store, 2, Access::GROUP);
    assert_eq!(roster(&mut store)[1].1.read, Mark::default());
}

#[test]
fn a_message_to_a_thousand_is_one_record() {
    let mut store = memory();
    for who in 1..=1000 {
        enlist(&mut store, who, Access::GROUP);
    }
    let text: Arc<str> = "hello".into();
    let send = |store: &mut Store| {
        store
            .write(|tx| {
                tx.append(GROUP, AccountNo(7), Timestamp(1), Kind::Text, &text, None)?;
                Ok(tx.roster(GROUP)?.readers().len())
            })
            .unwrap()
    };
    assert_eq!(send(&mut store), 1000);
    let before = store.work();
    assert_eq!(send(&mut store), 1000);
    let after = store.work();
    assert_eq!((after.commits - before.commits, after.syncs - before.syncs), (1, 1));
}
