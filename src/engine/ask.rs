//! One command of a turn, and what has to be known of commands beside their rules: which of them
//! say that somebody types, which say something of their session alone, which need room on the disk,
//! which need random bytes.

use std::mem;
use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};

use crate::domain::id::{AccountNo, Address, SessionKey};
use crate::domain::words::{Actor, Command, Order, Outcome, Refusal, Reply};
use crate::domain::{self, Context};
use crate::engine::Core;
use crate::engine::clock::Reckoning;
use crate::engine::duties::USE_NOTED;
use crate::engine::life::Typing;
use crate::engine::turn::Input;
use crate::limits::{AGENT_BYTES_MAX, TABLE_NAME_BYTES_MAX};
use crate::store::{Look, StoreError, Tx};

/// What the commands of one turn have in common.
pub(super) struct Turn<'t> {
    pub(super) core: &'t Core,
    pub(super) context: &'t Context<'t>,
    /// On the disk.
    pub(super) room: bool,
    pub(super) started: Instant,
}

/// What a command says of its session, which the engine alone keeps: it counts once the turn is
/// durable and the rules had nothing against it.
#[derive(Debug)]
pub(super) enum Aside {
    Watch { on: bool },
    Appear { on: bool, agent: Box<str> },
}

impl Aside {
    /// Most commands say nothing of the kind.
    pub(super) fn of(command: &mut Command) -> Option<Aside> {
        match command {
            Command::Watch { chat: _, on } => Some(Aside::Watch { on: *on }),
            Command::Appear { on, agent } => {
                Some(Aside::Appear { on: *on, agent: cut(mem::take(agent)) })
            }
            _ => None,
        }
    }
}

/// A client's name as far as it is kept.
fn cut(agent: Box<str>) -> Box<str> {
    if agent.len() <= AGENT_BYTES_MAX {
        return agent;
    }
    let mut end = AGENT_BYTES_MAX;
    while !agent.is_char_boundary(end) {
        end -= 1;
    }
    agent.get(..end).unwrap_or_default().into()
}

impl Turn<'_> {
    pub(super) fn ask(
        &self,
        tx: &mut Tx<'_>,
        typing: &mut Typing,
        actor: Actor,
        command: &mut Command,
    ) -> Result<Outcome, StoreError> {
        let account = match actor {
            Actor::Session { key, .. } if self.core.seat_of(&key).is_none() => {
                // It was ended while the command waited.
                return Ok(Outcome::of(Err(Refusal::UnknownSession)));
            }
            Actor::Session { account, .. } => Some(account),
            Actor::Nobody | Actor::Operator => None,
        };
        if !self.room && stores(command) {
            return Ok(Outcome::of(Err(Refusal::DiskFull)));
        }
        let company = &self.core.here.company;
        let mut follows = None;
        if let Actor::Session { account, key } = actor {
            match command {
                Command::Follow { on } => follows = Some((key, account, *on)),
                Command::Relay { table, .. } if table.len() > TABLE_NAME_BYTES_MAX => {}
                Command::Relay { table, .. } if !company.sit(key, account, table) => {
                    return Ok(Outcome::of(Err(Refusal::TooManyChats)));
                }
                _ => {}
            }
        }
        if matches!(command, Command::Typing { on: true, .. }) && !typing.has_room() {
            return Ok(Outcome::of(Ok(Reply::Done)));
        }
        let typed = account.and_then(|who| self.typed(typing, who, command));
        // `Newest` stands in for the command that moves out; it is never looked at again.
        let command = mem::replace(command, Command::Newest);
        let mut outcome = spare(domain::apply(tx, self.context, actor, command))?;
        if let Some((key, account, on)) = follows.filter(|_| outcome.reply.is_ok()) {
            company.follow(key, account, on);
        }
        if let Some(typed) = typed.filter(|_| outcome.reply.is_ok()) {
            match typed {
                Typed::Begun(who, chat) => typing.begin(who, chat, self.started),
                Typed::Ended(who, chat) => typing.end(who, &chat),
                Typed::Sent(who, chat) => {
                    typing.end(who, &chat);
                    let ended = domain::stop_typing(tx, who, &chat)?;
                    outcome.news.splice(0..0, ended);
                }
            }
        }
        Ok(outcome)
    }

    /// What a command says of somebody's typing. Most say nothing, and cost nothing here.
    fn typed(&self, typing: &Typing, who: AccountNo, command: &Command) -> Option<Typed> {
        match command {
            Command::Typing { chat, on: true } => Some(Typed::Begun(who, chat.clone())),
            Command::Typing { chat, on: false } => Some(Typed::Ended(who, chat.clone())),
            Command::Send(draft) if typing.is_typing(who, &draft.chat) => {
                Some(Typed::Sent(who, draft.chat.clone()))
            }
            _ => None,
        }
    }
}

enum Typed {
    Begun(AccountNo, Address),
    Ended(AccountNo, Address),
    /// What was being typed.
    Sent(AccountNo, Address),
}

/// One unreadable record must not cost the others of the turn their commands.
fn spare(outcome: Result<Outcome, StoreError>) -> Result<Outcome, StoreError> {
    match outcome {
        Err(StoreError::Damaged(what)) => {
            log::error!("a command was refused because of a damaged record: {what}");
            Ok(Outcome::of(Err(Refusal::Unavailable)))
        }
        outcome => outcome,
    }
}

/// A session's account, as it comes (back) to life.
pub(super) fn join(
    core: &Core,
    tx: &mut Tx<'_>,
    key: SessionKey,
    times: Reckoning,
    room: bool,
) -> Result<Result<AccountNo, Refusal>, StoreError> {
    let config = core.config();
    let Some(mut session) = tx.session(key)? else { return Ok(Err(Refusal::UnknownSession)) };
    if !domain::session_is_live(&session, times.sure, &config.limits) {
        return Ok(Err(Refusal::UnknownSession));
    }
    // A use that lies ahead was noted by a clock that has been set back since.
    if room && times.now.0.abs_diff(session.used.0) > USE_NOTED {
        session.used = times.now;
        tx.put_session(key, &session)?;
    }
    Ok(Ok(session.account))
}

/// Random bytes for the commands that make a secret; the others are spared the system call.
pub(super) fn chance(random: &SystemRandom, command: &Command) -> [u8; 32] {
    let mut bytes = [0; 32];
    if let Command::Register { .. }
    | Command::Challenge
    | Command::LogIn(_)
    | Command::CreateChat(_)
    | Command::Operator(_) = command
    {
        // The system's randomness does not fail once the process runs (getrandom(2)).
        random.fill(&mut bytes).expect("the system has randomness");
    }
    bytes
}

/// Whether a command needs room on the disk. Marks do, but so little and so late that refusing
/// them would only hide from people what is new.
fn stores(command: &Command) -> bool {
    match command {
        Command::Register { .. }
        | Command::LogIn(_)
        | Command::AddContact(_)
        | Command::ChangeContact(_)
        | Command::RequestContact { .. }
        | Command::AnswerContact { .. }
        | Command::UpdateProfile(_)
        | Command::ChangePassword { .. }
        | Command::ChangeLogin { .. }
        | Command::Keep { .. }
        | Command::Subscribe { .. }
        | Command::Send(_)
        | Command::SendFile { .. }
        | Command::Edit { .. }
        | Command::CreateChat(_)
        | Command::ChangeChat { .. }
        | Command::Invite { .. }
        | Command::Join { .. }
        | Command::SetAccess { .. } => true,
        // Little is written for what makes room, or keeps somebody out.
        Command::Block { .. }
        | Command::Delete { .. }
        | Command::Clear { .. }
        | Command::RemoveChat { .. }
        | Command::Leave { .. }
        | Command::Kick { .. } => false,
        // Its number is written once in many thousand times.
        Command::Challenge
        | Command::LogOut
        | Command::RemoveContact { .. }
        | Command::Chats { .. }
        | Command::Unread { .. }
        | Command::MarkDelivered { .. }
        | Command::MarkRead { .. }
        | Command::MarkBoth { .. }
        | Command::MarkAt { .. }
        | Command::Subscriptions { .. }
        | Command::Subscription { .. }
        | Command::Subscribers { .. }
        | Command::Watch { .. }
        | Command::Appear { .. }
        | Command::Follow { .. }
        | Command::MaySend { .. }
        | Command::Relay { .. }
        | Command::Typing { .. }
        | Command::Members { .. }
        | Command::Newest => false,
        Command::Operator(order) => match order {
            Order::AddUser { .. }
            | Order::AddAppPassword { .. }
            | Order::Invite { .. }
            | Order::Import(_) => true,
            Order::Users
            | Order::AppPasswords { .. }
            | Order::RevokeAppPassword { .. }
            | Order::SetPassword { .. }
            | Order::DisableUser { .. }
            | Order::EnableUser { .. }
            | Order::RemoveUser { .. } => false,
        },
    }
}

/// About how many bytes of a commit a command is.
pub(super) fn weight(input: &Input) -> usize {
    match input {
        Input::Ask { command: Command::Send(draft), .. } => draft.text.len() + 64,
        Input::Ask { command: Command::Edit { text, .. }, .. } => text.len() + 64,
        Input::Ask { .. } | Input::Join { .. } => 64,
    }
}
