//! Sealed secrets, and the numbers of salts.

use redb::ReadableDatabase;

use super::*;
use crate::domain::nouns::{AccountState, Secret};
use crate::domain::words::{Digest, Sealed};
use crate::limits::SALT_BLOCK;
use crate::store::tables::{SECRETS, TABLES};

fn secret(name: &str) -> Secret {
    Secret {
        name: name.into(),
        sealed: Sealed { key: KeyId(name.len() as u32), bytes: name.as_bytes().into() },
        digest: (!name.is_empty()).then_some(Digest([3; 32])),
        created: Timestamp(5),
    }
}

fn put(store: &mut Store, owner: AccountNo, names: &[&str]) {
    let put = |tx: &mut Tx<'_>| -> Result<(), StoreError> {
        tx.put_account(&Account {
            no: owner,
            address: Address::parse(&format!("user{}", owner.0), "im.test").unwrap(),
            verifier: None,
            state: AccountState::Active,
            created: Timestamp(1),
            public_id: 0,
        })?;
        names.iter().try_for_each(|name| tx.put_secret(owner, &secret(name)))
    };
    store.write(put).unwrap();
}

fn names(store: &Store, owner: AccountNo) -> Vec<String> {
    let secrets = store.reader().read(|here| here.secrets(owner)).unwrap();
    secrets.iter().map(|secret| secret.name.to_string()).collect()
}

fn salt(store: &mut Store) -> u64 {
    store.write(|tx| tx.next_salt()).unwrap()
}

#[test]
fn secrets_are_an_accounts_own() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    put(&mut store, ALICE, &["", "phone", "\u{10ffff}"]);
    put(&mut store, BOB, &["phone"]);
    store.close().unwrap();
    let mut store = at(&home);
    assert_eq!(names(&store, ALICE), ["", "phone", "\u{10ffff}"]);
    assert_eq!(names(&store, BOB), ["phone"]);
    let found = store.reader().read(|here| here.secrets(ALICE)).unwrap();
    assert_eq!(found[0], secret(""));
    assert_eq!(found[1], secret("phone"));
    let counts =
        |key: Option<u32>| store.reader().read(|here| here.sealed_counts(key.map(KeyId))).unwrap();
    assert_eq!([counts(None), counts(Some(5)), counts(Some(9))], [(4, 0), (4, 2), (4, 0)]);
    store.write(|tx| tx.remove_secret(ALICE, "phone")).unwrap();
    assert_eq!(names(&store, ALICE), ["", "\u{10ffff}"]);
    assert_eq!(names(&store, BOB), ["phone"]);
}

#[test]
fn one_damaged_secret_costs_nobody_the_others() {
    let mut store = memory();
    put(&mut store, ALICE, &["a", "b", "c"]);
    let spoil = |tx: &mut Tx<'_>| {
        tx.begin()?;
        tx.tables.secrets_mut()?.insert((ALICE.0, "b"), b"rotten")
    };
    store.write(spoil).unwrap();
    assert_eq!(names(&store, ALICE), ["a", "c"]);
    let listed = store.reader().read(|here| here.secret_names(ALICE)).unwrap();
    assert_eq!(listed.len(), 3, "so that it can be removed");
    let counts = store.reader().read(|here| here.sealed_counts(Some(KeyId(1)))).unwrap();
    assert_eq!(counts, (3, 2));
    let faults = store.reader().verify(&mut |_| {}).unwrap().faults;
    assert!(matches!(&*faults, [one] if one.contains("secrets (1, \"b\")")), "{faults:?}");
}

#[test]
fn a_secret_of_nobody_is_named() {
    let mut store = memory();
    store.write(|tx| tx.put_secret(BOB, &secret("phone"))).unwrap();
    let faults = store.reader().verify(&mut |_| {}).unwrap().faults;
    assert_eq!(faults, ["secrets (2, \"phone\"): its account is gone"]);
}

#[test]
fn a_backup_holds_the_secrets_as_they_are_sealed() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    put(&mut store, ALICE, &["phone"]);
    let copy = home.path().join("copy.redb");
    let verdict = store.reader().backup(&copy, &mut |_| {}).unwrap();
    assert_eq!(verdict.faults, Vec::<String>::new());
    let store = Store::open(Place::File(copy), OPTIONS).unwrap();
    assert_eq!(names(&store, ALICE), ["phone"]);
}

#[test]
fn a_database_from_before_there_were_secrets_is_opened() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    let sent = send(&mut store, ALICE, "x");
    store.write(|tx| tx.drop_table(SECRETS)).unwrap();
    store.close().unwrap();
    let mut store = at(&home);
    assert!(!store.is_unsealed(), "it stays quick to open");
    assert_eq!(names(&store, ALICE), Vec::<String>::new());
    assert_eq!(store.reader().read(|here| here.message(chat(), sent.id)).unwrap(), Some(sent));
    put(&mut store, ALICE, &["phone"]);
    assert_eq!(names(&store, ALICE), ["phone"]);
}

#[test]
fn there_are_as_many_tables_as_are_counted() {
    let store = memory();
    let opened = lock(&store.shared);
    let read = opened.as_ref().unwrap().database.begin_read().unwrap();
    assert_eq!(read.list_tables().unwrap().count(), TABLES);
}

#[test]
fn salts_are_numbered_from_one_without_a_write_for_each() {
    let mut store = memory();
    let before = store.work().commits;
    let numbers: Vec<u64> = (0..1000).map(|_| salt(&mut store)).collect();
    assert!(numbers.iter().copied().eq(1..=1000));
    assert_eq!(store.work().commits, before + 1);
    for _ in 1000..SALT_BLOCK {
        salt(&mut store);
    }
    assert_eq!(store.work().commits, before + 1);
    assert_eq!(salt(&mut store), SALT_BLOCK + 1);
    assert_eq!(store.work().commits, before + 2);
}

#[test]
fn salts_only_grow_over_restarts_and_crashes() {
    let home = tempfile::tempdir().unwrap();
    let mut last = 0;
    let mut grows = |store: &mut Store| {
        let next = salt(store);
        assert!(last < next, "{next} after {last}");
        last = next;
    };
    for _ in 0..3 {
        let mut store = at(&home);
        grows(&mut store);
        grows(&mut store);
        store.reopen().unwrap();
        grows(&mut store);
        // A turn that fails takes its numbers with it.
        let failed: Result<u64, _> = store.write(|tx| {
            tx.next_salt()?;
            Err(StoreError::Io("a test".into()))
        });
        assert!(failed.is_err());
        grows(&mut store);
        store.close().unwrap();
        // Neither closed nor sealed.
        let mut store = at(&home);
        grows(&mut store);
        drop(store);
    }
}
