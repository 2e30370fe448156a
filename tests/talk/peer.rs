//! One connection of a talk, whatever carries it: `alice:tcp`, `bob:ws/second`, `carol:http`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use crate::client::http::{Http, Response};
use crate::client::line::{Hand, Script};
use crate::client::tags::Tags;
use crate::client::tcp::Tcp;
use crate::client::tinode::{self, Tinode};
use crate::client::ws::{self, Ws};
use crate::client::{Packet, hex};

/// Anything that can come from the server.
#[derive(Clone, Debug)]
pub enum Heard {
    Packet(Packet),
    Response(Response),
    Text(String),
    /// A packet of Tinode.
    Said(Value),
    Pong(Vec<u8>),
    Close(Option<u16>),
    End,
}

/// A request that was not answered yet.
#[derive(Clone, Debug)]
pub struct Asked {
    /// 0 over HTTP, which has no numbers.
    pub seq: u32,
    pub kind: String,
    pub layer: u32,
    pub session: Option<String>,
}

#[derive(Debug)]
pub enum Wire {
    Tcp(Tcp),
    Ws(Ws),
    Line(Script),
    /// The line carrier by hand.
    Nc(Hand),
    Tags(Tags),
    Tinode(Tinode),
    /// A fetch in flight keeps its connection busy, so it has one of its own.
    Http {
        post: Option<Http>,
        fetch: Option<Http>,
        fetching: bool,
    },
}

#[derive(Debug)]
pub struct Peer {
    pub wire: Wire,
    pub asked: VecDeque<Asked>,
    /// What arrived and was not expected yet, in order.
    heard: VecDeque<Heard>,
    /// HTTP: updates fetched while another was expected.
    pub fetched: VecDeque<Response>,
    /// WebSocket: the socket's own session and the layer of its address.
    own: Option<String>,
    pub layer: u32,
    /// Ended by either side.
    pub over: bool,
}

/// Where the server's doors are.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    pub tcp: SocketAddr,
    pub http: SocketAddr,
    pub line: SocketAddr,
    pub tags: SocketAddr,
}

/// Where a packet is to go and as what.
#[derive(Clone, Debug)]
pub struct Ask {
    pub layer: u32,
    pub session: Option<String>,
    pub seq: Option<u32>,
    pub status: u16,
    pub kind: String,
    /// JSON, or what a talk sends in its place.
    pub body: Vec<u8>,
}

impl Peer {
    pub fn connect(
        carrier: &str,
        doors: Doors,
        layer: u32,
        session: Option<&str>,
    ) -> Result<Peer, String> {
        let wire = match carrier {
            "tcp" => Wire::Tcp(Tcp::connect(doors.tcp)?),
            "ws" => Wire::Ws(Ws::connect(doors.http, layer, session)?),
            "line" => Wire::Line(Script::connect(doors.line, layer, session)?),
            "nc" => Wire::Nc(Hand::connect(doors.line)?),
            "tags" => Wire::Tags(Tags::connect(doors.tags)?),
            "tws" => Wire::Tinode(Tinode::socket(doors.http, tinode::KEY, "")?),
            "tlp" => Wire::Tinode(Tinode::poll(doors.http, tinode::KEY, "")?),
            "http" => Wire::Http { post: None, fetch: None, fetching: false },
            other => return Err(format!("no carrier is called {other:?}")),
        };
        Ok(Peer { own: session.map(str::to_owned), ..Peer::over(wire, layer) })
    }

    pub fn over(wire: Wire, layer: u32) -> Peer {
        let (asked, heard, fetched) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Peer { wire, asked, heard, fetched, own: None, layer, over: false }
    }

    pub fn send(&mut self, ask: &Ask, http: SocketAddr) -> Result<(), String> {
        self.layer = ask.layer;
        let session = ask.session.as_deref();
        let seq = match &mut self.wire {
            Wire::Tcp(tcp) => match ask.seq {
                None if ask.status == 0 => tcp.send(ask.layer, session, &ask.kind, &ask.body)?,
                given => {
                    let seq = given.unwrap_or(1_000_000);
                    tcp.send_as(seq, ask.layer, session, &ask.kind, ask.status, &ask.body)?;
                    seq
                }
            },
            Wire::Ws(ws) => {
                let other = session.filter(|s| Some(*s) != self.own.as_deref());
                let body = std::str::from_utf8(&ask.body).map_err(|e| e.to_string())?;
                ws.send(ask.seq, other, &ask.kind, body)?
            }
            Wire::Line(line) => {
                let other = session.filter(|s| Some(*s) != line.own.as_deref());
                // A HELLO that says nothing asks for the server's highest layer.
                let named = format!(r#"{{"highest-supported-layer":{}}}"#, ask.layer).into_bytes();
                let is_bare = ask.kind == "HELLO" && ask.body.is_empty();
                let body = if is_bare { &named } else { &ask.body };
                line.send(ask.seq, other, &ask.kind, body)?
            }
            Wire::Nc(_) | Wire::Tags(_) | Wire::Tinode(_) => return Err("a packet of mSIM".into()),
            Wire::Http { post, .. } => {
                open(post, http)?.post(ask.layer, session, &ask.kind, &ask.body)?;
                0
            }
        };
        self.asked.push_back(Asked {
            seq,
            kind: ask.kind.clone(),
            layer: ask.layer,
            session: ask.session.clone(),
        });
        Ok(())
    }

    pub fn send_raw(&mut self, bytes: &[u8], http: SocketAddr) -> Result<(), String> {
        match &mut self.wire {
            Wire::Tcp(tcp) => tcp.line.send(bytes),
            Wire::Ws(ws) => ws.line.send(bytes),
            Wire::Line(line) => line.line.send(bytes),
            Wire::Nc(hand) => hand.line.send(bytes),
            Wire::Tags(tags) => tags.line.send(bytes),
            Wire::Tinode(tinode) => tinode.line().send(bytes),
            Wire::Http { post, .. } => open(post, http)?.line.send(bytes),
        }
    }

    /// Ends the sending half.
    pub fn shut(&mut self) {
        match &mut self.wire {
            Wire::Tcp(tcp) => tcp.line.shut(),
            Wire::Ws(ws) => ws.line.shut(),
            Wire::Line(line) => line.line.shut(),
            Wire::Nc(hand) => hand.line.shut(),
            Wire::Tags(tags) => tags.line.shut(),
            Wire::Tinode(tinode) => tinode.line().shut(),
            Wire::Http { post, .. } => {
                if let Some(http) = post {
                    http.line.shut();
                }
            }
        }
    }

    /// An AUTH-PLAIN on this connection made a session: WebSockets remember it where they had none,
    /// lines always.
    pub fn logged_in(&mut self, session: &str) {
        if let Wire::Line(line) = &mut self.wire {
            line.own = Some(session.to_owned());
        }
        self.own.get_or_insert_with(|| session.to_owned());
    }

    pub fn start_fetch(
        &mut self,
        layer: u32,
        session: Option<&str>,
        address: SocketAddr,
    ) -> Result<(), String> {
        let Wire::Http { fetch, fetching, .. } = &mut self.wire else {
            return Err("only HTTP fetches".into());
        };
        if *fetching {
            return Err("a fetch is under way on this connection already".into());
        }
        open(fetch, address)?.fetch(layer, session)?;
        *fetching = true;
        Ok(())
    }

    pub fn is_fetching(&self) -> bool {
        matches!(self.wire, Wire::Http { fetching: true, .. })
    }

    pub fn end_fetch(&mut self) -> Result<Response, String> {
        let Wire::Http { fetch: Some(http), fetching, .. } = &mut self.wire else {
            return Err("no fetch is under way".into());
        };
        *fetching = false;
        http.receive()?.ok_or_else(|| "the stream ended instead of a fetch's answer".into())
    }

    /// The next thing in order of arrival.
    pub fn next(&mut self) -> Result<Heard, String> {
        match self.heard.pop_front() {
            Some(heard) => Ok(heard),
            None => self.receive(),
        }
    }

    /// The next thing that is no push.
    pub fn answer(&mut self) -> Result<Heard, String> {
        self.find(|heard| !is_push(heard))
    }

    /// The next push of this type. In which order pushes of several types come is nobody's promise.
    pub fn push(&mut self, kind: &str) -> Result<Heard, String> {
        self.find(|heard| matches!(heard, Heard::Packet(p) if p.is_push() && p.kind == kind))
    }

    /// The next line that begins with the same word as `pattern`, pushes with the same two.
    pub fn text(&mut self, pattern: &str) -> Result<Heard, String> {
        let words = if pattern.starts_with("PUSH ") { 2 } else { 1 };
        let begins = |text: &str| text.split(' ').take(words).eq(pattern.split(' ').take(words));
        self.find(|heard| matches!(heard, Heard::Text(text) if begins(text)))
    }

    /// A round trip, twice, so that whatever was on its way has arrived; the pushes among it.
    pub fn settle(&mut self) -> Result<Vec<String>, String> {
        for round in 0..2 {
            match &mut self.wire {
                Wire::Tcp(tcp) => {
                    let seq = 4_000_000_000 + round;
                    // Without a session: naming it would move it here.
                    tcp.send_as(seq, 3, None, "HELLO", 0, b"{}")?;
                    self.find(|h| matches!(h, Heard::Packet(p) if p.seq == seq))?;
                }
                Wire::Ws(ws) => {
                    ws.line.send(&ws::frame(true, 9, true, &[round as u8]))?;
                    self.find(|h| matches!(h, Heard::Pong(p) if *p == [round as u8]))?;
                }
                Wire::Line(line) => {
                    // Nobody is asked, so nothing moves here.
                    let seq = 4_000_000_000 + round;
                    line.send(Some(seq), None, "SETTLE", b"")?;
                    self.find(|h| matches!(h, Heard::Packet(p) if p.seq == seq))?;
                }
                Wire::Nc(hand) => {
                    let kind = format!("SETTLE-{round}");
                    hand.send(&kind)?;
                    self.find(|h| matches!(h, Heard::Text(text) if text.contains(&kind)))?;
                }
                Wire::Tags(tags) => {
                    tags.send(&format!("SETTLE {round}"))?;
                    self.find(|h| matches!(h, Heard::Text(text) if text == NO_COMMAND))?;
                }
                Wire::Tinode(tinode) => {
                    // Whoever says it, it is nothing to say, and is answered at once.
                    let id = format!("settle-{round}");
                    tinode.send(format!(r#"{{"get":{{"id":"{id}"}}}}"#).as_bytes())?;
                    self.find(|h| matches!(h, Heard::Said(p) if p["ctrl"]["id"] == *id))?;
                }
                Wire::Http { .. } => return Err("HTTP hears pushes by fetching only".into()),
            }
        }
        let pushes = self.heard.iter().filter_map(|heard| match heard {
            Heard::Packet(p) if p.is_push() => Some(show(heard)),
            Heard::Text(_) | Heard::Said(_) => Some(show(heard)),
            _ => None,
        });
        Ok(pushes.collect())
    }

    /// The same; what came meanwhile is forgotten.
    pub fn settle_silently(&mut self) -> Result<(), String> {
        self.settle()?;
        self.heard.clear();
        Ok(())
    }

    fn find(&mut self, wanted: impl Fn(&Heard) -> bool) -> Result<Heard, String> {
        if let Some(at) = self.heard.iter().position(&wanted) {
            return Ok(self.heard.remove(at).expect("a place that was just found"));
        }
        loop {
            let heard = self.receive().map_err(|e| match self.heard.len() {
                0 => e,
                _ => format!("{e}; waiting unexpected: {:?}", self.heard),
            })?;
            if wanted(&heard) {
                return Ok(heard);
            }
            if matches!(heard, Heard::End) {
                return Err(format!("the stream ended; before that came {:?}", self.heard));
            }
            self.heard.push_back(heard);
        }
    }

    fn receive(&mut self) -> Result<Heard, String> {
        loop {
            let heard = match &mut self.wire {
                Wire::Tcp(tcp) => tcp.receive()?.map_or(Heard::End, Heard::Packet),
                Wire::Ws(ws) => match ws.receive()? {
                    ws::Heard::Packet(packet) => Heard::Packet(packet),
                    ws::Heard::Pong(payload) => Heard::Pong(payload),
                    ws::Heard::Close(code) => Heard::Close(code),
                    ws::Heard::End => Heard::End,
                },
                Wire::Line(line) => line.receive()?.map_or(Heard::End, Heard::Packet),
                Wire::Nc(hand) => hand.receive()?.map_or(Heard::End, Heard::Text),
                Wire::Tags(tags) => tags.receive()?.map_or(Heard::End, Heard::Text),
                Wire::Tinode(tinode) => match tinode.receive()? {
                    tinode::Heard::Packet(packet) => Heard::Said(packet),
                    tinode::Heard::Pong(payload) => Heard::Pong(payload),
                    tinode::Heard::Close(code) => Heard::Close(code),
                    tinode::Heard::End => Heard::End,
                },
                Wire::Http { post: Some(http), .. } => {
                    http.receive()?.map_or(Heard::End, Heard::Response)
                }
                Wire::Http { post: None, .. } => return Err("nothing was asked".into()),
            };
            self.over |= matches!(heard, Heard::End | Heard::Close(_));
            match &heard {
                Heard::Packet(packet) if is_probe(&packet.kind, &packet.body) => {}
                Heard::Text(text) if text.starts_with("CONTACT-") && text.contains("probe-") => {}
                _ => return Ok(heard),
            }
        }
    }
}

/// What a client of the numbers protocol hears to a word that is none.
const NO_COMMAND: &str = "ERR there is no such command";

/// What the runner itself caused to see whether anything else was waiting.
pub fn is_probe(kind: &str, body: &Value) -> bool {
    let id = body["contact"]["id"].as_str().or(body["id"].as_str()).unwrap_or_default();
    kind.starts_with("CONTACT-") && id.starts_with("probe-")
}

fn is_push(heard: &Heard) -> bool {
    matches!(heard, Heard::Packet(packet) if packet.is_push())
}

fn open(slot: &mut Option<Http>, address: SocketAddr) -> Result<&mut Http, String> {
    if slot.is_none() {
        *slot = Some(Http::connect(address)?);
    }
    Ok(slot.as_mut().expect("it was just filled"))
}

/// For reports.
pub fn show(heard: &Heard) -> String {
    match heard {
        Heard::Packet(p) => format!("{} {} {} (seq {})", p.kind, p.status, p.body, p.seq),
        Heard::Response(r) => {
            format!("{} {:?} {}", r.status, r.headers, String::from_utf8_lossy(&r.body))
        }
        Heard::Text(text) => text.clone(),
        Heard::Said(packet) => packet.to_string(),
        Heard::Pong(payload) => format!("pong {}", hex(payload)),
        Heard::Close(code) => format!("close {code:?}"),
        Heard::End => "the end of the stream".into(),
    }
}
