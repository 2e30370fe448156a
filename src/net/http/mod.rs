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
use crate::net::stream::{Sending, Stream, part, poll_fill, poll_send};
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

/// Serves requests until either side ends the connection, or it is a WebSocket and that ends. An
/// error is noted already.
pub(super) async fn serve<X: Core>(
    host: &Arc<Host<X>>,
    guest: Guest,
    stream: Stream,
) -> io::Result<()> {
    // In a box, so that a WebSocket keeps no room for it.
    match Box::pin(visit(host, guest, stream)).await? {
        Some(upgraded) => go_on(host, *upgraded).await,
        None => Ok(()),
    }
}

/// Lasts until either side ends it or a WebSocket is to go on.
fn visit<X: Core>(
    host: &Arc<Host<X>>,
    guest: Guest,
    stream: Stream,
) -> impl Future<Output = io::Result<Option<Box<Upgraded>>>> + use<'_, X> {
    let mut visit = Visit::new(host, guest, stream);
    async move {
        let end = visit.run().await;
        match end {
            Ok(End::Gone) => Ok(None),
            Ok(End::Over) => {
                // Stopping does not wait for the client to see the end.
                let leaving = visit.guest.is_leaving();
                let linger = if leaving { Duration::ZERO } else { host.patience.linger };
                Box::pin(part(&mut visit.stream, linger)).await;
                Ok(None)
            }
            Ok(End::Upgraded(upgrade)) => {
                Ok(Some(Box::new((visit.guest, visit.stream, visit.input, *upgrade))))
            }
            Err(error) => {
                let end = Err(error);
                visit.guest.note(&end);
                end.map(|()| None)
            }
        }
    }
}

/// What a WebSocket goes on with.
type Upgraded = (Guest, Stream, Buffer, Upgrade);

/// One future of either kind, boxed: side by side in one they would take the room of both.
fn go_on<X: Core>(
    host: &Host<X>,
    (mut guest, stream, input, upgrade): Upgraded,
) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + '_>> {
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

/// No `async fn`: that would keep its arguments beside what is made of them.
fn talk<X: Core>(
    host: &Host<X>,
    guest: Guest,
    stream: Stream,
    input: Buffer,
    layer: u32,
    session: Option<SessionId>,
) -> impl Future<Output = io::Result<()>> + use<'_, X> {
    let codec = msim2::ws::Codec::new(layer, host.house().config.limits.max_packet_bytes);
    let house = host.house();
    let dialogue = match session {
        Some(session) => Dialogue::with_session(house, msim2::Carrier::WebSocket, session),
        None => Dialogue::new(house, msim2::Carrier::WebSocket),
    };
    let session = session.map(|session| (session, in_force(layer)));
    converse(host, guest, stream, codec, dialogue, Opening { input, session })
}

struct Visit<'a, X> {
    host: &'a Arc<Host<X>>,
    stream: Stream,
    codec: Codec,
    house: Arc<House>,
    input: Buffer,
    /// Responses that are not sent.
    out: Vec<u8>,
    sending: Sending,
    /// Of the memory for all connections.
    share: Share<'a>,
    /// When the request that has begun must have ended, or the next one begun.
    deadline: Option<Deadline>,
    alarm: Alarm,
    /// The last, because it says that all the others are gone.
    guest: Guest,
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
    Upgraded(Box<Upgrade>),
}

/// What comes of the bytes that are here.
enum Turn {
    /// They are no whole request.
    Idle,
    /// They are none at all, which has been said.
    Bad,
    Do(Task, Asked),
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
    Fetch(Box<(u32, Option<SessionId>)>),
    Errand(Box<Errand>),
    Upgrade(Box<Upgrade>),
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

impl<'a, X: Core> Visit<'a, X> {
    fn new(host: &'a Arc<Host<X>>, guest: Guest, stream: Stream) -> Visit<'a, X> {
        let house = host.house();
        Visit {
            host,
            stream,
            codec: Codec::new(house.config.limits.max_packet_bytes),
            house,
            input: Buffer::default(),
            out: Vec::new(),
            sending: Sending::default(),
            share: Share::none(&host.buffers),
            deadline: None,
            alarm: Alarm::default(),
            guest,
        }
    }

    async fn run(&mut self) -> io::Result<End> {
        loop {
            let (task, asked) = match self.turn() {
                Turn::Do(task, asked) => (task, asked),
                turn @ (Turn::Idle | Turn::Bad) => {
                    let is_bad = matches!(turn, Turn::Bad);
                    if !self.out.is_empty() {
                        self.send().await?;
                    }
                    if is_bad {
                        return Ok(End::Over);
                    }
                    if !self.more().await? {
                        return Ok(End::Gone);
                    }
                    continue;
                }
            };
            let keep_alive = match task {
                Task::Said => asked.manner.keep_alive,
                Task::Ask(packet) => Box::pin(self.ask(packet, asked)).await?,
                Task::Fetch(fetch) => match Box::pin(self.fetch(fetch, asked)).await? {
                    Some(keep_alive) => keep_alive,
                    None => return Ok(End::Gone),
                },
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

    /// Takes the next request. Apart from [`Self::run`], so that none is part of its future.
    fn turn(&mut self) -> Turn {
        match self.codec.decode(&mut self.input) {
            Ok(Some(request)) => {
                self.deadline = None;
                let asked = Asked { manner: request.manner, origin: self.origin(&request) };
                Turn::Do(self.sort(request, asked), asked)
            }
            Ok(None) => {
                if self.codec.takes_continue() {
                    self.out.extend_from_slice(CONTINUE);
                }
                Turn::Idle
            }
            Err(bad) => {
                Voice { manner: Manner::LAST, origin: None, out: &mut self.out }.bad(bad);
                Turn::Bad
            }
        }
    }

    fn send(&mut self) -> impl Future<Output = io::Result<()>> {
        self.host.metrics.bytes_out.add(self.out.len() as u64);
        poll_fn(|cx| self.poll_send(cx))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Visit { stream, out, sending, share, .. } = self;
        poll_send(stream, cx, out, sending, self.host.patience.stuck, share)
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
        let filled = poll_fill(&mut self.stream, cx, |bytes| self.input.extend(bytes));
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
            Door::Fetch { layer } => Task::Fetch(Box::new((in_force(layer), session))),
            Door::Socket { layer } => match msim2_http::accept(&request) {
                Ok(accept) => {
                    self.voice(asked).upgraded(&accept);
                    Task::Upgrade(Box::new(Upgrade::Msim2 { layer, session }))
                }
                Err(wrong) => {
                    self.voice(asked).no_upgrade(&wrong);
                    Task::Said
                }
            },
        }
    }

    /// One packet, one answer; a dialogue of its own. True: the connection is kept.
    async fn ask(&mut self, packet: Box<Packet>, asked: Asked) -> io::Result<bool> {
        let mut dialogue = Dialogue::new(self.house.clone(), msim2::Carrier::Http);
        let mut said = Vec::new();
        let mut refused = None;
        let mut next = dialogue.on_packet(*packet, &mut said);
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
        fetch: Box<(u32, Option<SessionId>)>,
        asked: Asked,
    ) -> io::Result<Option<bool>> {
        let (layer, session) = *fetch;
        let seat = match session {
            // In a box, which is gone before anything is parked.
            Some(session) => Box::pin(self.host.core.seat(session, layer)).await,
            None => Err(Refusal::NoSession),
        };
        let (session, parked) = match (session, seat) {
            (Some(session), Ok(seat)) => (session, Parked { seat, holder: Holder::new() }),
            (None, Ok(_)) => return Ok(Some(self.refuse(Refusal::NoSession, asked))),
            (_, Err(refusal)) => return Ok(Some(self.refuse(refusal, asked))),
        };
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
