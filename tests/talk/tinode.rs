//! Tinode 0.5 in a talk.
//!
//! ```text
//! each T tws tlp                         its WebSocket, its long polls
//! tinode alice:T bob:T                   registers where needed and logs in; binds $alice_uid
//! tinode ua=A/1 alice2:T                 with a user agent
//! p2p ab = alice bob                     binds $ab: what their chat is called
//! alice:T> {"pub":{"topic":$ab,"content":1}}
//! alice:T< {"data":{"topic":$ab,"seq":1,"content":1}}
//! alice:T> text "{]"                     whatever it is
//! alice:T connect id=77 key=…            its first packet is for the talk to expect
//! ```
//!
//! One connection is one session, whose user is whoever it logs in. Each line with `<` is **the
//! next packet in order of arrival**: what comes in which order is promised. `nothing`, `closed`,
//! `close 1009`, `pong` are as elsewhere; a long poll that is `close`d is left alone and its session
//! stays. Accounts that are made here can `enter` otherwise too, and the other way round; without a
//! talk's words their `public` is `{"fn":"Alice"}`.

use super::bytes::bytes;
use super::line::Runner;
use super::peer::{Heard, Peer, Wire, show};
use super::term::{Term, fill, shorten};
use super::words::{Options, account_of, carrier_of};
use crate::client::tcp::password_of;
use crate::client::tinode::{self, Tinode};

/// Whether a connection speaks it.
pub fn is_tinode(designator: &str) -> bool {
    ["tws", "tlp"].contains(&carrier_of(designator))
}

impl Runner {
    /// Connects where nobody did; what a connection begins with is checked here, then.
    fn tinode_peer(&mut self, designator: &str) -> Result<&mut Peer, String> {
        if !self.peers.contains_key(designator) {
            self.connect_tinode(designator, "")?;
            let hello =
                r#"{"ctrl":{"id":absent,"code":201,"text":"created","params":{"ver":"0.5"}}}"#;
            self.expect_said(designator, hello)?;
        }
        self.peers.get_mut(designator).ok_or_else(|| "nobody is connected".into())
    }

    /// `connect [id=77] [key=…]`
    pub(super) fn connect_tinode(&mut self, designator: &str, text: &str) -> Result<(), String> {
        let options = Options::of(text, &self.names)?;
        let key = options.text("key").unwrap_or(tinode::KEY);
        let more = options.text("id").map_or(String::new(), |id| format!("&id={id}"));
        let http = self.stage.http();
        let tinode = match carrier_of(designator) {
            "tws" => Tinode::socket(http, key, &more)?,
            _ => Tinode::poll(http, key, &more)?,
        };
        let peer = Peer::over(Wire::Tinode(tinode), self.layer);
        self.peers.insert(designator.into(), peer);
        Ok(())
    }

    /// `{…}` or `text "…"`
    pub(super) fn say(&mut self, designator: &str, text: &str) -> Result<(), String> {
        let said = match text.strip_prefix("text ") {
            Some(literal) => bytes(literal, &self.names)?,
            None => {
                let (term, rest) = Term::parse(text)?;
                if !rest.is_empty() {
                    return Err(format!("what is {rest:?}?"));
                }
                term.build(&self.names)?.to_string().into_bytes()
            }
        };
        match &mut self.tinode_peer(designator)?.wire {
            Wire::Tinode(tinode) => tinode.send(&said),
            _ => Err("somebody else".into()),
        }
    }

    pub(super) fn expect_said(&mut self, designator: &str, text: &str) -> Result<(), String> {
        self.tinode_peer(designator)?;
        if text == "nothing" {
            return self.expect_nothing(designator, self.layer);
        }
        let heard = self.peers.get_mut(designator).ok_or("nobody is connected")?.next()?;
        let said = show(&heard);
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let compared = match heard {
            Heard::End if word == "closed" => Ok(()),
            Heard::Close(code) if word == "close" && code == rest.parse().ok() => Ok(()),
            Heard::Pong(payload) if word == "pong" && payload == bytes(rest, &self.names)? => {
                Ok(())
            }
            Heard::Said(packet) if text.starts_with(['{', '=']) => self.compare_body(text, &packet),
            _ => Err("something else".into()),
        };
        compared.map_err(|e| format!("{e}\n    in {}", shorten(&said)))
    }

    /// `tinode [ua=…] alice:tws bob:tlp`
    pub(super) fn enter_tinode(&mut self, text: &str) -> Result<(), String> {
        let options = Options::of(text, &self.names)?;
        let ua = options.text("ua").map_or(String::new(), |ua| format!(r#","ua":"{ua}""#));
        for designator in options.rest.split(' ') {
            let account = account_of(designator);
            let secret = format!("{account}:secret of {account}");
            if self.registered.insert(account.clone()) {
                self.names.insert(format!("password_{account}"), password_of(&account).into());
                let auth = format!(r#"[{{"scheme":"basic","secret":"{secret}"}}]"#);
                let init = format!(r#"{{"public":{{"fn":"{}"}}}}"#, capital(&account));
                let acc = format!(r#"{{"acc":{{"user":"new","auth":{auth},"init":{init}}}}}"#);
                self.say(designator, &acc)?;
                let made = r#"{"ctrl":{"code":201,"text":"created","params":{"uid":string}}}"#;
                self.expect_said(designator, made)?;
            }
            self.say(designator, &format!(r#"{{"login":{{"secret":"{secret}"{ua}}}}}"#))?;
            let params = format!(r#"={{"uid":${account}_uid}}"#);
            let entered = format!(r#"{{"ctrl":{{"code":200,"text":"OK","params":{params}}}}}"#);
            self.expect_said(designator, &entered)?;
        }
        Ok(())
    }

    /// `p2p NAME = ONE OTHER`, by what their accounts are called.
    pub(super) fn name_chat(&mut self, text: &str) -> Result<(), String> {
        let (name, both) = text.split_once(" = ").ok_or("p2p NAME = ONE OTHER")?;
        let (one, other) = both.split_once(' ').ok_or("p2p NAME = ONE OTHER")?;
        let uid = |who: &str| fill(&format!("${{{who}_uid}}"), &self.names);
        let chat = tinode::chat_of(&uid(one)?, &uid(other)?)?;
        self.names.insert(name.into(), chat.into());
        Ok(())
    }
}

fn capital(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}
