//! The other driver: HTTP requests × the same dialogues, long polls, and the way to WebSocket.
//!
//! One request at a time, answered in the order of arrival. **A POST holds no seat; a fetch holds
//! one while it is parked** and drops everything of its request before it parks. A fetch whose
//! client is known to be gone takes nothing (mSIM 2, decision 29).

mod channels;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::domain::id::SessionId;
use crate::domain::words::{Refusal, Reply};
use crate::engine::{Holder, Mail, Seat};
use crate::metrics::Carrier;
use crate::net::alarm::Alarm;
use crate::net::converse::{Opening, converse};
use crate::net::guest::Guest;
use crate::net::host::{Core, Host, SMALL_BYTES};
use crate::net::stream::{Stream, part, poll_fill, send};
use crate::pool::Share;
use crate::wire::http::{CONTINUE, Codec, Manner, Method, Request};
use crate::wire::msim2::http::{self as msim2_http, Door, NO_SUCH_PATH, Voice};
use crate::wire::msim2::refusal::{self, Wrong};
use crate::wire::msim2::{self, Dialogue, Packet, in_force};
use crate::wire::{Buffer, Dialogue as _, House, Next, Told};
use channels::{Channel, Errand};

/// What `/` shows.
const PAGE: &str = include_str!("page.html");
/// Bytes that a client may send after a fetch or a poll before that is answered. With more, its
/// going away is noticed only when that is over.
const PARKED_INPUT_BYTES: usize = SMALL_BYTES;

/// Serves requests until either side ends the connection, or it is a WebSocket and that ends.
pub(super) async fn serve<X: Core>(
    host: &Arc<Host<X>>,
    guest: &mut Guest,
    stream: Stream,
) -> io::Result<()> {
    let house = host.house();
    let mut visit = Visit {
        host,
        guest,
        stream,
        codec: Codec::new(house.config.limits.max_packet_bytes),
        house,
        input: Buffer::default(),
        out: Vec::new(),
        share: Share::none(&host.buffers),
        deadline: None,
        alarm: Alarm::default(),
    };
    match visit.run().await? {
        End::Gone => Ok(()),
        End::Over => {
            // Stopping does not wait for the client to see the end.
            let leaving = visit.guest.is_leaving();
            let linger = if leaving { Duration::ZERO } else { host.patience.linger };
            part(&mut visit.stream, linger).await;
            Ok(())
        }
        End::Upgraded(upgrade) => {
            let (stream, input) = visit.leave();
            go_on(host, guest, stream, input, upgrade).await
        }
    }
}

/// One future of either kind, boxed: side by side in one they would take the room of both.
fn go_on<'a, X: Core>(
    host: &'a Host<X>,
    guest: &'a mut Guest,
    stream: Stream,
    input: Buffer,
    upgrade: Upgrade,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
    match upgrade {
        Upgrade::Msim2 { layer, session } => {
            guest.becomes(Carrier::WebSocket);
            Box::pin(talk(host, guest, stream, input, layer, session))
        }
        Upgrade::Tinode { id } => {
            guest.becomes(Carrier::Tinode);
            Box::pin(channels::talk(host, guest, stream, input, id))
        }
    }
}

async fn talk<X: Core>(
    host: &Host<X>,
    guest: &Guest,
    stream: Stream,
    input: Buffer,
    layer: u32,
    session: Option<SessionId>,
) -> io::Result<()> {
    let codec = msim2::ws::Codec::new(layer, host.house().config.limits.max_packet_bytes);
    let house = host.house();
    let dialogue = match session {
        Some(session) => Dialogue::with_session(house, msim2::Carrier::WebSocket, session),
        None => Dialogue::new(house, msim2::Carrier::WebSocket),
    };
    let session = session.map(|session| (session, in_force(layer)));
    converse(host, guest, stream, codec, dialogue, Opening { input, session }).await
}

struct Visit<'a, X> {
    host: &'a Arc<Host<X>>,
    guest: &'a Guest,
    stream: Stream,
    codec: Codec,
    house: Arc<House>,
    input: Buffer,
    /// Responses that are not sent.
    out: Vec<u8>,
    /// Of the memory for all connections.
    share: Share<'a>,
    /// When the request that has begun must have ended, or the next one begun.
    deadline: Option<Deadline>,
    alarm: Alarm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadline {
    Begin(Instant),
    End(Instant),
}

/// How serving requests ends.
enum End {
    Gone,
    /// The last response is sent.
    Over,
    Upgraded(Upgrade),
}

/// What a WebSocket speaks.
enum Upgrade {
    Msim2 { layer: u32, session: Option<SessionId> },
    Tinode { id: Option<Box<str>> },
}

/// What a request needs beyond what can be said at once.
enum Task {
    /// Nothing: its response is written.
    Said,
    Ask(Box<Packet>),
    Fetch {
        layer: u32,
        session: Option<SessionId>,
    },
    Errand(Box<Errand>),
    Upgrade(Upgrade),
}

/// What of a request its response needs.
#[derive(Clone, Copy)]
struct Asked {
    manner: Manner,
    /// Which of the configured origins its page has.
    origin: Option<u16>,
}

/// What a parked fetch hears.
enum Heard {
    Mail(Mail),
    Closed,
    /// The time is over, or the server stops.
    Nothing,
}

/// A seat held for the time of a fetch.
struct Parked {
    seat: Arc<Seat>,
    holder: Holder,
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.seat.release(self.holder);
    }
}

impl<X: Core> Visit<'_, X> {
    async fn run(&mut self) -> io::Result<End> {
        loop {
            let request = match self.codec.decode(&mut self.input) {
                Ok(Some(request)) => request,
                Ok(None) => {
                    if self.codec.takes_continue() {
                        self.out.extend_from_slice(CONTINUE);
                        self.send().await?;
                    }
                    if !self.more().await? {
                        return Ok(End::Gone);
                    }
                    continue;
                }
                Err(bad) => {
                    Voice { manner: Manner::LAST, origin: None, out: &mut self.out }.bad(bad);
                    self.send().await?;
                    return Ok(End::Over);
                }
            };
            self.deadline = None;
            let (task, asked) = self.take(request);
            let keep_alive = match task {
                Task::Said => asked.manner.keep_alive,
                Task::Ask(packet) => Box::pin(self.ask(*packet, asked)).await?,
                Task::Fetch { layer, session } => {
                    match Box::pin(self.fetch(layer, session, asked)).await? {
                        Some(keep_alive) => keep_alive,
                        None => return Ok(End::Gone),
                    }
                }
                Task::Errand(errand) => match Box::pin(self.run_errand(*errand, asked)).await? {
                    Some(keep_alive) => keep_alive,
                    None => return Ok(End::Gone),
                },
                Task::Upgrade(upgrade) => {
                    self.send().await?;
                    return Ok(End::Upgraded(upgrade));
                }
            };
            self.send().await?;
            if !keep_alive {
                return Ok(End::Over);
            }
        }
    }

    /// Apart from [`Self::run`], so that no request is part of its future.
    fn take(&mut self, request: Request) -> (Task, Asked) {
        let asked = Asked { manner: request.manner, origin: self.origin(&request) };
        (self.sort(request, asked), asked)
    }

    /// What of it a WebSocket goes on with.
    fn leave(self) -> (Stream, Buffer) {
        (self.stream, self.input)
    }

    async fn send(&mut self) -> io::Result<()> {
        self.host.metrics.bytes_out.add(self.out.len() as u64);
        let stuck = self.host.patience.stuck;
        send(&mut self.stream, &mut self.out, stuck, &mut self.share).await
    }

    /// Waits for more bytes; false when none are to be waited for any longer.
    async fn more(&mut self) -> io::Result<bool> {
        let patience = &self.host.patience;
        self.deadline = match (self.codec.is_unfinished(&self.input), self.deadline) {
            (true, end @ Some(Deadline::End(_))) => end,
            (true, Some(Deadline::Begin(_)) | None) => {
                Some(Deadline::End(Instant::now() + patience.unfinished))
            }
            (false, begin @ Some(Deadline::Begin(_))) => begin,
            (false, Some(Deadline::End(_)) | None) => {
                Some(Deadline::Begin(Instant::now() + patience.nameless))
            }
        };
        let held = self.input.len() + self.codec.held();
        // A vector that grows has up to twice the room it needs. Without room, ending this
        // connection is what keeps the others'.
        if !self.share.resize(if held <= SMALL_BYTES { 0 } else { 2 * held }) {
            return Ok(false);
        }
        let at = self.deadline.map(|(Deadline::Begin(at) | Deadline::End(at))| at);
        self.alarm.set(at);
        poll_fn(|cx| {
            if self.guest.is_leaving() {
                return Poll::Ready(Ok(false));
            }
            if let Poll::Ready(n) = self.poll_fill(cx)? {
                return Poll::Ready(Ok(0 < n));
            }
            self.alarm.poll(cx).map(|()| Ok(false))
        })
        .await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let filled = poll_fill(&mut self.stream, cx, &mut self.input);
        if let Poll::Ready(Ok(n)) = filled {
            self.host.metrics.bytes_in.add(n as u64);
        }
        filled
    }

    fn origin(&self, request: &Request) -> Option<u16> {
        let origin = request.field("origin")?;
        let known = &self.house.config.http.origins;
        known.iter().position(|known| **known == *origin).and_then(|n| u16::try_from(n).ok())
    }

    fn voice(&mut self, asked: Asked) -> Voice<'_> {
        let known = &self.house.config.http.origins;
        let origin = asked.origin.and_then(|n| known.get(usize::from(n)).map(|o| o.as_str()));
        let keep_alive = asked.manner.keep_alive && !self.guest.is_leaving();
        let manner = Manner { keep_alive, ..asked.manner };
        Voice { manner, origin, out: &mut self.out }
    }

    /// Says what can be said at once.
    fn sort(&mut self, request: Request, asked: Asked) -> Task {
        let method = request.method;
        if let Some(channel) = Channel::at(&request.path) {
            return self.sort_channel(channel, request, asked);
        }
        let Some(door) = Door::at(&request.path) else {
            let voice = self.voice(asked);
            match (&*request.path, method) {
                ("/", Method::Get | Method::Head) => voice.page(PAGE),
                ("/", Method::Post | Method::Options | Method::Other) => {
                    voice.wrong_method("GET, HEAD");
                }
                (_, _) => voice.wrong(&NO_SUCH_PATH, None),
            }
            return Task::Said;
        };
        if method == Method::Options && request.field("origin").is_some() {
            self.voice(asked).preflight();
            return Task::Said;
        }
        if method != door.method() {
            self.voice(asked).wrong_method(door.allowed());
            return Task::Said;
        }
        let session = msim2_http::session(&request);
        match door {
            Door::Packet { layer, kind } => {
                if !msim2_http::is_utf8(&request) {
                    let detail = "a charset other than UTF-8";
                    self.voice(asked).wrong_packet(&kind, &refusal::MALFORMED, detail);
                    return Task::Said;
                }
                let body = request.body;
                Task::Ask(Box::new(Packet {
                    layer,
                    session,
                    seq: 0,
                    kind,
                    status: 0,
                    body: body.into(),
                }))
            }
            Door::Fetch { layer } => Task::Fetch { layer: in_force(layer), session },
            Door::Socket { layer } => match msim2_http::accept(&request) {
                Ok(accept) => {
                    self.voice(asked).upgraded(&accept);
                    Task::Upgrade(Upgrade::Msim2 { layer, session })
                }
                Err(wrong) => {
                    self.voice(asked).no_upgrade(&wrong);
                    Task::Said
                }
            },
        }
    }

    /// One packet, one answer; a dialogue of its own. True: the connection is kept.
    async fn ask(&mut self, packet: Packet, asked: Asked) -> io::Result<bool> {
        let mut dialogue = Dialogue::new(self.house.clone(), msim2::Carrier::Http);
        let mut said = Vec::new();
        let mut refused = None;
        let mut next = dialogue.on_packet(packet, &mut said);
        while let Next::Ask(ask) = next {
            let answer = self.host.core.ask(self.guest.peer, ask).await;
            refused = answer.reply.as_ref().err().copied();
            next = dialogue.on_reply(answer.reply, &mut said);
        }
        let voice = self.voice(asked);
        let keep_alive = voice.manner.keep_alive;
        match said.first() {
            Some(packet) => voice.packet(packet, refused),
            None => voice.wrong(&refusal::INTERNAL, None),
        }
        Ok(keep_alive)
    }

    /// The next update of a session. `None`: its client has gone.
    async fn fetch(
        &mut self,
        layer: u32,
        session: Option<SessionId>,
        asked: Asked,
    ) -> io::Result<Option<bool>> {
        let seat = match session {
            Some(session) => self.host.core.seat(session, layer).await.map(|seat| (session, seat)),
            None => Err(Refusal::NoSession),
        };
        let (session, seat) = match seat {
            Ok(found) => found,
            Err(refusal) => return Ok(Some(self.refuse(refusal, asked))),
        };
        let parked = Parked { seat, holder: Holder::new() };
        poll_fn(|cx| {
            parked.seat.hold(parked.holder, cx.waker());
            Poll::Ready(())
        })
        .await;
        self.alarm.set(Some(Instant::now() + self.host.patience.hold));
        loop {
            let update = match poll_fn(|cx| self.poll_heard(cx, &parked)).await? {
                Heard::Closed => return Ok(None),
                Heard::Nothing | Heard::Mail(Mail::Moved) => {
                    let voice = self.voice(asked);
                    let keep_alive = voice.manner.keep_alive;
                    voice.nothing();
                    return Ok(Some(keep_alive));
                }
                Heard::Mail(Mail::Ended) => {
                    return Ok(Some(self.refuse(Refusal::UnknownSession, asked)));
                }
                Heard::Mail(Mail::Event { event, order: _ }) => {
                    msim2::push(&session, layer, &Told::Event(&event))
                }
                Heard::Mail(Mail::Lost) => {
                    let answer = Box::pin(self.host.core.newest(&parked.seat)).await;
                    let Ok(Reply::Newest(last)) = answer.reply else {
                        // The client asks for what it missed after any fetch that failed.
                        return Ok(Some(self.refuse(Refusal::Unavailable, asked)));
                    };
                    parked.seat.forget_until(answer.order);
                    msim2::push(&session, layer, &Told::Resync { last })
                }
            };
            // What the layer has no word for is dropped (mSIM 2, decision 5).
            if let Some(packet) = update {
                let voice = self.voice(asked);
                let keep_alive = voice.manner.keep_alive;
                voice.packet(&packet, None);
                return Ok(Some(keep_alive));
            }
        }
    }

    fn poll_heard(&mut self, cx: &mut Context<'_>, parked: &Parked) -> Poll<io::Result<Heard>> {
        // First of all: a client that is gone takes nothing.
        if self.poll_gone(cx)?.is_ready() {
            return Poll::Ready(Ok(Heard::Closed));
        }
        if self.guest.is_leaving() {
            return Poll::Ready(Ok(Heard::Nothing));
        }
        if let Some(mail) = parked.seat.take(parked.holder) {
            return Poll::Ready(Ok(Heard::Mail(mail)));
        }
        self.alarm.poll(cx).map(|()| Ok(Heard::Nothing))
    }

    /// Ready when the client of a parked request is known to have gone. The socket itself is asked,
    /// because the end may have come since the reactor last looked.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        self.stream.doubt();
        while self.input.len() < PARKED_INPUT_BYTES {
            match self.poll_fill(cx)? {
                Poll::Ready(0) => return Ok(Poll::Ready(())),
                Poll::Ready(_) => {}
                Poll::Pending => break,
            }
        }
        Ok(Poll::Pending)
    }

    fn refuse(&mut self, refusal: Refusal, asked: Asked) -> bool {
        let voice = self.voice(asked);
        let keep_alive = voice.manner.keep_alive;
        voice.wrong(&Wrong::from(refusal), None);
        keep_alive
    }
}

#[cfg(test)]
mod tests;
