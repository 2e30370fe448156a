//! Files in frames: those that a client sends, and those on their way to one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::numbers::Target;
use super::text::escaped;
use super::words::{fault, refused};
use super::{Line, Me};
use crate::domain::id::{Address, MessageId};
use crate::domain::words::{
    Command, MessageView, Query, Range, Refusal, Reply, StoredFile, Take, Upload, is_file_name,
};
use crate::wire::{FileAsk, What};

use super::errand::{Errand, Step};

/// Decoded bytes of one frame (the page).
const FRAME_BYTES_MAX: usize = 2048;
/// A third number of GET from here on is a file's, its message's own number above it: nobody asks
/// for so many messages.
pub(super) const FIRST_FILE: u64 = 1 << 32;
/// Files that one connection sends at a time.
const INCOMING_MAX: usize = 4;
/// Files that wait for one connection. More are found in the history.
const OUTGOING_MAX: usize = 8;

/// A file that a client sends.
#[derive(Debug)]
pub(super) struct Incoming {
    to: Target,
    chat: Address,
    name: Box<str>,
    size: u64,
    got: u64,
    upload: Option<Upload>,
}

/// A file on its way to a client.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The chat as this client names it.
    of: Target,
    file: Box<StoredFile>,
    offset: u64,
}

/// The number that a file goes by.
pub(super) fn number(id: MessageId) -> u64 {
    FIRST_FILE.saturating_add(id.0)
}

/// `* name size id`, where the file is known.
pub(super) fn line(message: &MessageView) -> Option<Line> {
    let file = message.extra.as_ref()?.file.as_ref()?;
    let name = escaped(&file.name);
    Some(Line(format!("* {name} {} {}", file.size, number(message.id))))
}

/// NEWFILE, as soon as the chat is known: first whether anything may be sent there.
pub(super) fn begin(
    to: Target,
    chat: Address,
    (name, size): (Box<str>, u64),
    me: &Me,
    out: &mut Vec<Line>,
) -> Step {
    if !is_file_name(&name) {
        out.push(fault("a file's name has 1 to 255 bytes and no / or \\ among them"));
        return None;
    }
    if me.incoming.iter().filter(|file| file.to != to).count() >= INCOMING_MAX {
        out.push(fault("finish another file first"));
        return None;
    }
    let command = Command::MaySend { chat: chat.clone() };
    let incoming = Incoming { to, chat, name, size, got: 0, upload: None };
    Some((Errand::Permitting(Box::new(incoming)), What::Command(command)))
}

/// A file to the same chat that was not finished is given up, and makes room.
pub(super) fn permitted(incoming: Box<Incoming>, me: &mut Me) -> Step {
    give_up(incoming.to, me);
    let ask = FileAsk::Begin { size: incoming.size };
    Some((Errand::Opening(incoming), What::File(ask)))
}

pub(super) fn opened(
    mut incoming: Incoming,
    upload: Upload,
    me: &mut Me,
    out: &mut Vec<Line>,
) -> Step {
    incoming.upload = Some(upload);
    me.incoming.push(incoming);
    out.push(Line("NEWFILE OK".into()));
    None
}

/// FILE. A frame that is wrong is not taken, and may come again.
pub(super) fn frame(to: Target, size: u64, frame: &str, me: &mut Me, out: &mut Vec<Line>) -> Step {
    match take_frame(to, size, frame, me) {
        Ok((upload, bytes)) => {
            let ask = FileAsk::Write { upload, bytes };
            Some((Errand::Receiving(to), What::File(ask)))
        }
        Err(why) => {
            out.push(fault(why));
            None
        }
    }
}

fn take_frame(
    to: Target,
    size: u64,
    frame: &str,
    me: &mut Me,
) -> Result<(Upload, Vec<u8>), &'static str> {
    const NONE: &str = "say NEWFILE first";
    let file = me.incoming.iter_mut().find(|file| file.to == to).ok_or(NONE)?;
    let upload = file.upload.clone().ok_or(NONE)?;
    if size == 0 || size > FRAME_BYTES_MAX as u64 {
        return Err("a frame has 1 to 2048 bytes");
    }
    let bytes = STANDARD.decode(frame).map_err(|_| "a frame is base64")?;
    if bytes.len() as u64 != size {
        return Err("that is not the frame's size");
    }
    if file.size - file.got < size {
        return Err("that is more than NEWFILE said");
    }
    file.got += size;
    Ok((upload, bytes))
}

pub(super) fn received(to: Target, more: bool, me: &Me, out: &mut Vec<Line>) -> Step {
    out.push(Line("FILE OK".into()));
    let file = me.incoming.iter().find(|file| file.to == to).filter(|_| !more)?;
    let ask = FileAsk::Finish { upload: file.upload.clone()?, name: file.name.clone() };
    Some((Errand::Storing(to), What::File(ask)))
}

pub(super) fn stored(to: Target, file: Box<StoredFile>, me: &Me) -> Step {
    let chat = me.incoming.iter().find(|file| file.to == to)?.chat.clone();
    Some((Errand::Announcing(to), What::Command(Command::SendFile { chat, file })))
}

pub(super) fn announced(to: Target, id: MessageId, me: &mut Me, out: &mut Vec<Line>) {
    let Some(at) = me.incoming.iter().position(|file| file.to == to) else { return };
    let file = me.incoming.swap_remove(at);
    if let Some(upload) = &file.upload {
        upload.keep();
    }
    out.push(Line(format!("FILESENT {} {}", escaped(&file.name), number(id))));
}

/// It cannot go on, and nothing of it stays.
pub(super) fn give_up(to: Target, me: &mut Me) {
    me.incoming.retain(|file| file.to != to);
}

/// Looks for the message that a file's number names.
pub(super) fn find(of: Target, chat: Address, number: u64) -> Step {
    let id = number.saturating_sub(FIRST_FILE);
    let range = Range {
        after: MessageId(id.saturating_sub(1)),
        before: MessageId(id.saturating_add(1)),
        since: None,
        count: 1,
        take: Take::First,
    };
    Some((Errand::Finding(of), What::Query(Query::History { chat, range })))
}

pub(super) fn found(of: Target, messages: &[MessageView], me: &mut Me, out: &mut Vec<Line>) {
    match messages.first().and_then(|message| message.extra.as_ref()?.file.clone()) {
        Some(_) if me.outgoing.len() >= OUTGOING_MAX => {
            out.push(fault("as many files as can wait are on their way to you"));
        }
        Some(file) => me.outgoing.push_back(Outgoing { of, file, offset: 0 }),
        None => out.push(refused(Refusal::NoSuchFile)),
    }
}

/// A file that somebody has sent goes to whoever is there.
pub(super) fn told(of: Target, message: &MessageView, me: &mut Me) {
    let file = message.extra.as_ref().and_then(|extra| extra.file.clone());
    if let Some(file) = file.filter(|_| me.outgoing.len() < OUTGOING_MAX) {
        me.outgoing.push_back(Outgoing { of, file, offset: 0 });
    }
}

/// The next slice of the file that is on its way.
pub(super) fn fetch(me: &Me) -> Step {
    let next = me.outgoing.front()?;
    let ask = FileAsk::Read { key: next.file.key, offset: next.offset };
    Some((Errand::Fetching, What::File(ask)))
}

/// Takes a slice, which goes out before the next is asked for.
pub(super) fn fetched(reply: Result<Reply, Refusal>, me: &mut Me, out: &mut Vec<Line>) {
    let Some(next) = me.outgoing.front_mut() else { return };
    let Outgoing { of, file, offset } = next;
    let bytes = match reply {
        Ok(Reply::Bytes(bytes)) if !bytes.is_empty() => bytes,
        // Shorter than it was is as good as gone.
        Ok(_) => return abandon(Refusal::NoSuchFile, me, out),
        Err(refusal) => return abandon(refusal, me, out),
    };
    if *offset == 0 {
        out.push(Line(format!("NEWFILE {} {} {of}", escaped(&file.name), file.size)));
    }
    for frame in bytes.chunks(FRAME_BYTES_MAX) {
        out.push(Line(format!("FILE {of} {} {}", frame.len(), STANDARD.encode(frame))));
    }
    *offset += bytes.len() as u64;
    if *offset >= file.size {
        me.outgoing.pop_front();
    }
}

fn abandon(refusal: Refusal, me: &mut Me, out: &mut Vec<Line>) {
    me.outgoing.pop_front();
    out.push(refused(refusal));
}
