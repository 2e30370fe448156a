//! Runs the lines of one talk, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::bytes::bytes;
use super::operator;
use super::peer::{Ask, Heard, Peer, Wire, is_probe, show};
use super::stage::Stage;
use super::term::{Names, Term, fill, shorten};
use crate::client::http::Response;
use crate::client::tcp::{Tcp, User, password_of};
use crate::client::{Packet, ws};

#[derive(Debug)]
pub struct Runner {
    stage: Stage,
    running: bool,
    loose: bool,
    names: Names,
    registered: BTreeSet<String>,
    /// By device: its session.
    sessions: BTreeMap<String, String>,
    /// By designator (`alice:tcp/b`).
    peers: BTreeMap<String, Peer>,
    /// By account: sessions of the runner's own.
    probes: BTreeMap<String, User>,
    probed: u32,
}

type Lines<'a> = &'a [(usize, String)];

/// `layer=1 session=bob rest`: what stands before a packet.
#[derive(Debug, Default)]
struct Options<'a> {
    given: Vec<(&'a str, String)>,
    rest: &'a str,
}

impl Options<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    fn number(&self, name: &str) -> Result<Option<u32>, String> {
        let parse = |text: &str| text.parse().map_err(|_| format!("not a number: {name}={text}"));
        self.text(name).map(parse).transpose()
    }
}

impl Runner {
    pub fn run(lines: Lines<'_>) -> Result<(), String> {
        let on_disk = lines.iter().any(|(_, line)| line == "disk");
        let mut runner = Runner {
            stage: Stage::new(on_disk),
            running: false,
            loose: lines.iter().any(|(_, line)| line == "loose"),
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
            "restart" | "crash" => self.restart(word == "crash"),
            "let" => {
                let (name, term) = rest.split_once('=').ok_or("let NAME = JSON")?;
                let value = Term::parse(term)?.0.build(&self.names)?;
                self.names.insert(name.trim().into(), value);
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
        self.register(&account)?;
        let body = format!(r#"{{"login":"{account}","password":"{}"}}"#, password_of(&account));
        self.peer_line(designator, &format!("> session=none AUTH-PLAIN {body}"))?;
        self.peer_line(designator, r#"< 200 {"sessid":string}"#)
    }

    fn peer_line(&mut self, designator: &str, verb: &str) -> Result<(), String> {
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
        let (word, rest) = verb.split_once(' ').unwrap_or((verb, ""));
        let options = self.options(designator, rest)?;
        let layer = options.number("layer")?.unwrap_or(3);
        let session = self.session(designator, options.text("session"));
        match word {
            "connect" => {
                self.peers.remove(designator);
                self.peer(designator, layer, session.as_deref()).map(|_| ())
            }
            "raw>" => {
                let bytes = bytes(rest, &self.names)?;
                let http = self.stage.http();
                self.peer(designator, 3, session.as_deref())?.send_raw(&bytes, http)
            }
            "frame>" => {
                let opcode = options.number("opcode")?.unwrap_or(1) as u8;
                let fin = options.number("fin")?.unwrap_or(1) == 1;
                let mask = options.number("mask")?.unwrap_or(1) == 1;
                let bytes = ws::frame(fin, opcode, mask, &bytes(options.rest, &self.names)?);
                let http = self.stage.http();
                self.peer(designator, 3, session.as_deref())?.send_raw(&bytes, http)
            }
            "ping" => {
                let bytes = ws::frame(true, 9, true, &bytes(rest, &self.names)?);
                let http = self.stage.http();
                self.peer(designator, 3, session.as_deref())?.send_raw(&bytes, http)
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
                self.peer(designator, 3, session.as_deref())?.shut();
                Ok(())
            }
            other => Err(format!("nobody can {other:?}")),
        }
    }

    fn send(&mut self, designator: &str, text: &str) -> Result<(), String> {
        let options = self.options(designator, text)?;
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
            layer: options.number("layer")?.unwrap_or(3),
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

    fn expect(&mut self, designator: &str, text: &str, first: bool) -> Result<(), String> {
        let options = self.options(designator, text)?;
        let (word, rest) = options.rest.split_once(' ').unwrap_or((options.rest, ""));
        if !self.peers.contains_key(designator) {
            let own = self.sessions.get(device_of(designator)).cloned();
            let layer = options.number("layer")?.unwrap_or(3);
            self.peer(designator, layer, own.as_deref())?;
        }
        if word == "nothing" {
            return self.expect_nothing(designator, options.number("layer")?.unwrap_or(3));
        }
        let by_fetch = self.waits_for_fetch(designator, word);
        if by_fetch {
            return self.expect_fetched(designator, word, rest, &options);
        }
        let peer = self.peers.get_mut(designator).ok_or("nobody is connected")?;
        let is_type = word.starts_with(|c: char| c.is_ascii_uppercase());
        let heard = match (first, is_type && word != "ERROR") {
            (true, _) => peer.next()?,
            (false, true) => peer.push(word)?,
            (false, false) => peer.answer()?,
        };
        let said = show(&heard);
        self.compare(designator, word, rest, &options, heard)
            .map_err(|e| format!("{e}\n    in {}", shorten(&said)))
    }

    fn compare(
        &mut self,
        designator: &str,
        word: &str,
        rest: &str,
        options: &Options<'_>,
        heard: Heard,
    ) -> Result<(), String> {
        match heard {
            Heard::End if word == "closed" => Ok(()),
            Heard::Close(code) if word == "close" => {
                let expected = rest.trim().parse().ok();
                if code == expected { Ok(()) } else { Err(format!("close with {code:?}")) }
            }
            Heard::Pong(payload) if word == "pong" => {
                if payload == bytes(rest, &self.names)? {
                    Ok(())
                } else {
                    Err("another payload".into())
                }
            }
            Heard::Packet(packet) if word.starts_with(|c: char| c.is_ascii_uppercase()) => {
                self.compare_pushed(designator, word, rest, options, &packet)
            }
            Heard::Packet(packet) => self.compare_answer(designator, word, rest, options, &packet),
            Heard::Response(response) => self.compare_response(designator, word, rest, &response),
            Heard::End | Heard::Close(_) | Heard::Pong(_) => Err("something else".into()),
        }
    }

    /// A push, or an ERROR with its status.
    fn compare_pushed(
        &mut self,
        designator: &str,
        kind: &str,
        rest: &str,
        options: &Options<'_>,
        packet: &Packet,
    ) -> Result<(), String> {
        let (status, body) = match rest.split_once(' ') {
            Some((status, body)) if status.parse::<u16>().is_ok() => (status, body),
            None if rest.parse::<u16>().is_ok() => (rest, ""),
            _ => ("200", rest),
        };
        if packet.kind != kind || packet.status.to_string() != status {
            return Err(format!("not {kind} {status}"));
        }
        if kind != "ERROR" {
            let owner = options.text("session").unwrap_or(device_of(designator));
            let owner = self.session(designator, Some(owner));
            if packet.session.as_ref().is_some_and(|s| Some(s) != owner.as_ref())
                || packet.session.is_none()
            {
                return Err(format!("a push for session {:?}", packet.session));
            }
        } else if packet.session.is_some() || packet.layer.is_some_and(|l| l != 1) {
            // Decision 11: an ERROR has layer 1 and no session.
            return Err(format!("an ERROR of {:?} {:?}", packet.layer, packet.session));
        }
        self.compare_numbers(options, packet)?;
        self.compare_body(body, &packet.body)
    }

    fn compare_answer(
        &mut self,
        designator: &str,
        status: &str,
        body: &str,
        options: &Options<'_>,
        packet: &Packet,
    ) -> Result<(), String> {
        if packet.status.to_string() != status {
            return Err(format!("not status {status}"));
        }
        let peer = self.peers.get_mut(designator).ok_or("nobody is connected")?;
        if let Some(asked) = peer.asked.pop_front() {
            if asked.kind != packet.kind || asked.seq != packet.seq {
                return Err(format!("not the answer to {} {}", asked.kind, asked.seq));
            }
            let mut session = asked.session.clone();
            if let Some(new) = new_session(&packet.kind, packet.status, &packet.body) {
                peer.logged_in(&new);
                session = Some(new.clone());
                self.adopt(designator, &new);
            }
            // Decision 11: the layer in force and the request's session.
            if let Some(layer) = packet.layer.filter(|_| asked.layer > 0)
                && layer != asked.layer.min(3)
            {
                return Err(format!("an answer of layer {layer}"));
            }
            if packet.layer.is_some() && packet.session != session {
                return Err(format!("an answer for session {:?}", packet.session));
            }
        }
        self.compare_numbers(options, packet)?;
        self.compare_body(body, &packet.body)
    }

    fn compare_numbers(&self, options: &Options<'_>, packet: &Packet) -> Result<(), String> {
        if options.number("seq")?.is_some_and(|seq| seq != packet.seq) {
            return Err("another seq".into());
        }
        match (options.number("layer")?, packet.layer) {
            (Some(expected), Some(layer)) if expected != layer => Err("another layer".into()),
            _ => Ok(()),
        }
    }

    fn compare_response(
        &mut self,
        designator: &str,
        status: &str,
        rest: &str,
        response: &Response,
    ) -> Result<(), String> {
        if response.status.to_string() != status {
            return Err(format!("not status {status}"));
        }
        let body = self.compare_headers(rest, response)?;
        let peer = self.peers.get_mut(designator).ok_or("nobody is connected")?;
        let json = response.json();
        if let Some(asked) = peer.asked.pop_front() {
            let json = json.clone()?;
            if matches!(response.status, 200 | 201)
                && response.header("x-type") != Some(&asked.kind)
            {
                return Err(format!("not the answer to {}", asked.kind));
            }
            if let Some(new) = new_session(&asked.kind, response.status, &json) {
                self.adopt(designator, &new);
            }
        }
        check_type(response)?;
        match body {
            "empty" if response.body.is_empty() => Ok(()),
            "empty" => Err("a body".into()),
            "" => Ok(()),
            body => self.compare_body(body, &json?),
        }
    }

    /// `[name: value]`, `[name]`, `[-name]`; what follows them is returned.
    fn compare_headers<'a>(&self, text: &'a str, response: &Response) -> Result<&'a str, String> {
        let mut rest = text.trim();
        while let Some(after) = rest.strip_prefix('[') {
            let (header, after) = after.split_once(']').ok_or("a header without ]")?;
            let (name, value) = header.split_once(": ").unwrap_or((header, "_"));
            let found = response.header(name.trim_start_matches('-'));
            let fits = match (name.starts_with('-'), found) {
                (true, found) => found.is_none(),
                (false, None) => false,
                (false, Some(found)) => value == "_" || found == fill(value, &self.names)?,
            };
            if !fits {
                return Err(format!("[{header}] is {found:?}"));
            }
            rest = after.trim_start();
        }
        Ok(rest)
    }

    fn compare_body(&mut self, expected: &str, body: &Value) -> Result<(), String> {
        if expected.trim().is_empty() {
            return Ok(());
        }
        let (term, rest) = Term::parse(expected)?;
        if !rest.is_empty() {
            return Err(format!("what is {rest:?}?"));
        }
        term.check(body, &mut self.names)
    }

    /// Over HTTP pushes come by fetching, and so does 204 unless a POST waits for its answer.
    fn waits_for_fetch(&self, designator: &str, word: &str) -> bool {
        let Some(peer) = self.peers.get(designator) else { return false };
        let is_type = word.starts_with(|c: char| c.is_ascii_uppercase());
        matches!(peer.wire, Wire::Http { .. })
            && (is_type || peer.is_fetching() && peer.asked.is_empty())
    }

    fn expect_fetched(
        &mut self,
        designator: &str,
        word: &str,
        rest: &str,
        options: &Options<'_>,
    ) -> Result<(), String> {
        let layer = options.number("layer")?.unwrap_or(3);
        let response = self.fetched(designator, layer, word)?;
        let said = show(&Heard::Response(response.clone()));
        let compared = if word.starts_with(|c: char| c.is_ascii_uppercase()) {
            self.compare_fetched(word, rest, &response)
        } else {
            self.compare_response(designator, word, rest, &response)
        };
        compared.map_err(|e| format!("{e}\n    in {}", shorten(&said)))
    }

    fn compare_fetched(
        &mut self,
        kind: &str,
        rest: &str,
        response: &Response,
    ) -> Result<(), String> {
        if response.status != 200 || response.header("x-type") != Some(kind) {
            return Err(format!("not 200 {kind}"));
        }
        check_type(response)?;
        let body = self.compare_headers(rest, response)?;
        self.compare_body(body, &response.json()?)
    }

    /// The first update of type `wanted` (or, for a status, whatever comes): kept from an earlier
    /// fetch, of the fetch under way, or of one started now. Skips the runner's own traces.
    fn fetched(&mut self, designator: &str, layer: u32, wanted: &str) -> Result<Response, String> {
        let session = self.sessions.get(device_of(designator)).cloned();
        let http = self.stage.http();
        let peer = self.peer(designator, layer, session.as_deref())?;
        let is_type = wanted.starts_with(|c: char| c.is_ascii_uppercase());
        let fits = |r: &Response| !is_type || r.header("x-type") == Some(wanted);
        if let Some(at) = peer.fetched.iter().position(fits) {
            return Ok(peer.fetched.remove(at).expect("a place that was just found"));
        }
        loop {
            if !peer.is_fetching() {
                peer.start_fetch(layer, session.as_deref(), http)?;
            }
            let response = peer.end_fetch()?;
            let kind = response.header("x-type").unwrap_or_default();
            if is_probe(kind, &response.json().unwrap_or_default()) {
                continue;
            }
            if response.status != 200 || fits(&response) {
                return Ok(response);
            }
            peer.fetched.push_back(response);
        }
    }

    fn expect_nothing(&mut self, designator: &str, layer: u32) -> Result<(), String> {
        let peer = self.peers.get_mut(designator).ok_or("nobody is connected")?;
        if matches!(peer.wire, Wire::Http { .. }) {
            return self.expect_nothing_to_fetch(designator, layer);
        }
        // A turn of the engine: whatever was settled before it has been told to mailboxes.
        self.turn();
        let peer = self.peers.get_mut(designator).ok_or("nobody is connected")?;
        match peer.settle()?.as_slice() {
            [] => Ok(()),
            pushes => Err(format!("pushed: {pushes:?}")),
        }
    }

    /// Makes an update of its own for the session: it must be the next one there.
    fn expect_nothing_to_fetch(&mut self, designator: &str, layer: u32) -> Result<(), String> {
        self.probed += 1;
        let id = format!("probe-{}@elsewhere.test", self.probed);
        let body = serde_json::json!({ "id": id });
        for (ask, push) in
            [("CONTACTS-ADD", "CONTACT-CREATED"), ("CONTACTS-DELETE", "CONTACT-DELETED")]
        {
            self.probe(&account_of(designator))?.get(ask, &body)?;
            self.fetch_own(designator, layer, push, &id)?;
        }
        Ok(())
    }

    fn fetch_own(
        &mut self,
        designator: &str,
        layer: u32,
        kind: &str,
        id: &str,
    ) -> Result<(), String> {
        let session = self.sessions.get(device_of(designator)).cloned();
        let http = self.stage.http();
        let peer = self.peer(designator, layer, session.as_deref())?;
        if let Some(kept) = peer.fetched.pop_front() {
            return Err(format!("fetched: {}", show(&Heard::Response(kept))));
        }
        loop {
            if !peer.is_fetching() {
                peer.start_fetch(layer, session.as_deref(), http)?;
            }
            let response = peer.end_fetch()?;
            let found = response.header("x-type").unwrap_or_default().to_owned();
            let body = response.json()?;
            if !is_probe(&found, &body) {
                return Err(format!("fetched: {}", show(&Heard::Response(response))));
            }
            if found == kind && body.to_string().contains(id) {
                return Ok(());
            }
        }
    }

    /// A session of the runner's own, of the same account.
    fn probe(&mut self, account: &str) -> Result<&mut User, String> {
        if !self.probes.contains_key(account) {
            let user = User::again(self.stage.tcp(), account)?;
            self.probes.insert(account.into(), user);
        }
        self.probes.get_mut(account).ok_or_else(|| "the probe is gone".into())
    }

    fn turn(&mut self) {
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
            self.expect_nothing(designator, 3).map_err(|e| format!("{designator}: {e}"))?;
        }
        self.peers.clear();
        self.probes.clear();
        self.stage.stop()
    }

    /// The connection of that name, made where there is none. A WebSocket has one layer, so another
    /// layer is another socket.
    fn peer(
        &mut self,
        designator: &str,
        layer: u32,
        session: Option<&str>,
    ) -> Result<&mut Peer, String> {
        let carrier = carrier_of(designator);
        let unfit = self.peers.get(designator).is_some_and(|p| carrier == "ws" && p.layer != layer);
        if unfit || !self.peers.contains_key(designator) {
            let (tcp, http) = (self.stage.tcp(), self.stage.http());
            let peer = Peer::connect(carrier, tcp, http, layer, session)?;
            self.peers.insert(designator.into(), peer);
        }
        self.peers.get_mut(designator).ok_or_else(|| "nobody is connected".into())
    }

    fn adopt(&mut self, designator: &str, session: &str) {
        let device = device_of(designator);
        self.sessions.insert(device.into(), session.into());
        self.names.insert(device.into(), session.into());
    }

    /// A session as an option names it: a device's, none, or the very text.
    fn session(&self, designator: &str, option: Option<&str>) -> Option<String> {
        match option {
            None => self.sessions.get(device_of(designator)).cloned(),
            Some("none") => None,
            Some(name) => Some(self.sessions.get(name).cloned().unwrap_or_else(|| name.into())),
        }
    }

    fn options<'a>(&self, _designator: &str, text: &'a str) -> Result<Options<'a>, String> {
        let mut options = Options { given: Vec::new(), rest: text.trim() };
        loop {
            let (word, rest) = options.rest.split_once(' ').unwrap_or((options.rest, ""));
            match word.split_once('=') {
                Some((name, value)) if name.bytes().all(|b| b.is_ascii_lowercase()) => {
                    options.given.push((name, fill(value, &self.names)?));
                    options.rest = rest.trim_start();
                }
                _ => return Ok(options),
            }
        }
    }
}

fn check_type(response: &Response) -> Result<(), String> {
    let found = response.header("content-type");
    let expected =
        if response.body.is_empty() { None } else { Some("application/json; charset=utf-8") };
    if found == expected || response.body.is_empty() {
        Ok(())
    } else {
        Err(format!("Content-Type {found:?}"))
    }
}

fn new_session(kind: &str, status: u16, body: &Value) -> Option<String> {
    (kind == "AUTH-PLAIN" && status == 200).then(|| body["sessid"].as_str().map(str::to_owned))?
}

/// `alice2:tcp/b< …` as `alice2:tcp/b` and the rest.
fn designator(line: &str) -> Option<(&str, &str)> {
    let end = line
        .find(|c: char| !c.is_ascii_alphanumeric() && c != ':' && c != '/')
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    name.contains(':').then_some((name, rest))
}

fn device_of(designator: &str) -> &str {
    designator.split(':').next().unwrap_or_default()
}

/// `alice2:tcp` is a device of alice.
fn account_of(designator: &str) -> String {
    device_of(designator).trim_end_matches(|c: char| c.is_ascii_digit()).into()
}

fn carrier_of(designator: &str) -> &str {
    let rest = designator.split(':').nth(1).unwrap_or_default();
    rest.split('/').next().unwrap_or_default()
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
