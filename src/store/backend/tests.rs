use super::*;
use crate::store::BackendSource;
use crate::store::crash::Disk;

const FLAGS: usize = FLAGS_AT;

/// A header that its redb would recognize as number `n`, of no pages.
fn header(n: u8) -> [u8; HEADER_BYTES] {
    let mut header = [n; HEADER_BYTES];
    header[FLAGS] = TWO_PHASE;
    header[PAGE_SIZE_AT..LAST_REGION_PAGES_AT + 4].fill(0);
    header
}

fn load(disk: &Disk) -> Result<TwoSlots, Unfit> {
    TwoSlots::load(disk.open().unwrap())
}

fn current(slots: &TwoSlots) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    slots.read(0, &mut out).unwrap();
    out
}

/// A disk after headers 1 to `count`, each synced but the last.
fn written(count: u8) -> Disk {
    let disk = Disk::new();
    let slots = TwoSlots::new(disk.open().unwrap(), UNJOURNALED);
    slots.set_len(FIRST_PAGE).unwrap();
    for n in 1..=count {
        slots.write(0, &header(n)).unwrap();
        if n < count {
            slots.sync_data().unwrap();
        }
    }
    disk
}

#[test]
fn the_newest_header_is_the_one_that_counts() {
    for count in 2..6 {
        let slots = load(&written(count)).unwrap();
        assert_eq!(current(&slots), header(count));
        slots.write(0, &header(count + 1)).unwrap();
        assert_eq!(current(&slots), header(count + 1));
    }
}

#[test]
fn a_header_garbled_in_flight_leaves_the_one_before() {
    for count in 2..6 {
        let slot = slot_offset(u64::from(count) + 1);
        for byte in 0..SLOT_BYTES as u64 {
            let disk = written(count);
            let mut old = [0];
            disk.read(slot + byte, &mut old).unwrap();
            disk.write(slot + byte, &[!old[0]]).unwrap();
            let slots = load(&disk).unwrap();
            if byte < CRC_AT as u64 + 4 {
                let mut before = header(count - 1);
                before[FLAGS] = RECOVERY_REQUIRED;
                assert_eq!(current(&slots), before, "byte {byte}");
                // The next header goes where the garbled one lies.
                slots.write(0, &header(99)).unwrap();
                assert_eq!(current(&load(&disk).unwrap()), header(99));
            } else {
                assert_eq!(current(&slots), header(count), "byte {byte} is padding");
            }
        }
    }
}

#[test]
fn between_two_syncs_only_one_slot_is_written() {
    let disk = written(4);
    let slots = load(&disk).unwrap();
    slots.sync_data().unwrap();
    let kept = slot_offset(5);
    let mut before = [0; SLOT_BYTES];
    disk.read(kept, &mut before).unwrap();
    for n in 10..15 {
        slots.write(0, &header(n)).unwrap();
    }
    let mut after = [0; SLOT_BYTES];
    disk.read(kept, &mut after).unwrap();
    assert_eq!(before, after);
    assert_eq!(current(&load(&disk).unwrap()), header(14));
}

#[test]
fn pages_are_shifted_and_the_header_page_is_not() {
    let disk = written(2);
    let slots = load(&disk).unwrap();
    slots.set_len(3 * FIRST_PAGE).unwrap();
    assert_eq!(slots.len().unwrap(), 3 * FIRST_PAGE);
    slots.write(FIRST_PAGE, &[7; 16]).unwrap();
    let mut out = [0; 16];
    disk.read(SLOTS_END, &mut out).unwrap();
    assert_eq!(out, [7; 16]);
    slots.read(FIRST_PAGE, &mut out).unwrap();
    assert_eq!(out, [7; 16]);
    assert!(slots.write(300, &[0; 40]).is_err(), "beyond the header");
    let mut page = [1; FIRST_PAGE as usize];
    slots.read(0, &mut page).unwrap();
    assert!(page[HEADER_BYTES..].iter().all(|b| *b == 0));
}

#[test]
fn what_is_not_ours_is_refused_and_not_written_to() {
    let refused = |bytes: Vec<u8>| {
        let disk = Disk::holding(bytes);
        let result = load(&disk);
        assert_eq!(disk.position(), 0);
        result.map(drop)
    };
    assert!(matches!(refused(vec![0; 100]), Err(Unfit::Foreign(_))));
    assert!(matches!(refused(vec![0; 100_000]), Err(Unfit::Foreign(_))));
    let mut image = vec![0; 100_000];
    image[..8].copy_from_slice(&MAGIC);
    assert!(matches!(refused(image.clone()), Err(Unfit::Damaged(_))));
    let mut newer = slot_bytes(2, SCHEMA, &header(1));
    newer[SCHEMA_AT] = SCHEMA as u8 + 1;
    let crc = crc32fast::hash(&newer[..CRC_AT]);
    newer[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    image[..SLOT_BYTES].copy_from_slice(&newer);
    assert!(matches!(refused(image), Err(Unfit::Newer(found)) if found == SCHEMA + 1));
}
