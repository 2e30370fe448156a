use super::*;

const ALICE: AccountNo = AccountNo(1);
/// Not the machine's own time, which files do not go by.
const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn limits() -> Limits {
    Limits { free_space: 0, max_file_bytes: 100, file_quota: 150, ..Limits::default() }
}

fn count(directory: &Path) -> usize {
    let below = |entry: DirEntry| match entry.path() {
        path if path.is_dir() => count(&path),
        _ => 1,
    };
    entries(directory).map(below).sum()
}

#[test]
fn a_file_comes_whole_and_is_read_in_slices() {
    let data = tempfile::tempdir().unwrap();
    let files = Files::beside(Some(data.path()));
    let limits = Limits { max_file_bytes: 1 << 20, file_quota: 1 << 20, ..limits() };
    let bytes: Vec<u8> = (0..FILE_SLICE_BYTES_MAX + 7).map(|n| n as u8).collect();
    let upload = files.begin(ALICE, bytes.len() as u64, &limits, NOW).unwrap();
    let (first, last) = bytes.split_at(1000);
    assert_eq!(upload.write(first), Ok(false));
    assert!(upload.finish("a.bin").is_err(), "it is not whole");
    assert_eq!(upload.write(last), Ok(true));
    assert_eq!(upload.write(b"more"), Err(Refusal::FileTooLarge));
    let stored = upload.finish("a.bin").unwrap();
    upload.keep();
    drop(upload);
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    assert_eq!((stored.size, &stored.sha256[..]), (bytes.len() as u64, hash.as_ref()));
    // It is there after a start.
    let files = Files::beside(Some(data.path()));
    let slice = |at: usize| files.read(stored.key, at as u64, &limits, NOW).unwrap();
    assert_eq!(slice(0), bytes[..FILE_SLICE_BYTES_MAX]);
    assert_eq!(slice(FILE_SLICE_BYTES_MAX), bytes[FILE_SLICE_BYTES_MAX..]);
    assert!(slice(bytes.len()).is_empty() && slice(bytes.len() + 1).is_empty());
    let other = FileKey { owner: AccountNo(2), ..stored.key };
    assert_eq!(files.read(other, 0, &limits, NOW), Err(Refusal::NoSuchFile));
}

#[test]
fn what_is_not_kept_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let files = Files::beside(Some(data.path()));
    let begin = || files.begin(ALICE, 100, &limits(), NOW);
    // Interrupted, and refused after it was whole.
    let upload = begin().unwrap();
    upload.write(&[1; 60]).unwrap();
    assert_eq!(count(data.path()), 1);
    drop(upload);
    let upload = begin().unwrap();
    upload.write(&[1; 100]).unwrap();
    upload.finish("a").unwrap();
    drop(upload);
    assert_eq!(count(data.path()), 0);
    // The process ended: nothing of it could be dropped.
    let upload = begin().unwrap();
    upload.write(&[1; 60]).unwrap();
    std::mem::forget(upload);
    let files = Files::beside(Some(data.path()));
    assert_eq!(count(data.path()), 0);
    assert!(files.begin(ALICE, 100, &limits(), NOW).is_ok());
}

#[test]
fn sizes_and_quotas_hold_over_starts_and_what_is_on_its_way_counts() {
    let data = tempfile::tempdir().unwrap();
    let files = Files::beside(Some(data.path()));
    let refused = |files: &Files, size| files.begin(ALICE, size, &limits(), NOW).err();
    assert_eq!(refused(&files, 101), Some(Refusal::FileTooLarge));
    assert_eq!(refused(&files, 0), Some(Refusal::BadField));
    let upload = files.begin(ALICE, 100, &limits(), NOW).unwrap();
    assert_eq!(refused(&files, 51), Some(Refusal::TooManyFiles));
    assert!(files.begin(AccountNo(2), 100, &limits(), NOW).is_ok(), "others have their own");
    upload.write(&[1; 100]).unwrap();
    upload.finish("a").unwrap();
    upload.keep();
    drop(upload);
    let files = Files::beside(Some(data.path()));
    assert_eq!(refused(&files, 51), Some(Refusal::TooManyFiles));
    assert_eq!(refused(&files, 50), None);
    let full = Limits { free_space: 1 << 60, ..limits() };
    assert_eq!(files.begin(ALICE, 1, &full, NOW).err(), Some(Refusal::DiskFull));
    assert_eq!(Files::beside(None).begin(ALICE, 1, &limits(), NOW).err(), Some(Refusal::NoFiles));
}

#[test]
fn what_is_over_is_gone_and_makes_room() {
    let data = tempfile::tempdir().unwrap();
    let files = Files::beside(Some(data.path()));
    let upload = files.begin(ALICE, 100, &limits(), NOW).unwrap();
    upload.write(&[1; 100]).unwrap();
    let stored = upload.finish("a").unwrap();
    upload.keep();
    let aged = Timestamp(NOW.0 + limits().file_ttl * 86_400_000);
    let young = Timestamp(aged.0 - 1);
    assert!(files.read(stored.key, 0, &limits(), young).is_ok());
    assert_eq!(files.read(stored.key, 0, &limits(), aged), Err(Refusal::NoSuchFile));
    files.sweep(&limits(), young);
    assert_eq!(count(data.path()), 1);
    files.sweep(&limits(), aged);
    assert_eq!(count(data.path()), 0);
    assert!(files.begin(ALICE, 100, &limits(), NOW).is_ok());
}
