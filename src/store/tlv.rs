//! How a record lies on the disk: fields of tag, length and bytes, then a CRC-32 over the record's
//! key and its fields.
//!
//! - A field is one byte of tag (from 1), its length as LEB128, its bytes. Numbers are little
//!   endian without their leading zeros; a field that would be empty is not written.
//! - Tags of a kind of record are numbered from 1 and never change meaning; one above those this
//!   version knows was written by a later one: it is skipped when read and kept when rewritten, so
//!   that adding a field needs no migration.
//! - redb checks its page checksums only when it repairs; the CRC is what notices a bit that
//!   flipped since. It covers the key too, so a record under a wrong key does not pass for right.

/// What is wrong with a record.
pub(super) type Flaw = &'static str;

const CRC_BYTES: usize = 4;

/// Appends a number, unless it is 0.
pub(super) fn put_number(out: &mut Vec<u8>, tag: u8, number: u64) {
    let bytes = number.to_le_bytes();
    let length = 8 - number.leading_zeros() as usize / 8;
    put_bytes(out, tag, &bytes[..length]);
}

/// Appends bytes, unless there are none.
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    out.push(tag);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// Ends a record with its check.
pub(super) fn seal(out: &mut Vec<u8>, key: &[u8]) {
    let crc = check(key, out);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The fields of a record whose check matches.
pub(super) fn open<'r>(key: &[u8], record: &'r [u8]) -> Result<Fields<'r>, Flaw> {
    let Some((fields, crc)) = record.split_last_chunk::<CRC_BYTES>() else {
        return Err("it is too short");
    };
    if check(key, fields) != u32::from_le_bytes(*crc) {
        return Err("its check does not match");
    }
    Ok(Fields { rest: fields })
}

/// Appends a record for another key. One whose check does not match is appended as it is, and then
/// it does not match there either. Whether it did.
pub(super) fn reseal(record: &[u8], old: &[u8], new: &[u8], out: &mut Vec<u8>) -> bool {
    match open(old, record) {
        Ok(fields) => {
            out.extend_from_slice(fields.rest);
            out.extend_from_slice(&check(new, fields.rest).to_le_bytes());
            true
        }
        Err(_flaw) => {
            out.extend_from_slice(record);
            false
        }
    }
}

fn check(key: &[u8], fields: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(fields);
    crc.finalize()
}

/// Fields one after another, those of unknown tags too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'r> {
    rest: &'r [u8],
}

impl<'r> Fields<'r> {
    /// The next field; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'r [u8])>, Flaw> {
        const BROKEN: Flaw = "a field of it ends too early";
        let Some((&tag, mut rest)) = self.rest.split_first() else {
            return Ok(None);
        };
        let mut length = 0_usize;
        let mut shift = 0;
        loop {
            let (&byte, tail) = rest.split_first().ok_or(BROKEN)?;
            rest = tail;
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            // Four bytes hold every length that a record can have.
            if shift > 21 {
                return Err(BROKEN);
            }
        }
        let (bytes, rest) = rest.split_at_checked(length).ok_or(BROKEN)?;
        self.rest = rest;
        Ok(Some((tag, bytes)))
    }

    /// Appends the fields above `known`: what a later version wrote into a row that this one
    /// rewrites.
    pub(super) fn carry(mut self, known: u8, out: &mut Vec<u8>) -> Result<(), Flaw> {
        while let Some((tag, bytes)) = self.next()? {
            if tag > known {
                put_bytes(out, tag, bytes);
            }
        }
        Ok(())
    }
}

pub(super) fn number(bytes: &[u8]) -> Result<u64, Flaw> {
    let mut number = [0; 8];
    number.get_mut(..bytes.len()).ok_or("a number of it is too long")?.copy_from_slice(bytes);
    Ok(u64::from_le_bytes(number))
}

pub(super) fn number32(bytes: &[u8]) -> Result<u32, Flaw> {
    number(bytes)?.try_into().map_err(|_| "a number of it is too large")
}

pub(super) fn number8(bytes: &[u8]) -> Result<u8, Flaw> {
    number(bytes)?.try_into().map_err(|_| "a number of it is too large")
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Flaw> {
    std::str::from_utf8(bytes).map_err(|_| "a text of it is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut record = Vec::new();
        put_number(&mut record, 1, 0x0102_0304);
        put_bytes(&mut record, 2, &[b'x'; 300]);
        put_number(&mut record, 3, 0);
        put_number(&mut record, 9, u64::MAX);
        seal(&mut record, b"key");
        record
    }

    #[test]
    fn fields_come_back_as_they_were_written() {
        let record = sample();
        let mut fields = open(b"key", &record).unwrap();
        assert_eq!(fields.next().unwrap(), Some((1, &[4, 3, 2, 1][..])));
        assert_eq!(fields.next().unwrap(), Some((2, &[b'x'; 300][..])));
        let (tag, last) = fields.next().unwrap().unwrap();
        assert_eq!((tag, number(last)), (9, Ok(u64::MAX)));
        assert_eq!(fields.next().unwrap(), None);
    }

    #[test]
    fn every_single_flipped_bit_is_noticed() {
        let record = sample();
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(b"key", &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_under_another_key_or_cut_short_is_noticed() {
        let record = sample();
        assert!(open(b"kez", &record).is_err());
        for length in 0..record.len() {
            assert!(open(b"key", &record[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn nonsense_with_a_right_check_is_an_error_and_no_panic() {
        for bytes in [
            &[1][..],
            &[1, 5, 0],
            &[1, 0x80],
            &[1, 0x80, 0x80, 0x80, 0x80, 1],
            &[1, 0xFF, 0xFF, 0xFF, 0x7F],
        ] {
            let mut record = bytes.to_vec();
            seal(&mut record, b"");
            let mut fields = open(b"", &record).unwrap();
            assert!(fields.next().is_err(), "{bytes:?}");
        }
        assert!(number(&[0; 9]).is_err());
        assert!(number32(&[0, 0, 0, 0, 1]).is_err());
    }
}
