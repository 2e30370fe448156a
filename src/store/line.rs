//! A message as a record: which tag holds what. Most records have the first seven alone.

use std::sync::Arc;

use crate::domain::id::{AccountNo, ChatId, MessageId, Seq, Timestamp};
use crate::domain::nouns::{Access, Extra, Mark, Message};
use crate::domain::words::{Act, FileKey, Kind, Notice, Span, SpanKind, StoredFile};
use crate::store::tlv::{Fields, Flaw, number, number8, number32, put_bytes, put_number, text};

/// The highest tag that this version knows.
pub(super) const MESSAGE_TAGS: u8 = 23;

/// A message's record, its texts still where they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'r> {
    pub from: AccountNo,
    pub time: Timestamp,
    /// How much smaller the previous message's id is; all of the id for the first of a chat.
    pub back: u64,
    pub seq: Seq,
    pub kind: u8,
    pub cookie: Option<&'r str>,
    pub text: &'r str,
    /// What most messages do not have, unread.
    rest: Option<Fields<'r>>,
}

pub(super) fn put_message(message: &Message, out: &mut Vec<u8>) {
    put_number(out, 1, u64::from(message.from.0));
    put_number(out, 2, message.time.0);
    put_number(out, 3, message.id.0 - message.previous.0);
    put_number(out, 4, u64::from(message.seq.0));
    put_number(out, 5, message.kind as u64);
    put_bytes(out, 6, message.cookie.as_deref().unwrap_or("").as_bytes());
    put_bytes(out, 7, message.text.as_bytes());
    if let Some(extra) = &message.extra {
        put_extra(extra, out);
    }
}

fn put_extra(extra: &Extra, out: &mut Vec<u8>) {
    put_number(out, 8, extra.reply_to.0);
    put_number(out, 9, extra.target.0);
    put_number(out, 10, extra.person.map_or(0, |no| u64::from(no.0)));
    put_number(out, 11, extra.place.map_or(0, |chat| chat.0));
    // One more than the letters: none of them is something to say.
    put_number(out, 12, extra.access.map_or(0, |access| u64::from(access.0) + 1));
    for span in &extra.spans {
        put_span(span, out);
    }
    put_bytes(out, 14, extra.mime.as_deref().unwrap_or("").as_bytes());
    put_number(out, 15, extra.edited.0);
    put_number(out, 16, u64::from(extra.deleted));
    if let Some(Notice { act, given }) = extra.notice {
        put_number(out, 17, act as u64);
        put_number(out, 18, u64::from(given.0));
    }
    put_number(out, 19, u64::from(extra.reach.0));
    if let Some(file) = &extra.file {
        put_number(out, 20, u64::from(file.key.owner.0));
        put_number(out, 21, file.key.id);
        put_number(out, 22, file.size);
        put_bytes(out, 23, &file.sha256);
    }
}

/// One field a span: kind, start, end, value.
fn put_span(span: &Span, out: &mut Vec<u8>) {
    let value = span.value.as_deref().unwrap_or("").as_bytes();
    let mut bytes = Vec::with_capacity(9 + value.len());
    bytes.push(span.kind as u8);
    bytes.extend_from_slice(&span.start.to_le_bytes());
    bytes.extend_from_slice(&span.end.to_le_bytes());
    bytes.extend_from_slice(value);
    put_bytes(out, 13, &bytes);
}

fn span(bytes: &[u8]) -> Result<Span, Flaw> {
    const SHORT: Flaw = "a span of it ends too early";
    let (&kind, rest) = bytes.split_first().ok_or(SHORT)?;
    let (start, rest) = rest.split_first_chunk().ok_or(SHORT)?;
    let (end, value) = rest.split_first_chunk().ok_or(SHORT)?;
    let kind = SpanKind::ALL.into_iter().find(|k| *k as u8 == kind);
    Ok(Span {
        start: u32::from_le_bytes(*start),
        end: u32::from_le_bytes(*end),
        kind: kind.ok_or("the kind of a span of it is unknown")?,
        value: Some(text(value)?).filter(|value| !value.is_empty()).map(Box::from),
    })
}

fn extra(mut fields: Fields<'_>, name: &str) -> Result<Extra, Flaw> {
    let mut extra = Extra::default();
    let key = FileKey { owner: AccountNo(0), id: 0 };
    let mut file = StoredFile { key, name: name.into(), size: 0, sha256: [0; 32] };
    let mut spans = Vec::new();
    let (mut noticed, mut given) = (None, Access::NONE);
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            8 => extra.reply_to = MessageId(number(bytes)?),
            9 => extra.target = MessageId(number(bytes)?),
            10 => extra.person = Some(AccountNo(number32(bytes)?)),
            11 => extra.place = Some(ChatId(number(bytes)?)),
            12 => extra.access = Some(Access(number8(bytes)?.wrapping_sub(1))),
            13 => spans.push(span(bytes)?),
            14 => extra.mime = Some(text(bytes)?.into()),
            15 => extra.edited = Timestamp(number(bytes)?),
            16 => extra.deleted = number(bytes)? != 0,
            17 => noticed = Some(act(number8(bytes)?)?),
            18 => given = Access(number8(bytes)?),
            19 => extra.reach = Seq(number32(bytes)?),
            20 => file.key.owner = AccountNo(number32(bytes)?),
            21 => file.key.id = number(bytes)?,
            22 => file.size = number(bytes)?,
            23 => {
                file.sha256 = bytes.try_into().map_err(|_| "its file has no SHA-256")?;
            }
            _other => {}
        }
    }
    // A number that is 0 is not written, and no file has no bytes.
    extra.file = (file.size > 0).then(|| Box::new(file));
    extra.notice = noticed.map(|act| Notice { act, given });
    extra.spans = spans.into();
    Ok(extra)
}

pub(super) fn line(mut fields: Fields<'_>) -> Result<Line<'_>, Flaw> {
    let mut line = Line {
        from: AccountNo(0),
        time: Timestamp(0),
        back: 0,
        seq: Seq(0),
        kind: 0,
        cookie: None,
        text: "",
        rest: None,
    };
    loop {
        let before = fields;
        let Some((tag, bytes)) = fields.next()? else { break };
        match tag {
            1 => line.from = AccountNo(number32(bytes)?),
            2 => line.time = Timestamp(number(bytes)?),
            3 => line.back = number(bytes)?,
            4 => line.seq = Seq(number32(bytes)?),
            5 => line.kind = number8(bytes)?,
            6 => line.cookie = Some(text(bytes)?),
            7 => line.text = text(bytes)?,
            8..=MESSAGE_TAGS if line.rest.is_none() => line.rest = Some(before),
            _known_or_later => {}
        }
    }
    Ok(line)
}

impl Line<'_> {
    pub(super) fn mark(&self, id: MessageId) -> Mark {
        Mark { id, seq: self.seq }
    }

    pub(super) fn previous(&self, id: MessageId) -> Result<MessageId, Flaw> {
        id.0.checked_sub(self.back).map(MessageId).ok_or("the message before it has no such id")
    }

    pub(super) fn message(&self, chat: ChatId, id: MessageId) -> Result<Message, Flaw> {
        Ok(Message {
            chat,
            id,
            previous: self.previous(id)?,
            seq: self.seq,
            time: self.time,
            from: self.from,
            kind: kind(self.kind)?,
            text: Arc::from(self.text),
            cookie: self.cookie.map(Arc::from),
            extra: self.extra()?.map(Box::new),
        })
    }

    pub(super) fn extra(&self) -> Result<Option<Extra>, Flaw> {
        self.rest.map(|rest| extra(rest, self.text)).transpose()
    }
}

pub(super) fn kind(number: u8) -> Result<Kind, Flaw> {
    Ok(match number {
        0 => Kind::Text,
        1 => Kind::Formatted,
        2 => Kind::Blob,
        3 => Kind::File,
        4 => Kind::Edited,
        5 => Kind::Deleted,
        6 => Kind::Joined,
        7 => Kind::Left,
        8 => Kind::Invited,
        9 => Kind::Renamed,
        10 => Kind::Access,
        11 => Kind::Created,
        12 => Kind::Cleared,
        13 => Kind::Notice,
        _ => return Err("its kind is unknown"),
    })
}

fn act(number: u8) -> Result<Act, Flaw> {
    Ok(match number {
        1 => Act::Invited,
        2 => Act::Asked,
        3 => Act::Admitted,
        _ => return Err("what it tells of is unknown"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tlv;

    fn round(message: &Message) -> Message {
        let mut record = Vec::new();
        put_message(message, &mut record);
        // What a later version might add is passed over.
        put_bytes(&mut record, 200, b"later");
        tlv::seal(&mut record, b"key");
        let line = tlv::open(b"key", &record).and_then(line).unwrap();
        line.message(message.chat, message.id).unwrap()
    }

    #[test]
    fn kinds_on_the_disk_are_those_of_the_words() {
        for number in 0..=13 {
            assert_eq!(kind(number).unwrap() as u8, number);
        }
        assert!(kind(14).is_err());
    }

    #[test]
    fn a_message_comes_back_whatever_it_is() {
        for (number, previous, text, cookie) in
            [(0, 0, "", None), (10, 41, "𝄞 text\0", Some("c")), (5, 1, "x", Some("куки"))]
        {
            let message = Message {
                chat: ChatId(1 << 32 | 2),
                id: MessageId(42),
                previous: MessageId(previous),
                seq: Seq(u32::MAX),
                time: Timestamp(u64::MAX),
                from: AccountNo(1),
                kind: kind(number).unwrap(),
                text: text.into(),
                cookie: cookie.map(Arc::from),
                extra: None,
            };
            assert_eq!(round(&message), message);
            for extra in extras() {
                let message = Message { extra: Some(Box::new(extra)), ..message.clone() };
                assert_eq!(round(&message), message);
            }
        }
    }

    fn extras() -> [Extra; 4] {
        let span = |kind, value: Option<&str>| Span {
            start: 1,
            end: 1 << 20,
            kind,
            value: value.map(Box::from),
        };
        [
            Extra { access: Some(Access::NONE), ..Extra::default() },
            Extra { deleted: true, ..Extra::default() },
            Extra {
                notice: Some(Notice { act: Act::Asked, given: Access::NONE }),
                access: Some(Access::GROUP),
                ..Extra::default()
            },
            Extra {
                reply_to: MessageId(1 << 52),
                target: MessageId(3),
                person: Some(AccountNo(4)),
                place: Some(ChatId(u64::MAX)),
                access: Some(Access::OWNER),
                spans: SpanKind::ALL
                    .map(|kind| span(kind, None))
                    .into_iter()
                    .chain([span(SpanKind::Link, Some("https://im.test/"))])
                    .collect(),
                mime: Some("image/png".into()),
                edited: Timestamp(9),
                deleted: false,
                reach: Seq(7),
                notice: Some(Notice { act: Act::Admitted, given: Access::OWNER }),
                file: None,
            },
        ]
    }

    #[test]
    fn every_flipped_bit_of_a_message_is_noticed() {
        let message = Message {
            chat: ChatId(3),
            id: MessageId(42),
            previous: MessageId(40),
            seq: Seq(2),
            time: Timestamp(1_700_000_000_000),
            from: AccountNo(1),
            kind: Kind::Text,
            text: "see you at eight".into(),
            cookie: Some("abc".into()),
            extra: None,
        };
        let mut record = Vec::new();
        put_message(&message, &mut record);
        tlv::seal(&mut record, b"key");
        for bit in 0..record.len() * 8 {
            record[bit / 8] ^= 1 << (bit % 8);
            assert!(tlv::open(b"key", &record).is_err(), "bit {bit}");
            record[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
