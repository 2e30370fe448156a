//! Runs the lines of one talk, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::bytes::bytes;
use super::operator;
use super::peer::{Ask, Doors, Peer, Wire};
use super::stage::Stage;
use super::term::{Names, Term, fill};
use super::tinode::is_tinode;
use super::words::{Options, account_of, by_hand, carrier_of, designator, device_of};
use crate::client::tcp::{Tcp, User, password_of};
use crate::client::{hex, ws};

#[derive(Debug)]
pub struct Runner {
    pub(super) stage: Stage,
    running: bool,
    loose: bool,
    /// What packets have where they name none.
    pub(super) layer: u32,
    pub(super) names: Names,
    pub(super) registered: BTreeSet<String>,
    /// By device: its session.
    pub(super) sessions: BTreeMap<String, String>,
    /// By designator (`alice:tcp/b`).
    pub(super) peers: BTreeMap<String, Peer>,
    /// By account: sessions of the runner's own.
    probes: BTreeMap<String, User>,
    pub(super) probed: u32,
}

type Lines<'a> = &'a [(usize, String)];

impl Runner {
    pub fn run(lines: Lines<'_>) -> Result<(), String> {
        let on_disk = lines.iter().any(|(_, line)| line == "disk");
        let mut runner = Runner {
            stage: Stage::new(on_disk),
            running: false,
            loose: lines.iter().any(|(_, line)| line == "loose"),
            layer: 3,
            names: Names::new(),
            registered: BTreeSet::new(),
            sessions: BTreeMap::new(),
            peers: BTreeMap::new(),
            probes: BTreeMap::new(),
            probed: 0,
        };
        runner.lines(lines)?;
        runner.leave().map_err(|e| format!("end: {e}"))
    }

    fn lines(&mut self, lines: Lines<'_>) -> Result<(), String> {
        let mut at = 0;
        while let Some((number, line)) = lines.get(at) {
            at += 1;
            if let Some(rest) = line.strip_prefix("repeat ") {
                let end = at + block(&lines[at..]).ok_or(format!("{number}: no end"))?;
                self.repeat(rest, &lines[at..end])?;
                at = end + 1;
                continue;
            }
            self.line(line).map_err(|e| format!("{number}: {line}\n    {e}"))?;
        }
        Ok(())
    }

    fn repeat(&mut self, rest: &str, lines: Lines<'_>) -> Result<(), String> {
        let (count, name) = rest.split_once(' ').unwrap_or((rest, "i"));
        let count: u32 = count.parse().map_err(|_| format!("not a count: {count:?}"))?;
        for i in 1..=count {
            self.names.insert(name.into(), i.into());
            self.lines(lines).map_err(|e| format!("{e} (${name} = {i})"))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some((designator, verb)) = designator(line) {
            self.start()?;
            return self.peer_line(designator, verb);
        }
        match word {
            "disk" | "loose" => Ok(()),
            "layer" => {
                self.layer = rest.parse().map_err(|_| "layer NUMBER")?;
                Ok(())
            }
            "config" => {
                let (key, value) = rest.split_once('=').ok_or("config KEY = VALUE")?;
                self.stage.set(key.trim(), value.trim());
                Ok(())
            }
            "account" => {
                self.start()?;
                rest.split(' ').try_for_each(|login| self.register(login))
            }
            "enter" => {
                self.start()?;
                rest.split(' ').try_for_each(|designator| self.enter(designator))
            }
            "tinode" => {
                self.start()?;
                self.enter_tinode(rest)
            }
            "p2p" => self.name_chat(rest),
            // Connections stay, and hear its last words.
            "stop" => self.stage.stop(),
            "restart" | "crash" => self.restart(word == "crash"),
            "let" => {
                let (name, term) = rest.split_once('=').ok_or("let NAME = JSON")?;
                let value = Term::parse(term)?.0.build(&self.names)?;
                self.names.insert(name.trim().into(), value);
                Ok(())
            }
            "sha256" => {
                let (name, text) = rest.split_once(" = ").ok_or("sha256 NAME = TEXT")?;
                let text = fill(text, &self.names)?;
                let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
                self.names.insert(name.into(), hex(hash.as_ref()).into());
                Ok(())
            }
            "rising" => {
                let number = |name| {
                    fill(&format!("${{{name}}}"), &self.names)?
                        .parse::<u64>()
                        .map_err(|e| e.to_string())
                };
                let numbers = rest.split(' ').map(number).collect::<Result<Vec<_>, _>>()?;
                let rise = numbers.is_sorted_by(|a, b| a < b);
                if rise { Ok(()) } else { Err(format!("{numbers:?}")) }
            }
            "forget" => {
                rest.split(' ').for_each(|name| drop(self.names.remove(name)));
                Ok(())
            }
            "pass" => {
                let millis = rest.parse().map_err(|_| "pass MILLISECONDS")?;
                std::thread::sleep(Duration::from_millis(millis));
                Ok(())
            }
            "user" => {
                let (verb, login) = rest.split_once(' ').ok_or("user VERB LOGIN")?;
                operator::user(&self.stage, verb, login)
            }
            "app-password" => match rest.split(' ').collect::<Vec<_>>()[..] {
                [login, "revoke", label] => operator::revoke(&self.stage, login, label),
                [login, label, name] => {
                    let password = operator::app_password(&self.stage, login, label)?;
                    self.names.insert(name.into(), password.into());
                    Ok(())
                }
                _ => Err("app-password LOGIN LABEL NAME, or LOGIN revoke LABEL".into()),
            },
            "invite" => {
                let (uses, name) = rest.split_once(' ').ok_or("invite USES NAME")?;
                let code = operator::invite(&self.stage, uses)?;
                self.names.insert(name.into(), code.into());
                Ok(())
            }
            _ => Err("a line that means nothing".into()),
        }
    }

    fn start(&mut self) -> Result<(), String> {
        if !self.running {
            self.stage.start()?;
            self.running = true;
        }
        Ok(())
    }

    fn restart(&mut self, crash: bool) -> Result<(), String> {
        self.peers.clear();
        self.probes.clear();
        if crash {
            self.stage.crash()?;
        } else {
            self.stage.stop()?;
        }
        self.stage.start()
    }

    /// The doors of the running server; those it does not have are nowhere.
    fn doors(&self) -> Doors {
        let stage = &self.stage;
        Doors { tcp: stage.tcp(), http: stage.http(), line: stage.line(), tags: stage.tags() }
    }

    fn register(&mut self, login: &str) -> Result<(), String> {
        if !self.registered.insert(login.into()) {
            return Ok(());
        }
        let body = serde_json::json!({ "login": login, "password": password_of(login) });
        let mut tcp = Tcp::connect(self.stage.tcp())?;
        tcp.send(3, None, "REGISTER-PLAIN", body.to_string().as_bytes())?;
        let answer = tcp.receive()?.ok_or("the stream ended instead of an answer")?;
        self.names.insert(format!("password_{login}"), password_of(login).into());
        if answer.status == 200 { Ok(()) } else { Err(format!("{login} is refused: {answer:?}")) }
    }

    fn enter(&mut self, designator: &str) -> Result<(), String> {
        let account = account_of(designator);
        match carrier_of(designator) {
            "nc" => return self.enter_by_hand(designator, &account),
            "tags" => return self.enter_by_number(designator, &account),
            _ => {}
        }
        self.register(&account)?;
        let body = format!(r#"{{"login":"{account}","password":"{}"}}"#, password_of(&account));
        self.peer_line(designator, &format!("> session=none AUTH-PLAIN {body}"))?;
        self.peer_line(designator, r#"< 200 {"sessid":string}"#)
    }

    /// Registers where needed, logs in by challenge.
    fn enter_by_hand(&mut self, designator: &str, account: &str) -> Result<(), String> {
        let password = format!("secret of {account}");
        if self.registered.insert(account.into()) {
            self.names.insert(format!("password_{account}"), password_of(account).into());
            let line = format!("> REGISTER login={account} password=\"{password}\"");
            self.peer_line(designator, &line)?;
            self.peer_line(designator, "<! REGISTER-OK")?;
        }
        self.peer_line(designator, &format!("> CONNECT login={account}"))?;
        self.names.remove("salt");
        self.peer_line(designator, "<! CONNECT-ACK salt=$salt")?;
        self.line(&format!("sha256 hash = ${{salt}}{password}"))?;
        self.peer_line(designator, "> CONNECT-CONTINUE hash=${hash}")?;
        self.peer_line(designator, "<! CONNECT-OK")
    }

    /// Registers where needed, else logs in. What is shown to whoever comes is passed over; `$alice`
    /// is the number then.
    fn enter_by_number(&mut self, designator: &str, account: &str) -> Result<(), String> {
        let is_new = self.registered.insert(account.into());
        let word = if is_new { "NEW USR" } else { "IAM" };
        self.peer_line(designator, &format!("> {word} {account} secret-of-{account}"))?;
        self.peer_line(designator, &format!("<! TAG 0 ${account}"))?;
        self.peer(designator, self.layer, None)?.settle_silently()
    }

    pub(super) fn peer_line(&mut self, designator: &str, verb: &str) -> Result<(), String> {
        if let Some(rest) = verb.strip_prefix('>') {
            return self.send(designator, rest.trim());
        }
        if let Some(rest) = verb.strip_prefix("<!") {
            return self.expect(designator, rest.trim(), true);
        }
        if let Some(rest) = verb.strip_prefix('<') {
            return self.expect(designator, rest.trim(), false);
        }
        let verb = verb.trim();
        if is_tinode(designator) && verb.starts_with("connect") {
            return self.connect_tinode(designator, &verb["connect".len()..]);
        }
        let (word, rest) = verb.split_once(' ').unwrap_or((verb, ""));
        let options = Options::of(rest, &self.names)?;
        let layer = options.number("layer")?.unwrap_or(self.layer);
        let session = self.session(designator, options.text("session"));
        match word {
            "connect" => {
                self.peers.remove(designator);
                self.peer(designator, layer, session.as_deref()).map(|_| ())
            }
            "raw>" => {
                let bytes = bytes(rest, &self.names)?;
                let http = self.stage.http();
                self.peer(designator, self.layer, session.as_deref())?.send_raw(&bytes, http)
            }
            "frame>" => {
                let opcode = options.number("opcode")?.unwrap_or(1) as u8;
                let fin = options.number("fin")?.unwrap_or(1) == 1;
                let mask = options.number("mask")?.unwrap_or(1) == 1;
                let bytes = ws::frame(fin, opcode, mask, &bytes(options.rest, &self.names)?);
                let http = self.stage.http();
                self.peer(designator, self.layer, session.as_deref())?.send_raw(&bytes, http)
            }
            "ping" => {
                let bytes = ws::frame(true, 9, true, &bytes(rest, &self.names)?);
                let http = self.stage.http();
                self.peer(designator, self.layer, session.as_deref())?.send_raw(&bytes, http)
            }
            "fetch" => {
                let http = self.stage.http();
                self.peer(designator, layer, session.as_deref())?.start_fetch(
                    layer,
                    session.as_deref(),
                    http,
                )
            }
            "close" => {
                self.peers.remove(designator);
                Ok(())
            }
            "shut" => {
                self.peer(designator, self.layer, session.as_deref())?.shut();
                Ok(())
            }
            other => Err(format!("nobody can {other:?}")),
        }
    }

    fn send(&mut self, designator: &str, text: &str) -> Result<(), String> {
        if by_hand(designator) {
            let text = fill(text, &self.names)?;
            return match &mut self.peer(designator, self.layer, None)?.wire {
                Wire::Nc(hand) => hand.send(&text),
                Wire::Tags(tags) => tags.send(&text),
                _ => Err("somebody else".into()),
            };
        }
        if is_tinode(designator) {
            return self.say(designator, text);
        }
        let options = Options::of(text, &self.names)?;
        let (kind, body) = options.rest.split_once(' ').unwrap_or((options.rest, ""));
        let body = match body.trim() {
            "" => Vec::new(),
            body => match body.strip_prefix("text ") {
                Some(literal) => bytes(literal, &self.names)?,
                None => {
                    let (term, rest) = Term::parse(body)?;
                    if !rest.is_empty() {
                        return Err(format!("what is {rest:?}?"));
                    }
                    term.build(&self.names)?.to_string().into_bytes()
                }
            },
        };
        let ask = Ask {
            layer: options.number("layer")?.unwrap_or(self.layer),
            session: self.session(designator, options.text("session")),
            seq: options.number("seq")?,
            status: options.number("status")?.unwrap_or(0) as u16,
            kind: fill(kind, &self.names)?,
            body,
        };
        let http = self.stage.http();
        // A socket's own session is the device's, whatever this one packet says.
        let own = self.sessions.get(device_of(designator)).cloned();
        self.peer(designator, ask.layer, own.as_deref())?.send(&ask, http)
    }

    /// A session of the runner's own, of the same account.
    pub(super) fn probe(&mut self, account: &str) -> Result<&mut User, String> {
        if !self.probes.contains_key(account) {
            let user = User::again(self.stage.tcp(), account)?;
            self.probes.insert(account.into(), user);
        }
        self.probes.get_mut(account).ok_or_else(|| "the probe is gone".into())
    }

    pub(super) fn turn(&mut self) {
        let address = self.stage.tcp();
        if !self.probes.contains_key("probe")
            && let Ok(user) = User::enter(address, "probe")
        {
            self.probes.insert("probe".into(), user);
        }
        if let Some(user) = self.probes.get_mut("probe") {
            // Where nobody may register there is no probe, and less certainty.
            let _ = user.ask("CHATS-GET", &serde_json::json!({}));
        }
    }

    /// What is left at the end must have been mentioned.
    fn leave(&mut self) -> Result<(), String> {
        let open: Vec<String> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.over && !matches!(peer.wire, Wire::Http { .. }))
            .map(|(designator, _)| designator.clone())
            .collect();
        for designator in open.iter().take(if self.loose { 0 } else { open.len() }) {
            self.expect_nothing(designator, self.layer)
                .map_err(|e| format!("{designator}: {e}"))?;
        }
        self.peers.clear();
        self.probes.clear();
        self.stage.stop()
    }

    /// The connection of that name, made where there is none. A WebSocket or a script has one layer,
    /// so another layer is another connection.
    pub(super) fn peer(
        &mut self,
        designator: &str,
        layer: u32,
        session: Option<&str>,
    ) -> Result<&mut Peer, String> {
        let carrier = carrier_of(designator);
        let has_one = ["ws", "line"].contains(&carrier);
        let unfit = self.peers.get(designator).is_some_and(|p| has_one && p.layer != layer);
        if unfit || !self.peers.contains_key(designator) {
            let peer = Peer::connect(carrier, self.doors(), layer, session)?;
            self.peers.insert(designator.into(), peer);
        }
        self.peers.get_mut(designator).ok_or_else(|| "nobody is connected".into())
    }

    pub(super) fn adopt(&mut self, designator: &str, session: &str) {
        let device = device_of(designator);
        self.sessions.insert(device.into(), session.into());
        self.names.insert(device.into(), session.into());
    }

    /// A session as an option names it: a device's, none, or the very text.
    pub(super) fn session(&self, designator: &str, option: Option<&str>) -> Option<String> {
        match option {
            None => self.sessions.get(device_of(designator)).cloned(),
            Some("none") => None,
            Some(name) => Some(self.sessions.get(name).cloned().unwrap_or_else(|| name.into())),
        }
    }
}

/// How many lines until the `end` of a block.
fn block(lines: Lines<'_>) -> Option<usize> {
    let mut depth = 0;
    lines.iter().position(|(_, line)| {
        depth += usize::from(line.starts_with("repeat "));
        if line == "end" && depth == 0 {
            return true;
        }
        depth -= usize::from(line == "end");
        false
    })
}
