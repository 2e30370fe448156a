//! One record of the journal: the header and the pages of one sync, as bytes.
//!
//! ```text
//! 0   magic                      4 bytes
//! 4   CRC-32 of what follows     4
//! 8   length of the whole        4
//! 12  pages                      4
//! 16  epoch, number, tail        8 each
//! 40  header                     320
//! 360 the pages: where each lies 8, base 1, runs 2; of each run: skipped 2, length 2, its bytes
//! ```
//!
//! Numbers are little-endian. A page is written as the runs of bytes in which it differs from its
//! base: the page that the journal holds of the same place, or one of zeros. redb takes a place again
//! two commits later, for much the same page as before, so that most of a commit is its news.

use std::collections::BTreeMap;

use crate::store::backend::{FIRST_PAGE, HEADER_BYTES};

/// What redb reads and writes.
pub(super) const PAGE: usize = FIRST_PAGE as usize;
pub(super) type Page = Box<[u8; PAGE]>;
/// By where they lie, as redb counts.
pub(super) type Pages = BTreeMap<u64, Page>;

const MAGIC: [u8; 4] = *b"mJr1";
const CRC_AT: usize = 4;
const LENGTH_AT: usize = 8;
const COUNT_AT: usize = 12;
const EPOCH_AT: usize = 16;
const NUMBER_AT: usize = 24;
const TAIL_AT: usize = 32;
const HEADER_AT: usize = 40;
const PAGES_AT: usize = HEADER_AT + HEADER_BYTES;

const WORD: usize = 8;
/// So many equal bytes end a run: to skip them costs four.
const GAP_WORDS: usize = 2;
/// What is compared at once.
const STRIDE_WORDS: usize = 32;
const FROM_ZEROS: u8 = 0;
const FROM_KEPT: u8 = 1;

/// Where a record stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// The counter of the slot that it builds upon.
    pub(super) epoch: u64,
    /// From 1 on in each epoch.
    pub(super) number: u64,
    /// The oldest record without which this one is of no use.
    pub(super) tail: u64,
}

/// Writes a record over what is in `out`.
pub(super) fn encode(
    out: &mut Vec<u8>,
    turn: Turn,
    header: &[u8; HEADER_BYTES],
    fresh: &Pages,
    kept: &Pages,
) {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; COUNT_AT - CRC_AT]);
    out.extend_from_slice(&(fresh.len() as u32).to_le_bytes());
    for number in [turn.epoch, turn.number, turn.tail] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(header);
    for (place, page) in fresh {
        out.extend_from_slice(&place.to_le_bytes());
        match kept.get(place) {
            Some(base) => {
                out.push(FROM_KEPT);
                put_runs(out, base, page);
            }
            None => {
                out.push(FROM_ZEROS);
                put_runs(out, &[0; PAGE], page);
            }
        }
    }
    let length = (out.len() as u32).to_le_bytes();
    out[LENGTH_AT..COUNT_AT].copy_from_slice(&length);
    let crc = crc32fast::hash(&out[LENGTH_AT..]);
    out[CRC_AT..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
}

fn put_runs(out: &mut Vec<u8>, base: &[u8; PAGE], page: &[u8; PAGE]) {
    let count_at = out.len();
    out.extend_from_slice(&[0; 2]);
    let mut count = 0u16;
    let mut end = 0;
    let (old, new) = (base.as_chunks().0, page.as_chunks().0);
    while let Some(first) = first_news(old, new, end / WORD) {
        let (start, mut last) = (first * WORD, first);
        for word in first + 1..old.len() {
            if old[word] != new[word] {
                last = word;
            } else if word - last >= GAP_WORDS {
                break;
            }
        }
        let skipped = (start - end) as u16;
        end = (last + 1) * WORD;
        out.extend_from_slice(&skipped.to_le_bytes());
        out.extend_from_slice(&((end - start) as u16).to_le_bytes());
        out.extend_from_slice(&page[start..end]);
        count += 1;
    }
    out[count_at..count_at + 2].copy_from_slice(&count.to_le_bytes());
}

/// The first word from `from` on that is not the same in both. Most of a page is, and goes by in
/// strides.
fn first_news(old: &[[u8; WORD]], new: &[[u8; WORD]], from: usize) -> Option<usize> {
    let differs = |at: &usize| old[*at] != new[*at];
    let begin = from.next_multiple_of(STRIDE_WORDS).min(old.len());
    (from..begin).find(differs).or_else(|| {
        let strides = old[begin..].chunks(STRIDE_WORDS).zip(new[begin..].chunks(STRIDE_WORDS));
        let (stride, _) = strides.enumerate().find(|(_, (old, new))| old != new)?;
        (begin + stride * STRIDE_WORDS..old.len()).find(differs)
    })
}

/// A record that has been read and checks.
pub(super) struct Record {
    pub(super) turn: Turn,
    bytes: Vec<u8>,
}

impl Record {
    /// How long the record is that begins so, when one does.
    pub(super) fn length(begin: &[u8]) -> Option<usize> {
        let length = number_at(begin, LENGTH_AT)? as usize;
        (begin.starts_with(&MAGIC) && length >= PAGES_AT).then_some(length)
    }

    /// Which epoch a record that begins so says it is of.
    pub(super) fn epoch(begin: &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(*begin.get(EPOCH_AT..)?.first_chunk()?))
    }

    /// `None` when it is not one, or not whole.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Record> {
        let sum = number_at(&bytes, CRC_AT)?;
        if Record::length(&bytes)? != bytes.len() || crc32fast::hash(&bytes[LENGTH_AT..]) != sum {
            return None;
        }
        let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let turn = Turn { epoch: long(EPOCH_AT)?, number: long(NUMBER_AT)?, tail: long(TAIL_AT)? };
        Some(Record { turn, bytes })
    }

    /// How many there are of it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&self.bytes[HEADER_AT..PAGES_AT]);
        header
    }

    /// Puts its pages where those of the records before it are. `None` where it contradicts itself,
    /// which its check makes next to impossible.
    pub(super) fn apply(&self, kept: &mut Pages) -> Option<()> {
        let mut rest = &self.bytes[PAGES_AT..];
        for _ in 0..number_at(&self.bytes, COUNT_AT)? {
            let place = u64::from_le_bytes(*take(&mut rest)?);
            let [base] = *take(&mut rest)?;
            let mut page = match base {
                FROM_ZEROS => Box::new([0; PAGE]),
                FROM_KEPT => kept.remove(&place)?,
                _ => return None,
            };
            let mut at = 0;
            for _ in 0..u16::from_le_bytes(*take(&mut rest)?) {
                at += usize::from(u16::from_le_bytes(*take(&mut rest)?));
                let length = usize::from(u16::from_le_bytes(*take(&mut rest)?));
                let (run, behind) = rest.split_at_checked(length)?;
                page.get_mut(at..at + length)?.copy_from_slice(run);
                (rest, at) = (behind, at + length);
            }
            kept.insert(place, page);
        }
        rest.is_empty().then_some(())
    }
}

fn take<'r, const N: usize>(rest: &mut &'r [u8]) -> Option<&'r [u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(taken)
}

/// The number at a place, where the bytes reach that far.
pub(in crate::store) fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::crash::Chance;

    const TURN: Turn = Turn { epoch: 7, number: 3, tail: 2 };

    fn page(of: impl Fn(usize) -> u8) -> Page {
        let mut page = Box::new([0; PAGE]);
        page.iter_mut().enumerate().for_each(|(at, byte)| *byte = of(at));
        page
    }

    fn encoded(fresh: &Pages, kept: &Pages) -> Vec<u8> {
        let mut out = vec![9; 10];
        encode(&mut out, TURN, &[5; HEADER_BYTES], fresh, kept);
        out
    }

    #[test]
    fn a_record_is_what_was_written() {
        let mut chance = Chance::new(1);
        for round in 0..300 {
            let mut kept = Pages::new();
            let mut fresh = Pages::new();
            for place in 0..chance.below(5) as u64 {
                let mut page = page(|at| (at * round) as u8);
                kept.insert(place, page.clone());
                for _ in 0..chance.below(40) {
                    let at = chance.below(PAGE);
                    let end = (at + chance.below(60)).min(PAGE);
                    page[at..end].fill(chance.next() as u8);
                }
                fresh.insert(place + chance.below(2) as u64 * 1000, page);
            }
            let record = Record::decode(encoded(&fresh, &kept)).unwrap();
            assert_eq!((record.turn, record.header()), (TURN, [5; HEADER_BYTES]));
            let mut right = kept.clone();
            right.append(&mut fresh);
            record.apply(&mut kept).unwrap();
            assert_eq!(kept, right);
        }
    }

    #[test]
    fn what_did_not_change_takes_no_room() {
        let kept: Pages = [(8, page(|at| at as u8))].into();
        assert_eq!(encoded(&kept, &kept).len(), PAGES_AT + 11);
        let mut fresh = kept.clone();
        fresh.get_mut(&8).unwrap()[100] ^= 1;
        fresh.get_mut(&8).unwrap()[4000] ^= 1;
        assert_eq!(encoded(&fresh, &kept).len(), PAGES_AT + 11 + 2 * (4 + WORD));
        let zeros: Pages = [(8, page(|_| 0))].into();
        assert_eq!(encoded(&zeros, &Pages::new()).len(), PAGES_AT + 11);
    }

    #[test]
    fn no_byte_of_it_can_change() {
        let fresh: Pages = [(0, page(|at| at as u8)), (4096, page(|_| 1))].into();
        let bytes = encoded(&fresh, &Pages::new());
        for at in (0..bytes.len()).step_by(7).chain(0..PAGES_AT) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(Record::decode(changed).is_none(), "byte {at}");
        }
        for length in [0, 3, 4, 12, PAGES_AT, bytes.len() - 1] {
            assert!(Record::decode(bytes[..length].to_vec()).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn a_page_that_needs_one_before_it_does_not_stand_alone() {
        let kept: Pages = [(8, page(|_| 1))].into();
        let record = Record::decode(encoded(&kept, &kept)).unwrap();
        assert!(record.apply(&mut Pages::new()).is_none());
    }
}
