//! What a line with `<` expects, compared with what came.

use serde_json::Value;

use super::bytes::bytes;
use super::line::Runner;
use super::peer::{Heard, Wire, is_probe, show};
use super::term::{Term, fill, fits, shorten};
use super::tinode::is_tinode;
use super::words::{Options, account_of, by_hand, device_of, is_type};
use crate::client::Packet;
use crate::client::http::Response;

/// The server's highest.
const LAYER_MAX: u32 = 5;

impl Runner {
    pub(super) fn expect(
        &mut self,
        designator: &str,
        text: &str,
        first: bool,
    ) -> Result<(), String> {
        if by_hand(designator) {
            return self.expect_text(designator, text, first);
        }
        if is_tinode(designator) {
            return self.expect_said(designator, text);
        }
        let options = Options::of(text, &self.names)?;
        let (word, rest) = options.rest.split_once(' ').unwrap_or((options.rest, ""));
        if !self.peers.contains_key(designator) {
            let own = self.sessions.get(device_of(designator)).cloned();
            let layer = options.number("layer")?.unwrap_or(self.layer);
            self.peer(designator, layer, own.as_deref())?;
        }
        if word == "nothing" {
            return self.expect_nothing(designator, options.number("layer")?.unwrap_or(self.layer));
        }
        let by_fetch = self.waits_for_fetch(designator, word);
        if by_fetch {
            return self.expect_fetched(designator, word, rest, &options);
        }
        let peer = self.peers.get_mut(designator).ok_or("nobody is connected")?;
        let heard = match (first, is_type(word) && word != "ERROR") {
            (true, _) => peer.next()?,
            (false, true) => peer.push(word)?,
            (false, false) => peer.answer()?,
        };
        let said = show(&heard);
        self.compare(designator, word, rest, &options, heard)
            .map_err(|e| format!("{e}\n    in {}", shorten(&said)))
    }

    /// A line by hand: `$x` is what x is, or becomes it; `$_` is anything.
    fn expect_text(&mut self, designator: &str, text: &str, first: bool) -> Result<(), String> {
        if text == "nothing" {
            return self.expect_nothing(designator, self.layer);
        }
        let peer = self.peer(designator, self.layer, None)?;
        let heard = match (text, first) {
            ("closed", _) | (_, true) => peer.next()?,
            (pattern, false) => peer.text(pattern)?,
        };
        match heard {
            Heard::End if text == "closed" => Ok(()),
            Heard::Text(line) if text != "closed" => {
                let fits = fits(text, &line, &mut self.names)?;
                if fits { Ok(()) } else { Err(format!("not {line}")) }
            }
            other => Err(show(&other)),
        }
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
            Heard::Packet(packet) if is_type(word) => {
                self.compare_pushed(designator, word, rest, options, &packet)
            }
            Heard::Packet(packet) => self.compare_answer(designator, word, rest, options, &packet),
            Heard::Response(response) => self.compare_response(designator, word, rest, &response),
            Heard::Text(_) | Heard::Said(_) | Heard::End | Heard::Close(_) | Heard::Pong(_) => {
                Err("something else".into())
            }
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
                && layer != asked.layer.min(LAYER_MAX)
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
        if body == "any" {
            return Ok(());
        }
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
        // Tinode's answers have another one, which talks name.
        if !rest.contains("[content-type") {
            check_type(response)?;
        }
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

    pub(super) fn compare_body(&mut self, expected: &str, body: &Value) -> Result<(), String> {
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
        matches!(peer.wire, Wire::Http { .. })
            && (is_type(word) || peer.is_fetching() && peer.asked.is_empty())
    }

    fn expect_fetched(
        &mut self,
        designator: &str,
        word: &str,
        rest: &str,
        options: &Options<'_>,
    ) -> Result<(), String> {
        let layer = options.number("layer")?.unwrap_or(self.layer);
        let response = self.fetched(designator, layer, word)?;
        let said = show(&Heard::Response(response.clone()));
        let compared = if is_type(word) {
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
        let fits = |r: &Response| !is_type(wanted) || r.header("x-type") == Some(wanted);
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

    pub(super) fn expect_nothing(&mut self, designator: &str, layer: u32) -> Result<(), String> {
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
