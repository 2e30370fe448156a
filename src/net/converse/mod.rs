//! The driver: a stream, plain or encrypted, × any codec × any dialogue.
//!
//! One question at a time: while its answer is under way nothing more is read, and TCP tells the
//! client to wait. That gives fairness, backpressure and the order of answers for nothing.
//!
//! **What came before an answer is told before it:** mail with a smaller order than the answer's is
//! written first, later mail after it. **Mail that waits for a newly attached session follows the
//! answer** to the packet that attached it (mSIM 2, decision 6).
//!
//! **An idle connection has no buffers and no timer.** What is read goes through a scratch on the
//! stack, what is written is freed once it is sent; questions and farewells live in boxes while they
//! last.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::future::{poll_once, yield_now};

use crate::domain::id::SessionId;
use crate::domain::words::{Refusal, Reply};
use crate::engine::Mail;
use crate::net::alarm::Alarm;
use crate::net::guest::Guest;
use crate::net::host::{Core, Host, SMALL_BYTES};
use crate::net::seats::Seats;
use crate::net::stream::{Stream, part, poll_fill, send};
use crate::pool::Share;
use crate::wire::{Ask, Broken, Buffer, Codec, Dialogue, Farewell, Next, Told, What};

/// Past this, what waits to be written is written before more is said. With one answer on top of it
/// that is all a connection ever holds.
const OUT_BYTES: usize = 64 * 1024;
/// Turns of the loop after which others get theirs, however much this peer sends.
const TURNS: u32 = 16;

/// How a conversation begins.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Bytes that have been read already.
    pub(super) input: Buffer,
    /// The session that the connection as a whole is for, and its layer.
    pub(super) session: Option<(SessionId, u32)>,
}

/// Talks until either side ends it. An error is the connection's, of interest to nobody but a log.
///
/// No `async fn`: that would keep its arguments beside what is made of them, for as long as the
/// connection lives.
pub(super) fn converse<'a, X, C, D>(
    host: &'a Host<X>,
    guest: &'a Guest,
    stream: Stream,
    codec: C,
    dialogue: D,
    opening: Opening,
) -> impl Future<Output = io::Result<()>> + use<'a, X, C, D>
where
    X: Core,
    C: Codec,
    D: Dialogue<Packet = C::Packet>,
{
    let now = Instant::now();
    let mut talk = Talk {
        host,
        guest,
        stream,
        beat: codec.beat_secs().map(|secs| now + Duration::from_secs(secs)),
        codec,
        dialogue,
        input: opening.input,
        out: Vec::new(),
        said: Vec::new(),
        seats: Seats::new(),
        share: Share::none(&host.buffers),
        nameless: Some(now + host.patience.nameless),
        unfinished: None,
        alarm: Alarm::default(),
    };
    let session = opening.session.map(Box::new);
    async move {
        talk.dialogue.on_open(&mut talk.said);
        talk.encode();
        if let Some(session) = session {
            Box::pin(talk.sit_down(*session)).await;
        }
        let end = match talk.run().await {
            Ok(End::Gone) => Ok(()),
            Ok(End::Broken(broken)) => Box::pin(talk.break_off(broken)).await,
            Ok(End::Farewell(why)) => Box::pin(talk.leave(why)).await,
            Err(error) => Err(error),
        };
        while let Some(ask) = talk.dialogue.last_words() {
            Box::pin(host.core.ask(guest.peer, ask)).await;
        }
        end
    }
}

struct Talk<'a, X, C, D: Dialogue> {
    host: &'a Host<X>,
    guest: &'a Guest,
    stream: Stream,
    codec: C,
    dialogue: D,
    input: Buffer,
    /// Encoded and not sent.
    out: Vec<u8>,
    /// Said and not encoded.
    said: Vec<D::Packet>,
    seats: Seats,
    /// Of the memory for all connections.
    share: Share<'a>,
    /// By then a session must have been named; `None` once it was.
    nameless: Option<Instant>,
    /// By then the packet that has begun must have ended.
    unfinished: Option<Instant>,
    /// The next heartbeat.
    beat: Option<Instant>,
    alarm: Alarm,
}

/// How a conversation ends.
enum End<P> {
    Gone,
    Broken(Box<Broken<P>>),
    Farewell(Farewell),
}

/// What comes of the bytes that are here.
enum Step<P> {
    /// They are no whole packet.
    Idle,
    Said,
    Ask(Box<Ask>),
    End(End<P>),
}

impl<P> Step<P> {
    /// What a dialogue wants to be done.
    fn of(next: Next) -> Step<P> {
        match next {
            Next::Listen => Step::Said,
            Next::Ask(ask) => Step::Ask(Box::new(ask)),
            Next::HangUp(why) => Step::End(End::Farewell(why)),
        }
    }
}

/// What is waited for.
enum Wake {
    Bytes,
    Closed,
    Mail(usize, Mail),
    /// Nothing else is to do, and the dialogue has something to do by itself.
    Idle,
    Alarm,
    Leaving,
}

impl<X, C, D> Talk<'_, X, C, D>
where
    X: Core,
    C: Codec,
    D: Dialogue<Packet = C::Packet>,
{
    async fn run(&mut self) -> io::Result<End<C::Packet>> {
        let mut turns = 0_u32;
        loop {
            loop {
                match self.step() {
                    Step::Idle => break,
                    Step::Said => {}
                    Step::Ask(ask) => {
                        if let Some(why) = Box::pin(self.ask(ask)).await? {
                            return Ok(End::Farewell(why));
                        }
                    }
                    Step::End(end) => return Ok(end),
                }
                if self.guest.is_leaving() {
                    break;
                }
                if OUT_BYTES <= self.out.len() {
                    self.send().await?;
                }
            }
            self.note_unfinished();
            if !self.drain(u64::MAX).await? {
                return Ok(End::Farewell(Farewell::GivenUp));
            }
            if !self.out.is_empty() {
                self.send().await?;
            }
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(TURNS) {
                yield_now().await;
            }
            if !self.hold() {
                return Ok(End::Farewell(Farewell::GivenUp));
            }
            self.alarm.set([self.nameless, self.unfinished, self.beat].into_iter().flatten().min());
            match poll_fn(|cx| self.poll_wake(cx)).await? {
                Wake::Bytes | Wake::Idle => {}
                Wake::Closed => return Ok(End::Gone),
                Wake::Mail(place, mail) => {
                    if !self.tell(place, mail).await? {
                        return Ok(End::Farewell(Farewell::GivenUp));
                    }
                }
                Wake::Alarm => {
                    if let Some(end) = self.on_alarm(Instant::now()) {
                        return Ok(end);
                    }
                }
                Wake::Leaving => return Ok(End::Farewell(Farewell::GoingAway)),
            }
        }
    }

    /// Takes the next packet. Apart from [`Self::run`], so that no packet is part of its future.
    fn step(&mut self) -> Step<C::Packet> {
        let packet = self.codec.decode(&mut self.input);
        self.codec.chatter(&mut self.out);
        let packet = match packet {
            Ok(Some(packet)) => packet,
            Ok(None) if self.dialogue.is_idle() || !self.out.is_empty() => return Step::Idle,
            Ok(None) => {
                let next = self.dialogue.on_idle(&mut self.said);
                self.encode();
                return Step::of(next);
            }
            Err(broken) => return Step::End(End::Broken(Box::new(broken))),
        };
        self.unfinished = None;
        let next = self.dialogue.on_packet(packet, &mut self.said);
        self.encode();
        Step::of(next)
    }

    fn encode(&mut self) {
        for packet in &self.said {
            if self.out.capacity() == 0 {
                // Room for an ordinary packet, instead of growing to it by doublings.
                self.out = Vec::with_capacity(512);
            }
            self.codec.encode(packet, &mut self.out);
        }
        // Usually one packet; its memory goes with it.
        self.said = Vec::new();
    }

    async fn send(&mut self) -> io::Result<()> {
        if self.stream.is_socket() {
            self.host.metrics.bytes_out.add(self.out.len() as u64);
        }
        let stuck = self.host.patience.stuck;
        send(&mut self.stream, &mut self.out, stuck, &mut self.share).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        if self.guest.is_leaving() {
            return Poll::Ready(Ok(Wake::Leaving));
        }
        match poll_fill(&mut self.stream, cx, &mut self.input)? {
            Poll::Ready(0) => return Poll::Ready(Ok(Wake::Closed)),
            Poll::Ready(n) => {
                if self.stream.is_socket() {
                    self.host.metrics.bytes_in.add(n as u64);
                }
                return Poll::Ready(Ok(Wake::Bytes));
            }
            Poll::Pending => {}
        }
        // After the reading: a peer that is known to be gone takes nothing with it.
        if let Some((place, mail)) = self.seats.take(u64::MAX) {
            return Poll::Ready(Ok(Wake::Mail(place, mail)));
        }
        if self.alarm.poll(cx).is_ready() {
            return Poll::Ready(Ok(Wake::Alarm));
        }
        // The last: what it does by itself keeps nothing else waiting.
        if !self.dialogue.is_idle() {
            return Poll::Ready(Ok(Wake::Idle));
        }
        Poll::Pending
    }

    fn note_unfinished(&mut self) {
        if self.input.is_empty() {
            self.unfinished = None;
        } else if self.unfinished.is_none() {
            self.unfinished = Some(Instant::now() + self.host.patience.unfinished);
        }
    }

    /// Counts what is half read. False: there is no room for it, and ending this connection is what
    /// keeps the others'.
    fn hold(&mut self) -> bool {
        let held = self.input.len();
        // A vector that grows has up to twice the room it needs.
        self.share.resize(if held <= SMALL_BYTES { 0 } else { 2 * held })
    }

    fn on_alarm(&mut self, now: Instant) -> Option<End<C::Packet>> {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.nameless) || passed(self.unfinished) {
            return Some(End::Farewell(Farewell::GivenUp));
        }
        if passed(self.beat) {
            if !self.codec.on_beat(&mut self.out) {
                return Some(End::Gone);
            }
            self.beat = self.codec.beat_secs().map(|secs| now + Duration::from_secs(secs));
        }
        None
    }

    /// Asks all that one packet has to ask. Whether the dialogue hangs up after it, and why.
    async fn ask(&mut self, mut ask: Box<Ask>) -> io::Result<Option<Farewell>> {
        loop {
            match self.ask_one(*ask).await? {
                Next::Listen => return Ok(None),
                Next::HangUp(why) => return Ok(Some(why)),
                Next::Ask(next) => *ask = next,
            }
            if OUT_BYTES <= self.out.len() {
                self.send().await?;
            }
        }
    }

    async fn ask_one(&mut self, ask: Ask) -> io::Result<Next> {
        if self.is_one_too_many(&ask).await? {
            let next = self.dialogue.on_reply(Err(Refusal::TooManySessions), &mut self.said);
            self.encode();
            return Ok(next);
        }
        let host = self.host;
        let mut asking = std::pin::pin!(host.core.ask(self.guest.peer, ask));
        let answer = match poll_once(asking.as_mut()).await {
            Some(answer) => answer,
            None => {
                // Earlier answers do not wait for this one's commit.
                if !self.out.is_empty() {
                    self.send().await?;
                }
                asking.await
            }
        };
        if !self.drain(answer.order).await? {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some((session, _)) = &answer.seat
            && self.dialogue.on_seat(session)
        {
            self.seats.leave_all_but(session);
        }
        let next = self.dialogue.on_reply(answer.reply, &mut self.said);
        self.encode();
        if let Some((session, seat)) = answer.seat {
            self.nameless = None;
            self.seats.attach(session, seat).await;
        }
        Ok(next)
    }

    /// mSIM 2, decision 16: with 64 sessions here, one more is refused before anything is done for
    /// it, and a login makes none.
    async fn is_one_too_many(&mut self, ask: &Ask) -> io::Result<bool> {
        // Those that have gone elsewhere are forgotten by asking for their mail.
        if !self.seats.is_full() || !self.drain(u64::MAX).await? || !self.seats.is_full() {
            return Ok(false);
        }
        Ok(match (&ask.who, &ask.what) {
            (_, Ok(What::LogIn(_))) => true,
            (Some(session), _) if !self.seats.has(session) => {
                // One that nobody knows is not too many but unknown, which its answer says.
                self.host.core.seat(*session, ask.layer).await.is_ok()
            }
            (Some(_) | None, Ok(_) | Err(_)) => false,
        })
    }

    /// Tells everything with an order below `before`. False: the end of what was lost is not to be
    /// had.
    async fn drain(&mut self, before: u64) -> io::Result<bool> {
        while let Some((place, mail)) = self.seats.take(before) {
            if !self.tell(place, mail).await? {
                return Ok(false);
            }
            if OUT_BYTES <= self.out.len() {
                self.send().await?;
            }
        }
        Ok(true)
    }

    async fn tell(&mut self, place: usize, mail: Mail) -> io::Result<bool> {
        match mail {
            Mail::Event { event, order: _ } => {
                self.say(place, &Told::Event(&event));
                Ok(true)
            }
            Mail::Lost => Box::pin(self.resync(place)).await,
            Mail::Moved | Mail::Ended => Ok(true),
        }
    }

    fn say(&mut self, place: usize, told: &Told<'_>) {
        if let Some((session, seat)) = self.seats.at(place) {
            self.dialogue.on_told(&session, seat.layer(), told, &mut self.said);
            self.encode();
        }
    }

    /// Without the end of the gap there is no RESYNC. Ending the connection instead tells the
    /// client the same: after that it asks for what it has missed (mSIM 2, decision 6).
    async fn resync(&mut self, place: usize) -> io::Result<bool> {
        let Some((_, seat)) = self.seats.at(place) else { return Ok(true) };
        let answer = self.host.core.newest(&seat).await;
        let Ok(Reply::Newest(last)) = answer.reply else { return Ok(false) };
        self.say(place, &Told::Resync { last });
        seat.forget_until(answer.order);
        Ok(true)
    }

    /// The session of the connection as a whole; one that nobody knows is refused when it is used.
    async fn sit_down(&mut self, (session, layer): (SessionId, u32)) {
        if let Ok(seat) = self.host.core.seat(session, layer).await {
            self.nameless = None;
            self.seats.attach(session, seat).await;
        }
    }

    async fn break_off(&mut self, broken: Box<Broken<C::Packet>>) -> io::Result<()> {
        self.said.extend(broken.last);
        self.encode();
        self.leave(broken.why).await
    }

    async fn leave(&mut self, why: Farewell) -> io::Result<()> {
        self.dialogue.on_close(why, &mut self.said);
        self.encode();
        self.codec.farewell(why, &mut self.out);
        self.send().await?;
        let linger = match why {
            // Nothing of this peer is unread, as far as anybody knows; stopping does not wait.
            Farewell::GivenUp | Farewell::GoingAway => Duration::ZERO,
            Farewell::Malformed | Farewell::TooLarge | Farewell::Unsupported | Farewell::Done => {
                self.host.patience.linger
            }
        };
        part(&mut self.stream, linger).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
