//! What the server knows and the rules it keeps. Pure: no clock, no randomness, no I/O, no serde,
//! no async; time and chance come in a [`Context`].
//!
//! A rule refuses before it writes, so that a refusal leaves the shared transaction clean. Given
//! the same state and the same commands it does the same thing: model tests, crash tests and the
//! commands that work on a closed database all rest on that.
//!
//! Who hears of a change is settled here, in [`Outcome::news`]; who is answered follows from who
//! asked. [`apply`] is for what changes something or must see marks that are not on the disk yet;
//! [`read()`] answers the rest from a snapshot.

pub mod access;
pub mod calendar;
pub mod id;
pub mod name;
pub mod nouns;
pub mod presence;
pub mod words;

mod account;
mod chat;
mod contact;
mod edit;
mod eyes;
mod file;
mod group;
mod invite;
mod mark;
mod member;
mod merge;
mod message;
mod moving;
mod notice;
mod people;
mod profile;
mod read;
mod rename;
mod request;
mod retention;
mod roster;
mod search;
mod secret;
mod session;
mod spans;
mod subscribe;
mod subscription;
mod table;
#[cfg(test)]
mod testing;

use crate::domain::id::Timestamp;
use crate::domain::session::Caller;
use crate::domain::words::{Actor, Command, Outcome, Refusal, Reply};
use crate::limits::Limits;
use crate::store::{StoreError, Tx};

pub use crate::domain::presence::{
    NobodyHere, Presence, Scene, announce, stop_typing, tell_agent, tell_awake, tell_watching,
};
pub use crate::domain::read::{read, search};
pub use crate::domain::retention::{days_kept, expire};
pub use crate::domain::session::session_is_live;

/// Everything a rule may know beside the state.
#[derive(Debug)]
pub struct Context<'a> {
    pub now: Timestamp,
    /// The time that it is at least: what ends by itself ends by this one, because a clock that
    /// leapt is not believed at once.
    pub sure: Timestamp,
    /// 32 random bytes, fresh for each command.
    pub chance: [u8; 32],
    /// The host part of this server's addresses, lower case.
    pub home: &'a str,
    pub limits: &'a Limits,
    pub registration: Registration,
    /// Whether messages may leave for other servers.
    pub federated: bool,
    pub here: &'a dyn Presence,
}

impl Context<'_> {
    fn scene(&self) -> Scene<'_> {
        Scene { now: self.now, home: self.home, here: self.here }
    }
}

/// Who may register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    #[default]
    Open,
    Invite,
    Closed,
}

/// Does one command. An error is the disk's; everything else is in the outcome.
///
/// A session that has ended since the command was sent is refused here too: the row is looked at
/// in the transaction that does the work.
pub fn apply(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    actor: Actor,
    command: Command,
) -> Result<Outcome, StoreError> {
    let caller = Caller::of(tx, context, actor)?;
    let mut outcome = Outcome::of(Ok(Reply::Done));
    match decide(tx, context, actor, &caller, command, &mut outcome) {
        Ok(reply) => outcome.reply = Ok(reply),
        Err(Fault::Store(error)) => return Err(error),
        Err(Fault::Refused(refusal)) => return Ok(Outcome::of(Err(refusal))),
    }
    if let Ok(me) = &caller
        && !outcome.ended.contains(&me.key)
    {
        // Costs no write of its own more often than once a minute; see the store.
        tx.touch_last_seen(me.account, context.now)?;
    }
    Ok(outcome)
}

fn decide(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    actor: Actor,
    caller: &Result<Caller, Refusal>,
    command: Command,
    outcome: &mut Outcome,
) -> Result<Reply, Fault> {
    let me = || caller.as_ref().map_err(|refusal| Fault::Refused(*refusal));
    let Outcome { news, ended, .. } = outcome;
    match command {
        Command::Register { login, verifier, invite, envelope, start } => {
            let code = invite.as_deref();
            account::register(tx, context, (login, verifier), code, (envelope, start), news)
        }
        Command::ChangePassword { verifier } => account::change_password(tx, me()?, verifier),
        Command::ChangeLogin { login } => rename::change_login(tx, context, me()?, login, news),
        Command::Challenge => session::challenge(tx, context),
        Command::LogIn(proof) => session::log_in(tx, context, &proof, ended),
        Command::LogOut => session::log_out(tx, me()?, ended),
        Command::AddContact(mut draft) => {
            draft.who = rename::present(tx, draft.who)?;
            contact::add(tx, context, me()?, draft, news)
        }
        Command::ChangeContact(mut draft) => {
            draft.who = rename::present(tx, draft.who)?;
            contact::change(tx, context, me()?, draft, news)
        }
        Command::RemoveContact { who } => {
            let who = rename::present(tx, who)?;
            contact::remove(tx, me()?, &who, news)
        }
        Command::Chats { before, count } => chat::chats(tx, me()?, before, count),
        Command::Unread { count } => chat::unread(tx, me()?, count),
        Command::MaySend { chat } => file::may_send(tx, me()?, &chat),
        Command::SendFile { chat, file } => file::send_file(tx, context, me()?, &chat, file, news),
        Command::Send(draft) => message::send(tx, context, me()?, draft, news),
        Command::MarkDelivered { chat, id } => {
            mark::move_to(tx, me()?, mark::Reach::Delivered, chat.as_ref(), id, news)
        }
        Command::MarkRead { chat, id } => {
            mark::move_to(tx, me()?, mark::Reach::Read, chat.as_ref(), id, news)
        }
        Command::MarkBoth { chat, delivered, read } => {
            mark::move_both(tx, me()?, &chat, delivered, read, news)
        }
        Command::RequestContact { who, note } => {
            let who = rename::present(tx, who)?;
            request::ask(tx, context, me()?, &who, &note, news)
        }
        Command::AnswerContact { who, accept } => {
            let who = rename::present(tx, who)?;
            request::answer(tx, context, me()?, &who, accept, news)
        }
        Command::Block { who, on } => {
            let who = rename::present(tx, who)?;
            request::block(tx, context, me()?, &who, on, news)
        }
        Command::UpdateProfile(draft) => profile::update(tx, context, me()?, *draft, news),
        Command::Keep { chat, card } => profile::keep(tx, me()?, chat.as_ref(), &card),
        Command::Typing { chat, on } => presence::typing(tx, me()?, &chat, on, news),
        Command::MarkAt { chat, delivered, read } => {
            mark::move_at(tx, me()?, &chat, delivered, read, news)
        }
        Command::Edit { chat, id, text, spans } => {
            edit::edit(tx, context, me()?, (&chat, id), (text, spans), news)
        }
        Command::Delete { chat, id, whom } => {
            edit::delete(tx, context, me()?, (&chat, id), whom, news)
        }
        Command::Clear { chat, whom, till } => {
            edit::clear(tx, context, me()?, &chat, (whom, till), news)
        }
        Command::CreateChat(draft) => group::create(tx, context, me()?, draft, news),
        Command::ChangeChat { chat, change } => {
            group::change(tx, context, me()?, &chat, change, news)
        }
        Command::RemoveChat { chat, is_space } => group::remove(tx, me()?, &chat, is_space, news),
        Command::Members { chat, after, count } => {
            member::members(tx, me()?, &chat, after.as_ref(), count)
        }
        Command::Invite { chat, who, access, note } => {
            member::invite(tx, context, me()?, &chat, &who, (access, &note), news)
        }
        Command::Subscribe { chat, want, note } => {
            subscribe::subscribe(tx, context, me()?, &chat, (want, &note), news)
        }
        Command::Subscriptions { after, count } => {
            subscription::all(tx, context, me()?, after, count)
        }
        Command::Subscription { chat } => subscription::one(tx, context, me()?, &chat),
        Command::Subscribers { chat, after, count } => {
            subscription::subscribers(tx, context, me()?, &chat, after, count)
        }
        Command::Watch { chat, on: _ } => presence::watch(tx, me()?, &chat),
        // The engine alone knows who is here, and who follows.
        Command::Appear { .. } | Command::Follow { .. } => me().map(|_| Reply::Done),
        Command::Relay { table, text } => table::relay(context, me()?, table, text, news),
        Command::Join { chat } => member::join(tx, context, me()?, &chat, news),
        Command::Leave { chat } => member::leave(tx, context, me()?, &chat, news),
        Command::Kick { chat, who, ban } => {
            member::kick(tx, context, me()?, &chat, &who, ban, news)
        }
        Command::SetAccess { chat, who, access } => {
            member::set_access(tx, context, me()?, &chat, who.as_ref(), access, news)
        }
        Command::Newest => chat::newest(tx, me()?),
        Command::Operator(order) => match actor {
            Actor::Operator => account::obey(tx, context, order, ended, news),
            Actor::Nobody | Actor::Session { .. } => Err(Fault::Refused(Refusal::NotAllowed)),
        },
    }
}

/// Why a rule stops: lets `?` serve for both.
#[derive(Debug)]
enum Fault {
    Refused(Refusal),
    Store(StoreError),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}
