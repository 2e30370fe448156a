//! The sample users of Tinode 0.5's own documentation, with two groups, so that its demo pages of
//! that time have somebody to log in as. For trying things out; everybody knows the passwords.

use std::net::{IpAddr, Ipv4Addr};

use crate::config::Config;
use crate::domain::access::Access;
use crate::domain::id::{Address, Login, SessionId};
use crate::domain::words::{ChatDraft, Command, Order, ProfileDraft, Refusal, Reply};
use crate::engine::{Exchange, password};
use crate::store::Look as _;
use crate::wire::{Ask, Credentials, Habit, What};

/// Who they are; the password of each is `<login>123`.
const USERS: [&str; 6] = ["alice", "bob", "carol", "dave", "eve", "frank"];
/// What the groups are called, and how many of `USERS` are in them. The first one owns both.
const GROUPS: [(&str, usize); 2] = [("Alice, Bob and Carol", 3), ("Everybody", 6)];

/// Fills an empty database. A sentence where it is not empty, or where something is refused.
pub(crate) fn fill(exchange: &Exchange, config: &Config) -> Result<(), String> {
    let accounts = exchange.reader().read(|look| look.accounts()).map_err(|e| e.to_string())?;
    if !accounts.is_empty() {
        return Err(
            "the sample data goes into an empty database only, and this one has accounts; \
                    leave --sample-data out, or name another directory with --data"
                .into(),
        );
    }
    let sampling = Sampling { exchange, config };
    sampling.fill().map_err(|refusal| format!("the sample data could not be written: {refusal:?}"))
}

struct Sampling<'a> {
    exchange: &'a Exchange,
    config: &'a Config,
}

impl Sampling<'_> {
    fn fill(&self) -> Result<(), Refusal> {
        let mut sessions = Vec::new();
        for login in USERS {
            sessions.push(self.user(login)?);
        }
        for (name, count) in GROUPS {
            self.group(name, sessions.get(..count).unwrap_or_default())?;
        }
        for session in sessions {
            self.say(session, Command::LogOut)?;
        }
        Ok(())
    }

    /// One of them, with a session.
    fn user(&self, name: &str) -> Result<SessionId, Refusal> {
        let login = || Login::parse(name).map_err(|_| Refusal::BadLogin);
        let password = format!("{name}123").into_bytes();
        let hashed = password::hash(&password, &self.config.password);
        let verifier = hashed.ok_or(Refusal::Unavailable)?;
        self.exchange.order(Order::AddUser { login: login()?, verifier })?;
        let credentials = Credentials { login: Some(login()?), password };
        let Reply::LoggedIn { session, .. } = self.ask(None, What::LogIn(credentials))? else {
            return Err(Refusal::Unavailable);
        };
        let mut shown = name.to_owned();
        shown[..1].make_ascii_uppercase();
        let draft = ProfileDraft {
            name: Some(shown.as_str().into()),
            card: Some(format!(r#"{{"fn":"{shown}"}}"#).into()),
            access: Some(Access::GROUP),
            ..ProfileDraft::default()
        };
        self.say(session, Command::UpdateProfile(Box::new(draft)))?;
        Ok(session)
    }

    fn group(&self, name: &str, members: &[SessionId]) -> Result<(), Refusal> {
        let Some((owner, others)) = members.split_first() else { return Ok(()) };
        let draft = ChatDraft {
            is_channel: false,
            is_space: false,
            name: name.into(),
            about: "".into(),
            login: None,
            space: None,
            open: Some(true),
            default_access: Some(Access::GROUP),
            card: format!(r#"{{"fn":"{name}"}}"#).into(),
            retention: 0,
        };
        let Reply::Chat(info) = self.say(*owner, Command::CreateChat(draft))? else {
            return Err(Refusal::Unavailable);
        };
        let chat = Address::parse(&info.chat, &self.config.server_name);
        let chat = chat.map_err(|_| Refusal::BadField)?;
        for member in others {
            self.say(*member, Command::Join { chat: chat.clone() })?;
        }
        Ok(())
    }

    fn say(&self, session: SessionId, command: Command) -> Result<Reply, Refusal> {
        self.ask(Some(session), What::Command(command))
    }

    fn ask(&self, who: Option<SessionId>, what: What) -> Result<Reply, Refusal> {
        let session_required = who.is_some();
        let ask = Ask { who, session_required, layer: 0, habit: Habit::default(), what: Ok(what) };
        let asking = self.exchange.ask(IpAddr::V4(Ipv4Addr::LOCALHOST), ask);
        smol::block_on(asking).reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;
    use crate::store::Place;

    fn config() -> Config {
        let mut config = Config::default();
        let listen = &mut config.listen;
        (listen.tcp, listen.http, listen.line) = ("".into(), "".into(), "".into());
        (listen.tags, listen.files) = ("".into(), "".into());
        config.admin.socket = "off".into();
        (config.password.memory_kib, config.password.passes) = (64, 1);
        config
    }

    #[test]
    fn the_documented_users_are_there_once() {
        let server = Server::start_filled(config(), Place::Memory).unwrap();
        let exchange = server.exchange();
        let sampling = Sampling { exchange, config: &config() };
        let alice = Credentials {
            login: Some(Login::parse("alice").unwrap()),
            password: b"alice123".to_vec(),
        };
        let Ok(Reply::LoggedIn { session, .. }) = sampling.ask(None, What::LogIn(alice)) else {
            panic!("alice cannot log in")
        };
        let list = Command::Subscriptions { after: None, count: 10 };
        let Ok(Reply::Subscriptions { subscriptions, .. }) = sampling.say(session, list) else {
            panic!("alice has no list")
        };
        let names: Vec<_> = subscriptions.iter().map(|view| &*view.face.name).collect();
        assert_eq!(names, GROUPS.map(|(name, _)| name));
        let again = fill(exchange, &config()).unwrap_err();
        assert!(again.contains("empty database"), "{again}");
        assert!(server.stop());
    }
}
