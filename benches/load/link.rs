//! One connection: a socket that never blocks, and the client on it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::talk::{Heard, Talk};

/// On the loopback. A connection waits when too many knock at once; the kernel's own patience are
/// minutes.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

#[derive(Debug)]
pub(crate) struct Link {
    stream: Stream,
    pub(crate) talk: Box<dyn Talk>,
    /// What was received and is not yet a whole thing.
    rest: Vec<u8>,
    /// What is to be sent, from `sent` on.
    output: Vec<u8>,
    sent: usize,
    /// Bytes received so far.
    pub(crate) received: u64,
}

impl Link {
    /// Connects, and shakes hands where there is TLS. The socket does not block from then on.
    pub(crate) fn connect(
        door: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        talk: Box<dyn Talk>,
    ) -> Result<Link, String> {
        let failed = |e: std::io::Error| format!("cannot connect to {door}: {e}");
        let mut socket = TcpStream::connect_timeout(&door, CONNECT_DEADLINE).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let mut session =
                    ClientConnection::new(config.clone(), ServerName::from(door.ip()))
                        .map_err(|e| format!("cannot begin TLS: {e}"))?;
                socket.set_read_timeout(Some(HANDSHAKE_DEADLINE)).map_err(failed)?;
                while session.is_handshaking() {
                    session.complete_io(&mut socket).map_err(failed)?;
                }
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        let link =
            Link { stream, talk, rest: Vec::new(), output: Vec::new(), sent: 0, received: 0 };
        link.socket().set_nonblocking(true).map_err(failed)?;
        Ok(link)
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref(),
        }
    }

    /// The client says something.
    pub(crate) fn say<T>(
        &mut self,
        what: impl FnOnce(&mut dyn Talk, &mut Vec<u8>) -> T,
    ) -> Result<T, String> {
        let said = what(&mut *self.talk, &mut self.output);
        self.flush()?;
        Ok(said)
    }

    /// Whether something waits for room in the socket.
    pub(crate) fn is_waiting(&self) -> bool {
        self.sent < self.output.len()
    }

    /// Sends what can be sent.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        while self.sent < self.output.len() {
            let left = &self.output[self.sent..];
            let written = match &mut self.stream {
                Stream::Plain(socket) => socket.write(left),
                Stream::Tls(stream) => stream.write(left),
            };
            match written {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(lost(e)),
            }
        }
        self.output.clear();
        self.sent = 0;
        if let Stream::Tls(stream) = &mut self.stream {
            match stream.flush() {
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(lost(e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads what is there, through `chunk`, and adds what it means.
    pub(crate) fn receive(
        &mut self,
        chunk: &mut [u8],
        heard: &mut Vec<Heard>,
    ) -> Result<(), String> {
        loop {
            let read = match &mut self.stream {
                Stream::Plain(socket) => socket.read(chunk),
                Stream::Tls(stream) => stream.read(chunk),
            };
            let n = match read {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(lost(e)),
            };
            self.received += n as u64;
            self.take(&chunk[..n], heard)?;
            // Less than there was room for: the socket is empty, as far as plain ones tell.
            if n < chunk.len() && matches!(self.stream, Stream::Plain(_)) {
                return Ok(());
            }
        }
    }

    fn take(&mut self, fresh: &[u8], heard: &mut Vec<Heard>) -> Result<(), String> {
        if self.rest.is_empty() {
            let taken = hear(&mut *self.talk, fresh, &mut self.output, heard)?;
            self.rest.extend_from_slice(&fresh[taken..]);
        } else {
            self.rest.extend_from_slice(fresh);
            let taken = hear(&mut *self.talk, &self.rest, &mut self.output, heard)?;
            self.rest.drain(..taken);
        }
        if self.rest.is_empty() {
            // An idle connection holds nothing here either.
            self.rest = Vec::new();
        }
        self.flush()
    }
}

fn hear(
    talk: &mut dyn Talk,
    input: &[u8],
    out: &mut Vec<u8>,
    heard: &mut Vec<Heard>,
) -> Result<usize, String> {
    let mut at = 0;
    while at < input.len() {
        match talk.hear(&input[at..], out)? {
            Some((taken, Heard::Nothing)) => at += taken,
            Some((taken, thing)) => {
                at += taken;
                heard.push(thing);
            }
            None => break,
        }
    }
    Ok(at)
}

fn lost(error: std::io::Error) -> String {
    format!("a connection broke: {error}")
}
