//! Opening: what is refused, and that refusing touches nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::store::backend::{self, ROOM_BYTES, SCHEMA, UNJOURNALED};
use crate::store::rows;
use crate::store::tables::{CARDS, PUBLIC, RECENT};

fn file(home: &tempfile::TempDir) -> PathBuf {
    home.path().join("msimd.redb")
}

fn made(home: &tempfile::TempDir) -> Vec<u8> {
    let mut store = at(home);
    join(&mut store);
    for i in 0..200 {
        send(&mut store, ALICE, &"x".repeat(i * 7));
    }
    store.close().unwrap();
    fs::read(file(home)).unwrap()
}

fn open(home: &tempfile::TempDir) -> Result<Store, OpenError> {
    Store::open(Place::Directory(home.path().into()), OPTIONS)
}

/// Opens a file with these bytes, which must stay what they are.
fn refused(bytes: &[u8]) -> OpenError {
    let home = tempfile::tempdir().unwrap();
    fs::write(file(&home), bytes).unwrap();
    let error = open(&home).unwrap_err();
    assert!(fs::read(file(&home)).unwrap() == bytes, "{error} touched the file");
    error
}

#[test]
fn a_database_is_made_whole_and_opened_again() {
    let outer = tempfile::tempdir().unwrap();
    let place = Place::Directory(outer.path().join("a/b"));
    let mut store = Store::open(place.clone(), OPTIONS).unwrap();
    assert!(!store.is_unsealed());
    let sent = send(&mut store, ALICE, "x");
    store.close().unwrap();
    assert!(!outer.path().join("a/b/msimd.redb.tmp").exists());
    let store = Store::open(place, OPTIONS).unwrap();
    let found = store.reader().read(|here| here.message(chat(), sent.id)).unwrap();
    assert_eq!(found, Some(sent));
}

#[test]
fn what_a_cut_creation_left_is_made_anew() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("msimd.redb.tmp"), b"half a database").unwrap();
    send(&mut at(&home), ALICE, "x");
    assert!(!home.path().join("msimd.redb.tmp").exists());
}

#[test]
fn a_second_opener_is_told_that_it_is_busy() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    let error = open(&home).unwrap_err();
    assert!(matches!(&error, OpenError::Busy(path) if *path == file(&home)), "{error}");
    // The first one never noticed, and its lock outlives a reopening.
    send(&mut store, ALICE, "x");
    store.reopen().unwrap();
    assert!(matches!(open(&home), Err(OpenError::Busy(_))));
    store.close().unwrap();
    open(&home).unwrap();
}

#[test]
fn a_later_version_is_refused_untouched() {
    let home = tempfile::tempdir().unwrap();
    let mut bytes = made(&home);
    backend::mark(&mut bytes, SCHEMA + 3);
    let error = refused(&bytes);
    assert!(matches!(error, OpenError::Newer { found, known } if found == known + 3), "{error}");
}

/// Makes a closed file one of an earlier schema. What lies between its headers and its pages it needs
/// no more, and from before there was a journal it has no room there.
pub(super) fn mark_schema(bytes: &mut Vec<u8>, schema: u32) {
    backend::mark(bytes, schema);
    if schema <= UNJOURNALED {
        bytes.drain(64 * 1024..64 * 1024 + ROOM_BYTES as usize);
    }
}

/// What the two headers say, the newer one first.
fn read_schemas(bytes: &[u8]) -> [u32; 2] {
    let field = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
    let [one, other] = [0, 32 * 1024].map(|slot| (field(slot + 12), field(slot + 8)));
    [one.max(other).1, one.min(other).1]
}

#[test]
fn a_database_of_schema_1_only_gets_the_new_tables() {
    let home = tempfile::tempdir().unwrap();
    made(&home);
    let mut store = at(&home);
    while store.waiting() > 0 {
        store.merge().unwrap();
    }
    let all = |store: &Store| {
        let all = |here: &Snapshot| {
            (1..=200).map(|id| here.message(chat(), MessageId(id))).collect::<Result<Vec<_>, _>>()
        };
        store.reader().read(all).unwrap()
    };
    let right = all(&store);
    assert!(right.iter().all(Option::is_some));
    let back = |tx: &mut Tx<'_>| {
        tx.drop_table(RECENT)?;
        tx.drop_table(PUBLIC)?;
        tx.drop_table(CARDS)
    };
    store.write(back).unwrap();
    let bytes = as_of(store, &home, 1);

    let mut store = at(&home);
    assert!(!store.is_unsealed(), "it stays quick to open");
    let written = store.work().bytes_written;
    assert!(written < 50_000 && bytes.len() > 500_000, "{written} of {}", bytes.len());
    assert_eq!(all(&store), right);
    let schema = |here: &Snapshot| here.tables.meta()?.row("schema", rows::one);
    assert_eq!(store.reader().read(schema).unwrap(), Some(3));
    // An earlier version looks here first, and refuses before anything can be missing for it.
    assert_eq!(read_schemas(&fs::read(file(&home)).unwrap()), [3, 3]);
    let next = send(&mut store, BOB, "goes on");
    assert_eq!((next.previous, next.seq), (MessageId(200), Seq(201)));
    let verdict = store.reader().verify(&mut |_| {}).unwrap();
    assert_eq!((verdict.messages, verdict.faults), (201, vec![]));
    store.close().unwrap();
    let store = at(&home);
    assert_eq!(store.reader().read(|here| here.message(chat(), next.id)).unwrap(), Some(next));
}

/// Closes a database as an earlier version would have left it.
fn as_of(mut store: Store, home: &tempfile::TempDir, schema: u32) -> Vec<u8> {
    let mark = |tx: &mut Tx<'_>| {
        tx.begin()?;
        let meta = tx.tables.meta_mut()?;
        meta.put("schema", rows::NUMBER_TAGS, |out| rows::put_one(u64::from(schema), out))
    };
    store.write(mark).unwrap();
    store.close().unwrap();
    let mut bytes = fs::read(file(home)).unwrap();
    mark_schema(&mut bytes, schema);
    fs::write(file(home), &bytes).unwrap();
    assert_eq!(read_schemas(&bytes), [schema, schema]);
    bytes
}

#[test]
fn a_database_of_schema_2_finds_by_public_number_afterwards() {
    let home = tempfile::tempdir().unwrap();
    let mut store = at(&home);
    let room = room();
    // From before there were any.
    let id = ChatId(room.id.0 + 1);
    let old = Chat { id, address: address("old"), public_id: 0, ..room.clone() };
    let alice = Account { public_id: 77, ..account(ALICE, "alice") };
    let make = |tx: &mut Tx<'_>| {
        tx.put_account(&alice)?;
        tx.put_account(&Account { public_id: 0, ..account(BOB, "bob") })?;
        tx.put_chat(&room)?;
        tx.put_chat(&old)
    };
    store.write(make).unwrap();
    let back = |tx: &mut Tx<'_>| {
        tx.drop_table(PUBLIC)?;
        tx.drop_table(CARDS)
    };
    store.write(back).unwrap();
    as_of(store, &home, 2);

    let mut store = at(&home);
    let found = |store: &Store| {
        let found = |here: &Snapshot| {
            let one =
                |id| Ok::<_, StoreError>((here.account_by_public(id)?, here.chat_by_public(id)?));
            Ok([one(77)?, one(room.public_id)?, one(0)?])
        };
        store.reader().read(found).unwrap()
    };
    let expected = [(Some(ALICE), None), (None, Some(room.id)), (None, None)];
    assert_eq!(found(&store), expected);
    // What has no number gets none by being changed.
    let change = |tx: &mut Tx<'_>| {
        tx.put_card(ALICE, old.id, "kept")?;
        tx.put_chat(&Chat { open: true, ..old.clone() })
    };
    store.write(change).unwrap();
    assert_eq!(found(&store), expected);
    let card = store.reader().read(|here| here.card(ALICE, old.id)).unwrap();
    assert_eq!(card.as_deref(), Some("kept"));
    assert!(store.reader().verify(&mut |_| {}).unwrap().faults.is_empty());
}

#[test]
fn foreign_files_are_refused_untouched() {
    let home = tempfile::tempdir().unwrap();
    let plain = home.path().join("plain.redb");
    drop(redb::Database::create(&plain).unwrap());
    for bytes in [
        Vec::new(),
        vec![7],
        vec![0; 200_000],
        b"SQLite format 3\0".repeat(9000),
        fs::read(plain).unwrap(),
    ] {
        let error = refused(&bytes);
        assert!(matches!(error, OpenError::Foreign { .. }), "{} bytes: {error}", bytes.len());
    }
}

#[test]
fn a_file_cut_short_is_refused_untouched_at_any_length() {
    let home = tempfile::tempdir().unwrap();
    let bytes = made(&home);
    let mut length = bytes.len() - 1;
    while length > 0 {
        let error = refused(&bytes[..length]);
        // Of a few bytes nobody knows whose they are.
        let fits = match error {
            OpenError::Foreign { .. } => length < 8,
            OpenError::Damaged { .. } => length >= 8,
            _ => false,
        };
        assert!(fits, "{length} bytes: {error}");
        length -= (length / 7 + 1).min(length);
    }
    let error = refused(&bytes[..bytes.len() - 4096]).to_string();
    assert!(error.contains("cut short"), "{error}");
}

#[test]
fn both_headers_damaged_is_refused_and_one_is_mended() {
    let home = tempfile::tempdir().unwrap();
    let mut bytes = made(&home);
    bytes[30] ^= 1;
    fs::write(file(&home), &bytes).unwrap();
    let store = open(&home).unwrap();
    assert_eq!(store.reader().verify(&mut |_| {}).unwrap().faults, Vec::<String>::new());
    bytes[32 * 1024 + 30] ^= 1;
    assert!(matches!(refused(&bytes), OpenError::Damaged { .. }));
}

#[test]
fn a_file_is_opened_where_it_lies_and_never_made() {
    let home = tempfile::tempdir().unwrap();
    made(&home);
    let there = |path: &Path| Store::open(Place::File(path.into()), OPTIONS);
    assert_eq!(there(&file(&home)).unwrap().reader().verify(&mut |_| {}).unwrap().messages, 200);
    assert!(matches!(there(&home.path().join("none")), Err(OpenError::Io { .. })));
    assert!(!home.path().join("none").exists());
}

#[test]
fn a_reopened_memory_keeps_what_it_had_and_readers_go_on() {
    let mut store = memory();
    let reader = store.reader();
    let sent = send(&mut store, ALICE, "x");
    store.reopen().unwrap();
    let find = |reader: &Reader| reader.read(|here| here.message(chat(), sent.id));
    assert_eq!(find(&reader).unwrap(), Some(sent.clone()));
    store.close().unwrap();
    assert!(matches!(find(&reader), Err(StoreError::Io(_))));
}
