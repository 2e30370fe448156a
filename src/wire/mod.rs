//! The translators: bytes ⇄ packets ⇄ the core's words. Sans-io: nothing here touches a socket, a
//! clock or a task.
//!
//! A [`Codec`] cuts bytes into packets and back and knows no meaning; a [`Dialogue`] turns packets
//! into what is asked of the core and what the core says into packets, and knows no bytes. One
//! driver, `net::converse`, runs any pair of them over any stream.

pub mod buffer;
pub mod http;
pub mod json;
pub mod line;
mod lines;
pub mod msim2;
mod said;
pub mod tags;
pub mod tinode;
pub mod ws;

pub use buffer::Buffer;

use crate::config::Config;
use crate::domain::id::{Address, Login, MessageId, SessionId};
use crate::domain::words::{Bulletin, Command, FileKey, Query, Refusal, Reply, Start, Upload};
use std::sync::Arc;

/// Bytes ⇄ packets of one carrier.
pub trait Codec {
    type Packet;

    /// The next whole packet. `Ok(None)`: more bytes first, nothing taken. An error is final for
    /// the stream.
    fn decode(&mut self, input: &mut Buffer) -> Result<Option<Self::Packet>, Broken<Self::Packet>>;

    /// Appends a packet's bytes. Never fails: what a dialogue says is always sayable.
    fn encode(&mut self, packet: &Self::Packet, out: &mut Vec<u8>);

    /// Bytes that the framing itself wants sent after a `decode` (a WebSocket pong).
    fn chatter(&mut self, _out: &mut Vec<u8>) {}

    /// How many seconds apart [`Codec::on_beat`] is to be called; `None` for carriers without a
    /// heartbeat, which then cost no timer.
    fn beat_secs(&self) -> Option<u64> {
        None
    }

    /// The heartbeat: may send something; `false` means the peer is gone.
    fn on_beat(&mut self, _out: &mut Vec<u8>) -> bool {
        true
    }

    /// The last bytes of a stream that this side ends (a WebSocket close frame).
    fn farewell(&mut self, _why: Farewell, _out: &mut Vec<u8>) {}
}

/// Bytes that are no packet. The stream ends; what came before is answered first.
#[derive(Debug)]
pub struct Broken<P> {
    /// The packet that tells the peer, where the protocol has one.
    pub last: Option<P>,
    pub why: Farewell,
}

/// Why this side ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    Malformed,
    TooLarge,
    Unsupported,
    /// The peer asked for it.
    Done,
    /// It was waited for long enough, or there is no room to go on with it.
    GivenUp,
    /// The server stops.
    GoingAway,
}

/// Packets ⇄ the core's words, for one connection. At most one question is under way: `on_reply`
/// comes before the next `on_packet`. Events may come at any time between packets, and between the
/// questions of one packet.
pub trait Dialogue {
    type Packet;

    /// Said before anything is read.
    fn on_open(&mut self, _out: &mut Vec<Self::Packet>) {}

    fn on_packet(&mut self, packet: Self::Packet, out: &mut Vec<Self::Packet>) -> Next;

    /// Called once for each [`Next::Ask`]. A packet that takes several questions asks the next one
    /// here; nothing more is read until one of them is followed by something else.
    fn on_reply(&mut self, reply: Result<Reply, Refusal>, out: &mut Vec<Self::Packet>) -> Next;

    /// `layer`: that of the last packet that named the session.
    fn on_told(
        &mut self,
        session: &SessionId,
        layer: u32,
        told: &Told<'_>,
        out: &mut Vec<Self::Packet>,
    );

    /// `session` becomes this connection's. True: its only one, so that those before it are let go
    /// and collect their updates in their mailboxes.
    fn on_seat(&mut self, _session: &SessionId) -> bool {
        false
    }

    /// Said last, before the codec's farewell, when this side ends the stream.
    fn on_close(&mut self, _why: Farewell, _out: &mut Vec<Self::Packet>) {}

    /// What is asked when the conversation is over, whoever ended it, until this is `None`. Nobody
    /// hears the answers.
    fn last_words(&mut self) -> Option<Ask> {
        None
    }

    /// Whether it has nothing to say or to ask by itself.
    fn is_idle(&self) -> bool {
        true
    }

    /// Where it is not idle: called once everything said is on its way and no packet is there.
    fn on_idle(&mut self, _out: &mut Vec<Self::Packet>) -> Next {
        Next::Listen
    }
}

/// What the driver does after a packet, or after the answer to what it asked.
#[derive(Debug)]
pub enum Next {
    Listen,
    Ask(Ask),
    /// Send what is in `out`, then end the stream.
    HangUp(Farewell),
}

/// A question to the core.
#[derive(Debug)]
pub struct Ask {
    pub who: Option<SessionId>,
    /// Without a known session the answer is 401 before anything else is looked at; where not
    /// required, an unknown session is ignored.
    pub session_required: bool,
    /// The layer in force for this packet; becomes the session's layer.
    pub layer: u32,
    /// What the session is like from then on.
    pub habit: Habit,
    /// A refusal of the packet's own fields ranks behind those of session and rate, so it travels
    /// along and comes back as the answer.
    pub what: Result<What, Refusal>,
}

/// What sessions of a protocol are like, as far as the core must know. By default as those of mSIM
/// 2: whoever is connected is here, and hears what everybody understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habit {
    /// No session counts as its user being here before it says so, on each connection anew; see
    /// `Command::Appear`.
    pub hidden: bool,
    /// They hear what is not for all, too; see `Event::is_for_all`.
    pub fine: bool,
}

pub enum What {
    Command(Command),
    Query(Query),
    LogIn(Credentials),
    Register {
        credentials: Credentials,
        invite: Option<Box<str>>,
        /// The password is also kept sealed, so that it can answer challenges.
        sealed: bool,
        /// What the account begins with.
        start: Option<Box<Start>>,
    },
    /// Another password for the session's account; where `old` is given, it has to be right.
    ChangePassword {
        old: Option<Vec<u8>>,
        new: Vec<u8>,
    },
    /// Another login for the session's account; where `password` is given, it has to be right.
    ChangeLogin {
        password: Option<Vec<u8>>,
        login: Login,
    },
    /// A salt for [`What::LogInByChallenge`]: the same form at the same cost for every login,
    /// whether anybody has it or not. Answered with `Reply::Challenge`.
    Challenge {
        login: Option<Login>,
    },
    /// Logs in by the SHA-256 of salt and password. That the salt is one this connection was given,
    /// and still unused, is the dialogue's to see to; the core looks at its form only.
    LogInByChallenge {
        login: Option<Login>,
        salt: Box<str>,
        hash: [u8; 32],
    },
    File(FileAsk),
    /// Nothing is asked: the packet only names its session. Answered with `Reply::Done`.
    Attach,
    /// Ends the server in order: for an operator's session on this machine.
    Stop,
}

/// What is asked about the bytes of files.
pub enum FileAsk {
    /// Room for so many. Answered with `Reply::Upload`.
    Begin { size: u64 },
    /// The next of them. Answered with `Reply::Received`.
    Write { upload: Upload, bytes: Vec<u8> },
    /// Puts a whole file in its place. Answered with `Reply::Stored`; it stays if it is kept.
    Finish { upload: Upload, name: Box<str> },
    /// Some of those of a file that a message names. Answered with `Reply::Bytes`.
    Read { key: FileKey, offset: u64 },
}

impl std::fmt::Debug for FileAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileAsk::Begin { size } => write!(f, "Begin({size})"),
            FileAsk::Write { bytes, .. } => write!(f, "Write({} bytes)", bytes.len()),
            FileAsk::Finish { name, .. } => write!(f, "Finish({name:?})"),
            FileAsk::Read { key, offset } => write!(f, "Read({key:?}, {offset})"),
        }
    }
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Command(command) => write!(f, "Command({command:?})"),
            What::Query(query) => write!(f, "Query({query:?})"),
            What::LogIn(credentials) => write!(f, "LogIn({credentials:?})"),
            What::Register { credentials, .. } => write!(f, "Register({credentials:?}, ..)"),
            What::ChangePassword { .. } => f.write_str("ChangePassword(..)"),
            What::ChangeLogin { login, .. } => write!(f, "ChangeLogin({login:?}, ..)"),
            What::Challenge { login } => write!(f, "Challenge({login:?})"),
            // With the salt, passwords could be tried against the hash.
            What::LogInByChallenge { login, .. } => write!(f, "LogInByChallenge({login:?}, ..)"),
            What::File(ask) => write!(f, "File({ask:?})"),
            What::Attach => f.write_str("Attach"),
            What::Stop => f.write_str("Stop"),
        }
    }
}

/// A name and a password that nobody has checked yet.
pub struct Credentials {
    /// `None` when no account of this server can have the name: refused like a wrong password, in
    /// the same time.
    pub login: Option<Login>,
    pub password: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({:?}, ..)", self.login)
    }
}

/// What a session hears unasked.
#[derive(Debug)]
pub enum Told<'a> {
    Event(&'a Bulletin),
    /// Updates were lost: repair from history, up to `last`.
    Resync {
        last: MessageId,
    },
}

/// What every dialogue may know of the server it speaks for.
#[derive(Debug)]
pub struct House {
    /// The host part of every address here, lower case.
    pub name: Box<str>,
    pub config: Arc<Config>,
}

impl House {
    /// The login in `login` or `login@servername`; `None` for what cannot be an account here (mSIM
    /// 2, decision 37).
    pub fn own_login(&self, text: &str) -> Option<Login> {
        let address = Address::parse(text, &self.name).ok()?;
        let is_ours = address.is_local(&self.name) && address.chat.is_none();
        is_ours.then_some(address.login)
    }
}
