//! One connection of the load generator: requests one at a time, each waiting for its answer.
//!
//! Nothing here reads JSON: the generator shares the processor with the server it measures.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::Duration;

use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::{Async, Timer};

use super::frame::{self, Frame, Kind};

/// What is read at once; a page of 50 short messages fits.
const READ_BYTES: usize = 32 * 1024;
/// Attempts at a request that the server puts off with 429.
const ATTEMPTS_MAX: u32 = 100;
/// The pause after a 429.
const PAUSE: Duration = Duration::from_millis(200);
/// What every account of a bench has as its password.
pub(super) const PASSWORD_TEXT: &str = "benchmark";
/// The same in base64.
const PASSWORD: &str = "YmVuY2htYXJr";

/// A stream that a link may run over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

#[derive(Debug)]
pub(super) struct Link<S> {
    stream: S,
    /// The session that requests name.
    pub(super) session: [u8; 32],
    /// The layer that they are of.
    pub(super) layer: u32,
    seq: u32,
    /// Pushes that came between the answers.
    pub(super) pushes: Pushes,
    output: Vec<u8>,
    input: Vec<u8>,
    /// What of `input` was received and not yet cut.
    unread: Range<usize>,
}

/// Pushes by what the bench makes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pushes {
    pub(super) messages: u64,
    pub(super) resyncs: u64,
}

/// An answer. The body's bytes are [`Link::body`] until the next call.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: Range<usize>,
}

/// A plain TCP connection to a door.
pub(super) async fn connect(door: SocketAddr) -> Result<Async<TcpStream>, String> {
    let stream = Async::<TcpStream>::connect(door)
        .await
        .map_err(|e| format!("cannot connect to {door}: {e}"))?;
    stream.get_ref().set_nodelay(true).map_err(|e| format!("cannot set TCP_NODELAY: {e}"))?;
    Ok(stream)
}

impl<S: Stream> Link<S> {
    pub(super) fn new(stream: S) -> Link<S> {
        Link {
            stream,
            session: frame::NOBODY,
            layer: frame::LAYER,
            seq: 0,
            pushes: Pushes::default(),
            output: Vec::new(),
            input: Vec::new(),
            unread: 0..0,
        }
    }

    /// Sends one request and waits for its answer.
    pub(super) async fn ask(&mut self, kind: &str, body: &[u8]) -> Result<Answer, String> {
        let mut request = std::mem::take(&mut self.output);
        request.clear();
        frame::request(&self.session, 0, kind, body, &mut request);
        let answer = self.ask_again(&mut request).await;
        self.output = request;
        answer
    }

    /// Sends a frame of [`frame::request`] under the next number and waits for its answer.
    pub(super) async fn ask_again(&mut self, request: &mut [u8]) -> Result<Answer, String> {
        self.seq += 1;
        frame::renumber(request, self.layer, self.seq);
        self.stream.write_all(request).await.map_err(lost)?;
        loop {
            let frame = self.next().await?;
            if frame.kind == Kind::Answer && frame.seq == self.seq {
                return Ok(Answer { status: frame.status, body: frame.body });
            }
        }
    }

    /// Like [`Link::ask`], but anything but 200 is an error, and 429 is tried again.
    pub(super) async fn insist(&mut self, kind: &str, body: &[u8]) -> Result<Answer, String> {
        for _ in 0..ATTEMPTS_MAX {
            let answer = self.ask(kind, body).await?;
            match answer.status {
                200 => return Ok(answer),
                429 => Timer::after(PAUSE).await,
                _ => return Err(self.refusal(kind, &answer)),
            };
        }
        Err(format!("{kind} was answered 429 {ATTEMPTS_MAX} times"))
    }

    pub(super) async fn register(&mut self, login: &str) -> Result<(), String> {
        self.insist("REGISTER-PLAIN", &credentials(login)).await.map(|_| ())
    }

    /// Logs in; later requests name the new session.
    pub(super) async fn log_in(&mut self, login: &str) -> Result<(), String> {
        self.session = frame::NOBODY;
        let answer = self.insist("AUTH-PLAIN", &credentials(login)).await?;
        self.session = frame::session_in(self.body(&answer))
            .ok_or_else(|| format!("no sessid in the answer to AUTH-PLAIN of {login}"))?;
        Ok(())
    }

    /// The next frame, whatever it is; pushes are counted here. Its body is valid until the next
    /// call. The end of the stream is an error.
    pub(super) async fn next(&mut self) -> Result<Frame, String> {
        loop {
            if let Some(mut frame) = frame::cut(&self.input[self.unread.clone()])? {
                let start = self.unread.start;
                frame.body = start + frame.body.start..start + frame.body.end;
                self.unread.start = frame.body.end;
                match frame.kind {
                    Kind::Message => self.pushes.messages += 1,
                    Kind::Resync => self.pushes.resyncs += 1,
                    Kind::Error => return Err(self.refusal("the connection", &frame.into())),
                    Kind::Answer | Kind::Other => {}
                }
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    pub(super) fn body(&self, answer: &Answer) -> &[u8] {
        &self.input[answer.body.clone()]
    }

    /// One sentence with what the server said.
    pub(super) fn refusal(&self, kind: &str, answer: &Answer) -> String {
        let body = String::from_utf8_lossy(self.body(answer));
        format!("{kind} was answered {}: {body}", answer.status)
    }

    async fn fill(&mut self) -> Result<(), String> {
        if self.unread.is_empty() {
            self.unread = 0..0;
        }
        if self.unread.end == self.input.len() {
            if self.unread.start > 0 {
                self.input.copy_within(self.unread.clone(), 0);
                self.unread = 0..self.unread.len();
            } else {
                self.input.resize((self.input.len() * 2).max(READ_BYTES), 0);
            }
        }
        match self.stream.read(&mut self.input[self.unread.end..]).await.map_err(lost)? {
            0 => Err("the server closed a connection".into()),
            n => {
                self.unread.end += n;
                Ok(())
            }
        }
    }
}

impl From<Frame> for Answer {
    fn from(frame: Frame) -> Answer {
        Answer { status: frame.status, body: frame.body }
    }
}

fn credentials(login: &str) -> Vec<u8> {
    format!("{{\"login\":\"{login}\",\"password\":\"{PASSWORD}\"}}").into_bytes()
}

fn lost(error: io::Error) -> String {
    format!("a connection broke: {error}")
}

#[cfg(test)]
mod tests {
    use smol::io::Cursor;

    use super::*;

    /// Reads prepared bytes, `step` at a time, and swallows what is written.
    #[derive(Debug)]
    struct Script {
        bytes: Cursor<Vec<u8>>,
        step: usize,
    }

    impl AsyncRead for Script {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let step = self.step.min(buf.len());
            std::pin::Pin::new(&mut self.bytes).poll_read(cx, &mut buf[..step])
        }
    }

    impl AsyncWrite for Script {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::task::Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn answers_are_found_between_pushes_however_the_bytes_arrive() {
        let mut bytes = Vec::new();
        frame::request(&frame::NOBODY, 0, "MESSAGE-RECEIVE", b"{}", &mut bytes);
        frame::request(&frame::NOBODY, 1, "HELLO", b"first", &mut bytes);
        frame::request(&frame::NOBODY, 0, "RESYNC", b"{}", &mut bytes);
        frame::request(&frame::NOBODY, 2, "HELLO", &[b'x'; 70_000], &mut bytes);
        for step in [1, 7, 100, 100_000] {
            let script = Script { bytes: Cursor::new(bytes.clone()), step };
            let mut link = Link::new(script);
            smol::block_on(async {
                let answer = link.ask("HELLO", b"").await.unwrap();
                assert_eq!(link.body(&answer), b"first");
                let answer = link.ask("HELLO", b"").await.unwrap();
                assert_eq!(link.body(&answer).len(), 70_000);
                assert_eq!(link.pushes, Pushes { messages: 1, resyncs: 1 });
                assert!(link.ask("HELLO", b"").await.is_err(), "the stream ended");
            });
        }
    }

    #[test]
    fn an_error_packet_is_reported_in_the_servers_words() {
        let mut bytes = Vec::new();
        frame::request(&frame::NOBODY, 0, "ERROR", b"{\"reason\":\"malformed\"}", &mut bytes);
        let mut link = Link::new(Script { bytes: Cursor::new(bytes), step: 9 });
        let error = smol::block_on(link.ask("HELLO", b"")).unwrap_err();
        assert!(error.contains("malformed"), "{error}");
    }
}
