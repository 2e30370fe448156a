//! A server for the bench's own tests: a thread a connection, everything in memory, nothing checked
//! that the bench does not rely on.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Debug)]
pub(super) struct Toy {
    pub(super) door: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    accounts: HashSet<String>,
    /// Session number to login.
    sessions: Vec<String>,
    /// Where the pushes of a login go.
    attached: HashMap<String, TcpStream>,
    cookies: HashSet<String>,
    /// Who has joined a group, and whoever made it.
    groups: HashMap<String, Vec<String>>,
    messages: u64,
    short_pages: bool,
}

struct Packet {
    session: [u8; 32],
    seq: u32,
    kind: String,
    body: String,
}

impl Toy {
    pub(super) fn start() -> Toy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let door = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                thread::spawn(move || converse(stream.unwrap(), &shared));
            }
        });
        Toy { door, state }
    }

    pub(super) fn accounts(&self) -> usize {
        self.state.lock().unwrap().accounts.len()
    }

    pub(super) fn messages(&self) -> u64 {
        self.state.lock().unwrap().messages
    }

    pub(super) fn cookies(&self) -> usize {
        self.state.lock().unwrap().cookies.len()
    }

    pub(super) fn make_pages_short(&self) {
        self.state.lock().unwrap().short_pages = true;
    }
}

fn converse(mut stream: TcpStream, state: &Mutex<State>) {
    stream.set_nodelay(true).unwrap();
    while let Some(packet) = read(&mut stream) {
        let mut state = state.lock().unwrap();
        let (status, body) = state.answer(&packet, &stream);
        let bytes = frame(packet.session, packet.seq, &packet.kind, status, &body);
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

impl State {
    fn answer(&mut self, packet: &Packet, stream: &TcpStream) -> (u16, String) {
        let me = usize::from(packet.session[0]) << 8 | usize::from(packet.session[1]);
        match packet.kind.as_str() {
            "HELLO" | "CHATS-GET" => (200, "{}".into()),
            "REGISTER-PLAIN" => {
                let is_new = self.accounts.insert(value(&packet.body, "login"));
                (if is_new { 200 } else { 403 }, "{}".into())
            }
            "AUTH-PLAIN" => {
                let login = value(&packet.body, "login");
                if !self.accounts.contains(&login) {
                    return (403, "{}".into());
                }
                self.attached.insert(login.clone(), stream.try_clone().unwrap());
                self.sessions.push(login);
                let number = self.sessions.len();
                (200, format!("{{\"sessid\":\"{number:04x}{}\"}}", "0".repeat(60)))
            }
            "MESSAGE-SEND" => {
                assert!(me > 0 && me <= self.sessions.len());
                assert_eq!(value(&packet.body, "text").len(), 100);
                let cookie = value(&packet.body, "cookie");
                if !self.cookies.insert(cookie) {
                    return (201, "{}".into());
                }
                self.messages += 1;
                let (writer, chat) = (&self.sessions[me - 1], value(&packet.body, "chat_id"));
                let hearers = self.groups.get(&chat).cloned().unwrap_or_else(|| vec![chat]);
                for hearer in hearers.iter().filter(|hearer| *hearer != writer) {
                    if let Some(mut peer) = self.attached.get(hearer) {
                        let push = frame([0; 32], 0, "MESSAGE-RECEIVE", 200, "{}");
                        let _ = peer.write_all(&push);
                    }
                }
                (200, format!("{{\"message_id\":{},\"time\":1}}", self.messages))
            }
            "CHAT-CREATE" | "CHAT-JOIN" => {
                let name = if packet.kind == "CHAT-JOIN" { "chat_id" } else { "id" };
                let member = self.sessions[me - 1].clone();
                self.groups.entry(value(&packet.body, name)).or_default().push(member);
                (200, "{}".into())
            }
            "CHAT-SEARCH" => {
                let more = !packet.body.contains("id_till");
                let text = value(&packet.body, "query");
                let body =
                    format!("{{\"data\":[{{\"text\":\"{text}\"}}],\"more\":{more},\"id_till\":7}}");
                (200, body)
            }
            "CHAT-HISTORY" if self.short_pages => (200, "{\"data\":[]}".into()),
            "CHAT-HISTORY" => (200, "x".repeat(50 * 120)),
            other => panic!("the bench sent {other}"),
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Packet> {
    let mut head = [0; 41];
    stream.read_exact(&mut head).ok()?;
    let mut kind = vec![0; usize::from(head[40])];
    stream.read_exact(&mut kind).unwrap();
    let mut rest = [0; 10];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(rest[..6], [0; 6], "no request is longer than 65,535 bytes");
    let mut body = vec![0; usize::from(rest[6]) << 8 | usize::from(rest[7])];
    stream.read_exact(&mut body).unwrap();
    Some(Packet {
        session: head[4..36].try_into().unwrap(),
        seq: u32::from_be_bytes(head[36..40].try_into().unwrap()),
        kind: String::from_utf8(kind).unwrap(),
        body: String::from_utf8(body).unwrap(),
    })
}

fn frame(session: [u8; 32], seq: u32, kind: &str, status: u16, body: &str) -> Vec<u8> {
    let length = body.len() as u64;
    [
        &3u32.to_be_bytes()[..],
        &session[..],
        &seq.to_be_bytes()[..],
        &[kind.len() as u8],
        kind.as_bytes(),
        &length.to_be_bytes()[..],
        &status.to_be_bytes()[..],
        body.as_bytes(),
    ]
    .concat()
}

fn value(body: &str, field: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    value[field].as_str().unwrap().to_owned()
}
