//! GET: a chat's history, read in slices and never held as a whole.

use super::numbers::{Target, person};
use super::text::{push_text, stamp};
use super::{Line, files};
use crate::domain::id::{Address, MessageId};
use crate::domain::words::{Command, Kind, MessageView, Query, Range, Refusal, Reply, Take};
use crate::limits::HISTORY_COUNT_MAX;
use crate::wire::What;
use crate::wire::said::in_words;

/// A walk through a chat.
#[derive(Debug)]
pub(super) struct Walk {
    chat: Address,
    is_direct: bool,
    stage: Stage,
    /// What came later is no part of it.
    end: MessageId,
    /// The last message that was shown.
    shown: MessageId,
}

#[derive(Debug)]
enum Stage {
    /// Looks for the message to begin with, that so many are left; without a number only for the end.
    Back { before: MessageId, left: Option<u64> },
    /// Shows what comes after.
    On { after: MessageId },
}

impl Walk {
    /// The newest `count` messages, or all there are.
    pub(super) fn new(chat: Address, target: Target, count: Option<u64>) -> Walk {
        let is_direct = matches!(target, Target::Person(_));
        let stage = Stage::Back { before: MessageId::END, left: count };
        Walk { chat, is_direct, stage, end: MessageId(0), shown: MessageId(0) }
    }

    pub(super) fn what(&self) -> What {
        let (after, before, take, count) = match self.stage {
            Stage::Back { before, left: None } => (MessageId(0), before, Take::Last, 1),
            Stage::Back { before, left: Some(_) } => {
                (MessageId(0), before, Take::Last, HISTORY_COUNT_MAX)
            }
            Stage::On { after } => {
                (after, MessageId(self.end.0 + 1), Take::First, HISTORY_COUNT_MAX)
            }
        };
        let range = Range { after, before, since: None, count, take };
        What::Query(Query::History { chat: self.chat.clone(), range })
    }

    /// Takes a slice. `Ok(None)`: there is more to ask; else what is to be asked at the end, if
    /// anything.
    pub(super) fn hear(
        &mut self,
        reply: Result<Reply, Refusal>,
        out: &mut Vec<Line>,
    ) -> Result<Option<Option<What>>, Refusal> {
        let (messages, more) = match reply {
            Ok(Reply::Messages { messages, more }) => (messages, more),
            Ok(_) => return Err(Refusal::Unavailable),
            // Nobody has written anything yet.
            Err(Refusal::NoSuchChat) if self.is_direct => return Ok(Some(self.finish(out))),
            Err(refusal) => return Err(refusal),
        };
        match &mut self.stage {
            Stage::Back { before, left } => {
                if *before == MessageId::END {
                    self.end = messages.last().map_or(MessageId(0), |last| last.id);
                }
                let first = messages.first().map_or(MessageId(0), |first| first.id);
                let mut after = MessageId(0);
                if self.end == MessageId(0) || *left == Some(0) {
                    return Ok(Some(self.finish(out)));
                }
                if let Some(left) = left {
                    for message in messages.iter().rev().filter(|message| is_shown(message)) {
                        *left = left.saturating_sub(1);
                        if *left == 0 {
                            after = MessageId(message.id.0.saturating_sub(1));
                            break;
                        }
                    }
                    if *left > 0 && more && first > MessageId(0) {
                        *before = first;
                        return Ok(None);
                    }
                }
                self.stage = Stage::On { after };
                Ok(None)
            }
            Stage::On { after } => {
                let last = messages.last().map_or(self.end, |last| last.id);
                for message in messages.iter().filter(|message| is_shown(message)) {
                    show(message, out);
                    self.shown = message.id;
                }
                if more && last < self.end {
                    *after = last;
                    return Ok(None);
                }
                Ok(Some(self.finish(out)))
            }
        }
    }

    /// Whoever has been shown it has it and may be taken to have read it.
    fn finish(&self, out: &mut Vec<Line>) -> Option<What> {
        out.push(Line("# END".into()));
        let (chat, id) = (Some(self.chat.clone()), self.shown);
        (id > MessageId(0)).then(|| What::Command(Command::MarkRead { chat, id }))
    }
}

/// What people wrote, as far as it is there. An edited text stands where it was written first.
fn is_shown(message: &MessageView) -> bool {
    let is_gone = message.extra.as_ref().is_some_and(|extra| extra.deleted || extra.private);
    !is_gone
        && match message.kind {
            Kind::Text | Kind::Formatted | Kind::Blob | Kind::File | Kind::Invited => true,
            Kind::Edited
            | Kind::Deleted
            | Kind::Joined
            | Kind::Left
            | Kind::Renamed
            | Kind::Access
            | Kind::Created
            | Kind::Cleared
            | Kind::Notice => false,
        }
}

fn show(message: &MessageView, out: &mut Vec<Line>) {
    let from = person(&message.from).map_or(0, |no| no.0);
    out.push(Line(format!("# 0 {from} {}", stamp(message.time))));
    match files::line(message) {
        Some(line) => out.push(line),
        None => push_text("> ", &in_words(message), out),
    }
}
