//! mSIM 2 over TCP: binary frames (mSIM 2 §2).

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Line, Packet, base64, body_of, hex, session_bytes};

#[derive(Debug)]
pub struct Tcp {
    pub line: Line,
    seq: u32,
}

/// One frame, as a client or a forger writes it.
pub fn frame(
    layer: u32,
    session: &[u8; 32],
    seq: u32,
    kind: &[u8],
    status: u16,
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&layer.to_be_bytes());
    bytes.extend_from_slice(session);
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.push(kind.len() as u8);
    bytes.extend_from_slice(kind);
    bytes.extend_from_slice(&(body.len() as u64).to_be_bytes());
    bytes.extend_from_slice(&status.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

impl Tcp {
    pub fn connect(address: SocketAddr) -> Result<Tcp, String> {
        Ok(Tcp::over(Line::connect(address)?))
    }

    pub fn over(line: Line) -> Tcp {
        Tcp { line, seq: 0 }
    }

    /// Sends a packet and returns its number.
    pub fn send(
        &mut self,
        layer: u32,
        session: Option<&str>,
        kind: &str,
        body: &[u8],
    ) -> Result<u32, String> {
        self.seq += 1;
        let seq = self.seq;
        self.send_as(seq, layer, session, kind, 0, body)?;
        Ok(seq)
    }

    pub fn send_as(
        &mut self,
        seq: u32,
        layer: u32,
        session: Option<&str>,
        kind: &str,
        status: u16,
        body: &[u8],
    ) -> Result<(), String> {
        let session = session.map_or(Ok([0; 32]), session_bytes)?;
        self.line.send(&frame(layer, &session, seq, kind.as_bytes(), status, body))
    }

    /// The next packet; `None` at the end of the stream.
    pub fn receive(&mut self) -> Result<Option<Packet>, String> {
        let Some(head) = self.line.take(41)? else { return Ok(None) };
        let kind = self.whole(usize::from(head[40]))?;
        let tail = self.whole(10)?;
        let length = u64::from_be_bytes(tail[..8].try_into().expect("eight bytes"));
        if length > 2 << 20 {
            return Err(format!("a frame of {length} bytes, clients need accept 2 MiB"));
        }
        let body = self.whole(length as usize)?;
        let zero = head[4..36].iter().all(|b| *b == 0);
        Ok(Some(Packet {
            layer: Some(u32::from_be_bytes(head[..4].try_into().expect("four bytes"))),
            session: (!zero).then(|| hex(&head[4..36])),
            seq: u32::from_be_bytes(head[36..40].try_into().expect("four bytes")),
            kind: String::from_utf8(kind).map_err(|e| format!("a type that is no text: {e}"))?,
            status: u16::from_be_bytes(tail[8..].try_into().expect("two bytes")),
            body: body_of(&body)?,
        }))
    }

    fn whole(&mut self, n: usize) -> Result<Vec<u8>, String> {
        self.line.take(n)?.ok_or_else(|| "the stream ended within a frame".into())
    }
}

/// What most tests speak.
const LAYER: u32 = 3;

/// Somebody logged in over TCP: what tests that are not transcripts speak through.
#[derive(Debug)]
pub struct User {
    pub tcp: Tcp,
    pub session: String,
    /// Of what it asks; 3 at first.
    pub layer: u32,
    /// What was pushed and not looked at yet, in order of arrival.
    pub pushes: VecDeque<Packet>,
}

pub fn password_of(login: &str) -> String {
    base64(format!("secret of {login}").as_bytes())
}

impl User {
    /// Registers `login`, unless it is there already, and logs in.
    pub fn enter(address: SocketAddr, login: &str) -> Result<User, String> {
        let mut tcp = Tcp::connect(address)?;
        let who = json!({ "login": login, "password": password_of(login) });
        let answer = ask(&mut tcp, LAYER, None, "REGISTER-PLAIN", &who, &mut VecDeque::new())?;
        if answer.status != 200 && answer.body["reason"] != "login-taken" {
            return Err(format!("{login} cannot register: {answer:?}"));
        }
        User::log_in(tcp, login)
    }

    /// Logs in as an account that exists.
    pub fn again(address: SocketAddr, login: &str) -> Result<User, String> {
        User::log_in(Tcp::connect(address)?, login)
    }

    fn log_in(mut tcp: Tcp, login: &str) -> Result<User, String> {
        let who = json!({ "login": login, "password": password_of(login) });
        let answer = ask(&mut tcp, LAYER, None, "AUTH-PLAIN", &who, &mut VecDeque::new())?;
        let Some(session) = answer.body["sessid"].as_str().filter(|_| answer.status == 200) else {
            return Err(format!("{login} cannot log in: {answer:?}"));
        };
        Ok(User { session: session.into(), tcp, layer: LAYER, pushes: VecDeque::new() })
    }

    /// Comes back with a session it has.
    pub fn resume(address: SocketAddr, session: &str) -> Result<User, String> {
        let tcp = Tcp::connect(address)?;
        Ok(User { tcp, session: session.into(), layer: LAYER, pushes: VecDeque::new() })
    }

    /// Asks and waits for the answer; pushes on the way are kept.
    pub fn ask(&mut self, kind: &str, body: &Value) -> Result<Packet, String> {
        ask(&mut self.tcp, self.layer, Some(&self.session), kind, body, &mut self.pushes)
    }

    /// The same, and the answer must be 200.
    pub fn get(&mut self, kind: &str, body: &Value) -> Result<Value, String> {
        let answer = self.ask(kind, body)?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(format!("{kind} {body}: {} {}", answer.status, answer.body))
        }
    }

    /// The next push, waiting for it.
    pub fn hear(&mut self) -> Result<Packet, String> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(push);
        }
        self.tcp.receive()?.ok_or_else(|| "the stream ended instead of a push".into())
    }
}

fn ask(
    tcp: &mut Tcp,
    layer: u32,
    session: Option<&str>,
    kind: &str,
    body: &Value,
    pushes: &mut VecDeque<Packet>,
) -> Result<Packet, String> {
    let seq = tcp.send(layer, session, kind, body.to_string().as_bytes())?;
    loop {
        let packet =
            tcp.receive()?.ok_or_else(|| format!("the stream ended instead of {kind}'s answer"))?;
        if packet.is_push() {
            pushes.push_back(packet);
        } else if packet.seq == seq && packet.kind == kind {
            return Ok(packet);
        } else {
            return Err(format!("an answer to something else than {kind} {seq}: {packet:?}"));
        }
    }
}
