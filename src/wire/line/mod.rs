//! The line carrier: packets as lines of text, for `nc`, shell scripts, microcontrollers and people
//! who read along. A connection speaks the first draft of mSIM 2 ([`draft`]) until it says HELLO,
//! and mSIM 2 itself ([`msim2`]) from then on; both in one notation ([`notation`]), cut into lines
//! by one [`codec`].
//!
//! Our reading, where the draft is silent (it calls its transport "TBD") or speaks twice:
//!
//! - White space is the space and the tab. Between two pairs stands white space or one comma with
//!   or without it; nothing stands before the type. A tab, too, is no part of a quoted value unless
//!   escaped.
//! - A value has no type but its field's: `count="5"` is 5 and `text=5` is "5". Braces hold JSON;
//!   brackets hold a list whose strings may be bare words, `'quoted'`, or JSON's.
//! - A line has at most 64 pairs. What is too long, too much, or no UTF-8 is malformed, in both
//!   faces: ERROR-MALFORMED, and the connection ends.
//! - A connection has one session: CONNECT-CONTINUE, AUTH-PLAIN and `session=` replace it, and the
//!   one before collects its updates in its mailbox. Those that CONNECT-CONTINUE made end with the
//!   connection, whichever it has then.
//! - HELLO that is refused leaves everything as it was. `session=` that nobody knows does, too.
//! - The draft is layer 3 with its own words for typing, presence and profiles. It has none for a
//!   contact that was removed, for what the other side has received, and for lost updates: whoever
//!   needs those says HELLO. Edits, groups and the like it gets said in words.
//! - Somebody's profile is what the draft calls a contact that was updated: `name` and `note` of it
//!   come as CONTACT-UPDATED, and are the person's own, whatever the reader calls them.
//! - Draft refusals have the reasons of mSIM 2 and, where those have it, `retry_after`. A wrong
//!   password, a used salt and no salt at all are the same bare CONNECT-FAILED.
//! - A packet that is answered with nothing is refused with nothing.
//! - CONTACTS-GET takes `count` and `id_gt` as mSIM 2's does, and says `more=true` where its answer
//!   ends early. `group` is a path (`//` for a `/` within a name) or a list. A contact that another
//!   of the owner's devices has made is CONTACT-UPDATED with everything that is known of it.
//! - SEND-FILE-PROXY and its kin do not exist until there are files.

pub mod codec;
mod draft;
mod msim2;
pub mod notation;
mod record;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;

use crate::domain::id::SessionId;
use crate::domain::words::{Command, Refusal, Reply};
use crate::wire::msim2::LAYER_MAX;
use crate::wire::{self, Ask, Farewell, Habit, House, Next, Told, What};

pub use codec::{Codec, Packet};
use notation::Writer;

/// What the draft is as a layer.
const DRAFT_LAYER: u32 = 3;

/// Lines ⇄ the core's words, for one connection.
#[derive(Debug)]
pub struct Dialogue {
    house: Arc<House>,
    face: Face,
    own: Own,
    /// In a box: whoever says HELLO first has none.
    draft: Option<Box<draft::State>>,
    /// In a box: an idle connection has none.
    pending: Option<Box<Pending>>,
}

/// The connection's session.
#[derive(Clone, Copy, Debug)]
enum Own {
    Nobody,
    /// It lives on.
    Kept(SessionId),
    /// It was made in the draft and ends with the connection.
    Draft(SessionId),
}

impl Own {
    fn session(self) -> Option<SessionId> {
        match self {
            Own::Nobody => None,
            Own::Kept(session) | Own::Draft(session) => Some(session),
        }
    }
}

/// What is spoken.
#[derive(Clone, Copy, Debug)]
enum Face {
    Draft,
    Msim2 { layer: u32 },
}

/// What of a request its answer needs.
#[derive(Debug)]
enum Pending {
    Draft(draft::Question),
    Msim2(msim2::Question),
}

impl Dialogue {
    pub fn new(house: Arc<House>) -> Dialogue {
        Dialogue { house, face: Face::Draft, own: Own::Nobody, draft: None, pending: None }
    }

    fn ask(&mut self, pending: Pending, ask: Ask) -> Next {
        self.pending = Some(Box::new(pending));
        Next::Ask(ask)
    }
}

impl wire::Dialogue for Dialogue {
    type Packet = Packet;

    fn on_packet(&mut self, packet: Packet, out: &mut Vec<Packet>) -> Next {
        let line = match notation::parse(&packet.0) {
            Ok(line) => line,
            Err(why) => {
                out.push(malformed(&why.to_string()));
                return Next::HangUp(Farewell::Malformed);
            }
        };
        let layer = match self.face {
            Face::Msim2 { layer } => layer,
            Face::Draft if line.kind == "HELLO" => LAYER_MAX,
            Face::Draft => {
                let draft = self.draft.get_or_insert_default();
                return match draft.understand(line, &self.house, out) {
                    Some((question, what)) => {
                        let session_required = question.needs_session();
                        let who = self.own.session().filter(|_| session_required);
                        let habit = Habit::default();
                        let ask = Ask { who, session_required, layer: DRAFT_LAYER, habit, what };
                        self.ask(Pending::Draft(question), ask)
                    }
                    None => Next::Listen,
                };
            }
        };
        match msim2::understand(line, layer, self.own.session(), &self.house, out) {
            Ok((question, ask)) => self.ask(Pending::Msim2(question), ask),
            Err(None) => Next::Listen,
            Err(Some(why)) => Next::HangUp(why),
        }
    }

    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<Packet>) -> Next {
        let Some(pending) = self.pending.take() else { return Next::Listen };
        match *pending {
            Pending::Draft(question) => {
                let draft = self.draft.get_or_insert_default();
                out.extend(draft.on_reply(question, reply));
            }
            Pending::Msim2(question) => {
                if let Some(layer) = question.greets().filter(|_| reply.is_ok()) {
                    self.face = Face::Msim2 { layer };
                }
                question.on_reply(reply, out);
            }
        }
        Next::Listen
    }

    fn on_told(&mut self, session: &SessionId, layer: u32, told: &Told<'_>, out: &mut Vec<Packet>) {
        match self.face {
            Face::Draft => {
                let draft = self.draft.get_or_insert_default();
                out.extend(draft.on_told(told, &self.house));
            }
            Face::Msim2 { .. } => out.extend(msim2::push(session, layer, told)),
        }
    }

    fn on_seat(&mut self, session: &SessionId) -> bool {
        if self.own.session() == Some(*session) {
            return true;
        }
        let is_drafts = match self.pending.as_deref() {
            Some(Pending::Draft(question)) => question.logs_in(),
            Some(Pending::Msim2(_)) | None => false,
        };
        let new = if is_drafts { Own::Draft(*session) } else { Own::Kept(*session) };
        if let Own::Draft(old) = mem::replace(&mut self.own, new) {
            self.draft.get_or_insert_default().left(old);
        }
        true
    }

    fn last_words(&mut self) -> Option<Ask> {
        let own = match self.own {
            Own::Draft(session) => {
                self.own = Own::Nobody;
                Some(session)
            }
            Own::Kept(_) | Own::Nobody => None,
        };
        let session = own.or_else(|| self.draft.as_mut()?.take_left())?;
        let what = Ok(What::Command(Command::LogOut));
        let (who, habit) = (Some(session), Habit::default());
        Some(Ask { who, session_required: true, layer: LAYER_MAX, habit, what })
    }
}

/// The last line of a stream that sent something else than lines.
fn malformed(message: &str) -> Packet {
    Packet(Writer::new("ERROR-MALFORMED").text("message", message).finish())
}
