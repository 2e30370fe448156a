//! The fields that several packets have, read the same way in all of them.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::refusal::Fault;
use crate::domain::id::{Address, MessageId};
use crate::domain::words::Refusal;
use crate::wire::House;
use crate::wire::json::Object;

/// Either alphabet; padding complete or absent; spare bits zero; no white space (decision 36). Half
/// a padding passes these, [`from_base64`] refuses it.
const BASE64: GeneralPurpose = engine(&STANDARD);
const BASE64_URL: GeneralPurpose = engine(&URL_SAFE);

const fn engine(alphabet: &base64::alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(false);
    GeneralPurpose::new(alphabet, config)
}

/// The address in `id` or in its `other` spelling. Both may be there if they mean the same
/// (decision 41).
pub(super) fn named(
    body: &Object<'_>,
    other: &'static str,
    house: &House,
) -> Result<Option<Address>, Fault> {
    let read = |field| body.text(field)?.map(|text| address(text, field, house)).transpose();
    match (read("id")?, read(other)?) {
        (Some(one), Some(two)) if one != two => Err(Fault::bad(other)),
        (one, two) => Ok(two.or(one)),
    }
}

pub(super) fn address(text: &str, field: &'static str, house: &House) -> Result<Address, Fault> {
    Address::parse(text, &house.name).map_err(|_| Fault::bad(field))
}

/// How many records are wanted, from 1; more than `most` is `most`.
pub(super) fn count(body: &Object<'_>, most: u32) -> Result<Option<u32>, Fault> {
    match body.integer("count")? {
        None => Ok(None),
        Some(Ok(0) | Err(_)) => Err(Fault::new(Refusal::BadRange, "count")),
        Some(Ok(count)) => Ok(Some(u32::try_from(count).unwrap_or(most).min(most))),
    }
}

/// An address in a field of its own name.
pub(super) fn another(
    body: &Object<'_>,
    field: &'static str,
    house: &House,
) -> Result<Option<Address>, Fault> {
    body.text(field)?.map(|text| address(text, field, house)).transpose()
}

/// The chat that a packet is about; one is required.
pub(super) fn chat(body: &Object<'_>, house: &House) -> Result<Address, Fault> {
    named(body, "chat_id", house)?.ok_or(Fault::new(Refusal::MissingField, "chat_id"))
}

/// The person that a packet is about; one is required.
pub(super) fn person(body: &Object<'_>, house: &House) -> Result<Address, Fault> {
    named(body, "contact_id", house)?.ok_or(Fault::new(Refusal::MissingField, "id"))
}

/// A text of at most so many bytes.
pub(super) fn short_text(
    body: &Object<'_>,
    field: &'static str,
    bytes_max: usize,
) -> Result<Option<Box<str>>, Fault> {
    match body.text(field)? {
        Some(text) if bytes_max < text.len() => Err(Fault::new(Refusal::FieldTooLong, field)),
        text => Ok(text.map(Box::from)),
    }
}

/// A message's id. No chat has a message 0, and the core says so.
pub(super) fn id(body: &Object<'_>, field: &'static str) -> Result<Option<MessageId>, Fault> {
    match body.integer(field)? {
        None => Ok(None),
        Some(Ok(id)) => Ok(Some(MessageId(id))),
        Some(Err(_)) => Err(Fault::new(Refusal::BadRange, field)),
    }
}

/// A bound of history: an id, 0 for the beginning, -1 for the end (mSIM 2.0, «В качестве ID могут
/// использоваться краевые значения»). It need not be the id of anything (decision 7).
pub(super) fn bound(body: &Object<'_>, field: &'static str) -> Result<Option<MessageId>, Fault> {
    match body.integer(field)? {
        None => Ok(None),
        Some(Ok(id)) => Ok(Some(MessageId(id))),
        Some(Err(-1)) => Ok(Some(MessageId::END)),
        Some(Err(_)) => Err(Fault::new(Refusal::BadRange, field)),
    }
}

/// The bytes that base64 in one of its two alphabets stands for, its padding complete or absent
/// (decision 36).
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let is_half_padded = text.ends_with('=') && !text.len().is_multiple_of(4);
    if is_half_padded {
        return None;
    }
    BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok()
}
