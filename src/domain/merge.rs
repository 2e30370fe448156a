//! Several chats as one sequence of messages, ascending by id, for history, rewind and unread.
//!
//! Bounded in work and memory whatever the number of chats: between two reads only a place per
//! chat is kept, never a text, and an answer ends early once its body would grow too large.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::chat;
use crate::domain::eyes::{Eyes, Window};
use crate::domain::id::{AccountNo, ChatId, MessageId, Timestamp};
use crate::domain::nouns::Message;
use crate::domain::words::{Kind, MessageView, Range, Take};
use crate::limits::ANSWER_BYTES_MAX;
use crate::store::{Look, StoreError};

/// Messages read from one chat at a time: so many of the longest texts are an answer's worth.
const RUN_MAX: u32 = 64;

/// What is still to come of one chat. Both bounds are exclusive.
#[derive(Debug)]
pub(in crate::domain) struct Strand {
    chat: ChatId,
    /// What lies at or before it is gone for the reader.
    horizon: MessageId,
    after: MessageId,
    before: MessageId,
    /// For the first read only; later ones go by id.
    since: Option<Timestamp>,
    /// How many messages in a row this chat is expected to give.
    run: u32,
    /// So many that have a place are still to come, and nothing else; `None`: all there is.
    places: Option<u32>,
    /// Whether notices are passed over.
    quiet: bool,
    /// Once it is needed.
    window: Option<Window>,
}

impl Strand {
    pub(in crate::domain) fn new(
        chat: ChatId,
        horizon: MessageId,
        after: MessageId,
        before: MessageId,
    ) -> Strand {
        let after = after.max(horizon);
        Strand {
            chat,
            horizon,
            after,
            before,
            since: None,
            run: 1,
            places: None,
            quiet: false,
            window: None,
        }
    }

    pub(in crate::domain) fn since(self, since: Option<Timestamp>) -> Strand {
        Strand { since, ..self }
    }

    /// Only the messages that have a place, of which so many lie in it: once they are given, nothing
    /// is left to come.
    pub(in crate::domain) fn of_places(self, places: u32) -> Strand {
        Strand { places: Some(places), ..self }
    }

    /// Without notices. They must not be the last of it, or there seems to be more than comes.
    pub(in crate::domain) fn without_notices(self) -> Strand {
        Strand { quiet: true, ..self }
    }

    /// Whether a message of the strand is one that its reader wants, which makes one less to come.
    fn gives(&mut self, message: &Message) -> bool {
        if self.quiet && message.kind == Kind::Notice {
            return false;
        }
        let Some(places) = &mut self.places else { return true };
        let has_place = message.kind.has_place();
        *places = places.saturating_sub(u32::from(has_place));
        has_place
    }

    /// After a run in which nothing had a place: whoever goes back goes on at the message whose
    /// place the last of them has, however many came after it.
    fn skip(&mut self, look: &impl Look, take: Take, last: &Message) -> Result<(), StoreError> {
        if take == Take::Last
            && let Some(placed) = look.message_at(self.chat, last.seq)?
        {
            self.before = self.before.min(MessageId(placed.0.saturating_add(1)));
        }
        Ok(())
    }

    /// The nearest id that can come next.
    fn next(&self, take: Take) -> MessageId {
        match take {
            Take::First => MessageId(self.after.0.saturating_add(1)),
            Take::Last => MessageId(self.before.0.saturating_sub(1)),
        }
    }

    /// Leaves `id` to come, and nothing nearer.
    fn wind_to(&mut self, id: MessageId, take: Take) {
        match take {
            Take::First => self.after = MessageId(id.0.saturating_sub(1)),
            Take::Last => self.before = MessageId(id.0.saturating_add(1)),
        }
    }

    /// Leaves what comes behind `id`.
    fn wind_past(&mut self, id: MessageId, take: Take) {
        match take {
            Take::First => self.after = id,
            Take::Last => self.before = id,
        }
    }

    /// At most `count` messages from the near end, nearest first.
    fn read(
        &mut self,
        look: &impl Look,
        take: Take,
        count: u32,
    ) -> Result<(Vec<Message>, bool), StoreError> {
        let since = self.since.take();
        let range = Range { after: self.after, before: self.before, since, count, take };
        let (mut messages, more) = look.messages(self.chat, &range)?;
        match take {
            Take::First => {}
            Take::Last => messages.reverse(),
        }
        Ok((messages, more))
    }

    fn window(&mut self, look: &impl Look, me: AccountNo) -> Result<Window, StoreError> {
        if let Some(window) = &self.window {
            return Ok(window.clone());
        }
        let name = chat::name_of(look, me, self.chat)?;
        let window = Window { name, horizon: self.horizon };
        Ok(self.window.insert(window).clone())
    }
}

/// Which of these messages are gone for one reader alone.
fn hidden(
    look: &impl Look,
    me: AccountNo,
    chat: ChatId,
    messages: &[Message],
) -> Result<Vec<MessageId>, StoreError> {
    let ids = messages.iter().map(|message| message.id);
    let (Some(low), Some(high)) = (ids.clone().min(), ids.max()) else { return Ok(Vec::new()) };
    look.hidden(me, chat, MessageId(low.0.saturating_sub(1)), MessageId(high.0.saturating_add(1)))
}

/// The first or last `count` messages of all strands together, ascending, in the words of `me`,
/// and whether any were left out.
pub(in crate::domain) fn merge(
    look: &impl Look,
    me: AccountNo,
    mut strands: Vec<Strand>,
    take: Take,
    count: u32,
) -> Result<(Vec<MessageView>, bool), StoreError> {
    // Greatest first, so ranks fall in the order that messages are taken in.
    let rank = |id: MessageId| match take {
        Take::First => u64::MAX - id.0,
        Take::Last => id.0,
    };
    let mut eyes = Eyes::new(look, me);
    let mut queue: BinaryHeap<(u64, Reverse<usize>)> =
        strands.iter().enumerate().map(|(i, s)| (rank(s.next(take)), Reverse(i))).collect();
    let mut page = Page::new(count);
    while page.room() > 0
        && let Some((_, Reverse(i))) = queue.pop()
    {
        let strand = &mut strands[i];
        let limit = queue.peek().map(|(rank, _)| *rank);
        let wanted = if limit.is_some() { strand.run.min(page.room()) } else { page.room() };
        let (messages, more) = strand.read(look, take, wanted.min(RUN_MAX))?;
        let window = strand.window(look, me)?;
        let gone = hidden(look, me, strand.chat, &messages)?;
        let (mut cut, mut is_idle) = (false, true);
        for message in &messages {
            if page.room() == 0 || limit.is_some_and(|limit| rank(message.id) < limit) {
                strand.wind_to(message.id, take);
                cut = true;
                break;
            }
            strand.wind_past(message.id, take);
            if strand.gives(message) {
                let is_gone = gone.binary_search(&message.id).is_ok();
                page.push(eyes.see(message, &window, is_gone)?);
                is_idle = false;
            }
        }
        if (is_idle && more && !cut)
            && let Some(last) = messages.last()
        {
            strand.skip(look, take, last)?;
        }
        // Two where chats alternate: the one that comes and the one after it, which says where
        // this chat goes on.
        strand.run = if cut { 2 } else { (strand.run * 2).min(RUN_MAX) };
        if (cut || more) && strand.places != Some(0) {
            queue.push((rank(strand.next(take)), Reverse(i)));
        }
    }
    let Page { mut messages, .. } = page;
    match take {
        Take::First => {}
        Take::Last => messages.reverse(),
    }
    Ok((messages, !queue.is_empty()))
}

/// An answer that fills up.
#[derive(Debug)]
struct Page {
    messages: Vec<MessageView>,
    count: u32,
    bytes: usize,
}

impl Page {
    fn new(count: u32) -> Page {
        Page { messages: Vec::new(), count, bytes: 0 }
    }

    /// How many more messages it may take. The one that passes the byte limit is the last.
    fn room(&self) -> u32 {
        if self.bytes >= ANSWER_BYTES_MAX { 0 } else { self.count }
    }

    fn push(&mut self, message: MessageView) {
        self.bytes += weight(&message);
        self.count -= 1;
        self.messages.push(message);
    }
}

/// What a message takes in an answer. What must be escaped makes it more, which the protocol that
/// escapes counts; this bounds what is held in memory.
pub(in crate::domain) fn weight(message: &MessageView) -> usize {
    /// Field names, numbers and punctuation.
    const FIXED: usize = 256;
    let cookie = message.cookie.as_deref().map_or(0, str::len);
    let spans = message.extra.as_ref().map_or(0, |extra| {
        extra.spans.iter().map(|s| 64 + s.value.as_ref().map_or(0, |v| v.len())).sum()
    });
    FIXED + 2 * message.chat.len() + message.from.len() + message.text.len() + cookie + spans
}

/// The length of a text as a JSON string without its quotes: what must be escaped grows.
pub(in crate::domain) fn json_length(text: &str) -> usize {
    let grown = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        // \u00xx; some have shorter forms.
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(grown).sum()
}
