//! Tags: the numbers protocol (seed 003). Lines of words; everything is named by two decimal
//! numbers, `0 tag_usr` a person, `tag_server tag_chan` a channel; see `docs/tags.md`.
//!
//! A client names numbers and the core names addresses: a command first asks whom a number is for
//! and then what it is about ([`errand`]); what the core tells comes with its numbers ([`told`]).
//!
//! Our reading, where the page is silent or speaks twice, stands in `docs/tags.md`.

mod act;
mod codec;
mod errand;
mod files;
mod history;
mod numbers;
mod request;
#[cfg(test)]
mod tests;
mod text;
mod told;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::Directory;
use crate::domain::id::{AccountNo, Address, MessageId, SessionId};
use crate::domain::name::Tag;
use crate::domain::words::{Command, Refusal, Reply};
use crate::wire::{self, Ask, Farewell, Habit, House, Next, Told, What};

pub use codec::{Codec, Line};
use errand::{Errand, Step};
use files::{Incoming, Outgoing};
use request::Request;

/// Of a line without its end (the page).
const LINE_BYTES_MAX: usize = 4096;
/// Chats whose messages wait for a sign that they have arrived.
const TOLD_MAX: usize = 16;
/// What waits to be looked up for what was told. More is left out: IAM shows it all again.
const TODO_MAX: usize = 64;
/// Nothing here depends on mSIM's layers.
const LAYER: u32 = 0;

/// Lines ⇄ the core's words, for one connection.
#[derive(Debug)]
pub struct Dialogue {
    house: Arc<House>,
    /// Who has said IAM. In a box: a connection before that has none.
    me: Option<Box<Me>>,
    /// What is under way.
    errand: Option<Box<Errand>>,
}

/// Somebody who is here by this connection.
#[derive(Debug)]
struct Me {
    session: SessionId,
    no: AccountNo,
    directory: Directory,
    tables: Vec<Box<str>>,
    /// They have said BYE, which is heard at once; who just goes may be back in a moment.
    is_parting: bool,
    /// Of what was told to be gone last: what follows may be about that.
    gone: Option<Tag>,
    /// The last message of each chat that was told and has not arrived for sure.
    told: Vec<(Tag, MessageId)>,
    todo: VecDeque<Todo>,
    /// Files that come from the client and are not whole.
    incoming: Vec<Incoming>,
    /// Files on their way to the client, the first of them in slices as its socket takes them.
    outgoing: VecDeque<Outgoing>,
}

/// What is to be looked up before it can be told.
#[derive(Debug)]
enum Todo {
    /// I am in it now.
    Show { chat: Address },
    /// I am invited to it.
    Invite { by: AccountNo, chat: Address },
}

impl Dialogue {
    pub fn new(house: Arc<House>) -> Dialogue {
        Dialogue { house, me: None, errand: None }
    }

    fn go_on(&mut self, step: Step) -> Next {
        let Some((errand, what)) = step else { return Next::Listen };
        let who = self.me.as_ref().map(|me| me.session);
        self.errand = Some(Box::new(errand));
        Next::Ask(ask(who, what))
    }
}

impl wire::Dialogue for Dialogue {
    type Packet = Line;

    fn on_packet(&mut self, line: Line, out: &mut Vec<Line>) -> Next {
        let request = match Request::parse(&line.0) {
            Ok(request) => request,
            Err(fault) => {
                out.push(words::fault(fault));
                return Next::Listen;
            }
        };
        let step = match (request, self.me.as_deref_mut()) {
            (Request::Bye, me) => {
                if let Some(me) = me {
                    me.is_parting = true;
                }
                out.push(Line("BYE".into()));
                return Next::HangUp(Farewell::Done);
            }
            (Request::Toc, None) => None,
            (request @ (Request::NewUser { .. } | Request::Iam { .. }), None) => {
                errand::enter(request)
            }
            (Request::NewUser { .. } | Request::Iam { .. }, Some(_)) => {
                out.push(words::fault("you are somebody already, say BYE first"));
                None
            }
            (_, None) => {
                out.push(words::refused(Refusal::NoSession));
                None
            }
            (request, Some(me)) => errand::begin(request, me, out),
        };
        self.go_on(step)
    }

    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<Line>) -> Next {
        let Some(errand) = self.errand.take() else { return Next::Listen };
        if let (Errand::LoggingIn, Ok(Reply::LoggedIn { session, account, .. })) =
            (&*errand, &reply)
        {
            let me = Me {
                session: *session,
                no: *account,
                directory: self.house.config.tags.directory,
                tables: Vec::new(),
                is_parting: false,
                gone: None,
                told: Vec::new(),
                todo: VecDeque::new(),
                incoming: Vec::new(),
                outgoing: VecDeque::new(),
            };
            self.me = Some(Box::new(me));
        }
        let step = errand.hear(reply, self.me.as_deref_mut(), &self.house, out);
        self.go_on(step)
    }

    fn on_told(&mut self, _: &SessionId, _: u32, told: &Told<'_>, out: &mut Vec<Line>) {
        if let Some(me) = &mut self.me {
            told::tell(told, me, &self.house, out);
        }
    }

    fn on_seat(&mut self, _session: &SessionId) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        self.me.as_ref().is_none_or(|me| me.todo.is_empty() && me.outgoing.is_empty())
    }

    fn on_idle(&mut self, _out: &mut Vec<Line>) -> Next {
        let step = self.me.as_mut().and_then(|me| match me.todo.pop_front() {
            Some(todo) => Some(errand::look_up(todo)),
            None => files::fetch(me),
        });
        self.go_on(step)
    }

    fn on_close(&mut self, why: Farewell, out: &mut Vec<Line>) {
        match why {
            Farewell::GoingAway | Farewell::GivenUp => out.push(Line("BYE".into())),
            Farewell::Done | Farewell::Malformed | Farewell::TooLarge | Farewell::Unsupported => {}
        }
    }

    /// Whoever comes by IAM is here as long as the connection.
    fn last_words(&mut self) -> Option<Ask> {
        if let Some(me) = self.me.as_mut().filter(|me| me.is_parting) {
            me.is_parting = false;
            let command = Command::Appear { on: false, agent: "".into() };
            return Some(ask(Some(me.session), What::Command(command)));
        }
        let me = self.me.take()?;
        Some(ask(Some(me.session), What::Command(Command::LogOut)))
    }
}

fn ask(who: Option<SessionId>, what: What) -> Ask {
    let habit = Habit { fine: true, ..Habit::default() };
    Ask { who, session_required: who.is_some(), layer: LAYER, habit, what: Ok(what) }
}
