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
//! stack, what is written is freed once it is sent; both, deadlines, questions and farewells live in
//! boxes while they last. A connection's task is as large as what it waits with at its largest, so
//! nothing is kept across a wait that does not have to be.

mod deadlines;

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use smol::future::{poll_once, yield_now};

use crate::domain::id::SessionId;
use crate::domain::words::{Refusal, Reply};
use crate::engine::Mail;
use crate::net::guest::Guest;
use crate::net::host::{Core, Host, SMALL_BYTES};
use crate::net::seats::Seats;
use crate::net::stream::{Sending, Stream, part, poll_fill, poll_send};
use crate::pool::{Pool, Share};
use crate::wire::{Ask, Broken, Buffer, Codec, Dialogue, Farewell, Next, Told, What};
use deadlines::Deadlines;

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

/// Talks until either side ends it. An error is the connection's, and noted already.
///
/// No `async fn`: that would keep its arguments beside what is made of them, for as long as the
/// connection lives.
pub(super) fn converse<'a, X, C, D>(
    host: &'a Host<X>,
    guest: Guest,
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
    let beat = codec.beat_secs().map(|secs| now + Duration::from_secs(secs));
    let held = Held {
        input: opening.input,
        session: opening.session.map(Box::new),
        ..Held::none(&host.buffers)
    };
    let mut talk = Talk {
        host,
        stream,
        codec,
        dialogue,
        held: Some(Box::new(held)),
        seats: Seats::new(),
        deadlines: Deadlines::new(now + host.patience.nameless, beat),
        guest,
    };
    async move {
        talk.open();
        Box::pin(talk.sit_down()).await;
        let end = talk.run().await;
        Box::pin(talk.finish(end)).await
    }
}

struct Talk<'a, X, C, D> {
    host: &'a Host<X>,
    stream: Stream,
    codec: C,
    dialogue: D,
    held: Option<Box<Held<'a>>>,
    seats: Seats,
    deadlines: Deadlines,
    /// The last, because it says that all the others are gone.
    guest: Guest,
}

/// What has not gone on yet; there is one only while there is something.
struct Held<'a> {
    input: Buffer,
    /// The opening's.
    session: Option<Box<(SessionId, u32)>>,
    /// Encoded and not sent.
    out: Vec<u8>,
    sending: Sending,
    /// Of the memory for all connections.
    share: Share<'a>,
}

impl<'a> Held<'a> {
    fn none(buffers: &'a Pool) -> Held<'a> {
        Held {
            input: Buffer::default(),
            session: None,
            out: Vec::new(),
            sending: Sending::default(),
            share: Share::none(buffers),
        }
    }

    fn at<'h>(place: &'h mut Option<Box<Held<'a>>>, buffers: &'a Pool) -> &'h mut Held<'a> {
        place.get_or_insert_with(|| Box::new(Held::none(buffers)))
    }
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
    Told,
    /// The session at this place has lost its mail.
    Lost(usize),
    /// Nothing else is to do, and the dialogue has something to do by itself.
    Idle,
    Alarm,
    Leaving,
}

/// Why no more mail is told for now.
enum Pause {
    /// All has been told.
    Told,
    /// What waits to be written is to be written first.
    Full,
    /// The session at this place has lost its mail.
    Lost(usize),
}

impl<'a, X, C, D> Talk<'a, X, C, D>
where
    X: Core,
    C: Codec,
    D: Dialogue<Packet = C::Packet>,
{
    async fn run(&mut self) -> io::Result<End<C::Packet>> {
        let mut turns = 0_u32;
        loop {
            loop {
                let ask = match self.step() {
                    Step::Idle => break,
                    Step::Said => None,
                    Step::Ask(ask) => Some(ask),
                    Step::End(end) => return Ok(end),
                };
                if let Some(ask) = ask
                    && let Some(why) = Box::pin(self.ask(ask)).await?
                {
                    return Ok(End::Farewell(why));
                }
                if self.guest.is_leaving() {
                    break;
                }
                if self.is_full() {
                    self.send().await?;
                }
            }
            self.note_unfinished();
            loop {
                // As in `drain`, which would be the largest part of what waits here.
                match self.tell_until(u64::MAX) {
                    Pause::Told => break,
                    Pause::Full => self.send().await?,
                    Pause::Lost(place) => {
                        if !Box::pin(self.resync(place)).await {
                            return Ok(End::Farewell(Farewell::GivenUp));
                        }
                    }
                }
            }
            if self.has_to_send() {
                self.send().await?;
            }
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(TURNS) {
                yield_now().await;
            }
            if !self.hold() {
                return Ok(End::Farewell(Farewell::GivenUp));
            }
            let lost = match poll_fn(|cx| self.poll_wake(cx)).await? {
                Wake::Bytes | Wake::Told | Wake::Idle => None,
                Wake::Closed => return Ok(End::Gone),
                Wake::Lost(place) => Some(place),
                Wake::Alarm => {
                    if let Some(end) = self.on_alarm(Instant::now()) {
                        return Ok(end);
                    }
                    None
                }
                Wake::Leaving => return Ok(End::Farewell(Farewell::GoingAway)),
            };
            if let Some(place) = lost
                && !Box::pin(self.resync(place)).await
            {
                return Ok(End::Farewell(Farewell::GivenUp));
            }
        }
    }

    fn open(&mut self) {
        let mut said = Vec::new();
        self.dialogue.on_open(&mut said);
        self.encode(&said);
    }

    /// Takes the next packet. Apart from [`Self::run`], so that no packet is part of its future.
    fn step(&mut self) -> Step<C::Packet> {
        let held = Held::at(&mut self.held, &self.host.buffers);
        let packet = self.codec.decode(&mut held.input);
        self.codec.chatter(&mut held.out);
        let mut said = Vec::new();
        let next = match packet {
            Ok(Some(packet)) => {
                self.deadlines.finish();
                self.dialogue.on_packet(packet, &mut said)
            }
            Ok(None) if self.dialogue.is_idle() || !held.out.is_empty() => return Step::Idle,
            Ok(None) => self.dialogue.on_idle(&mut said),
            Err(broken) => return Step::End(End::Broken(Box::new(broken))),
        };
        self.encode(&said);
        Step::of(next)
    }

    fn encode(&mut self, said: &[C::Packet]) {
        if said.is_empty() {
            return;
        }
        let held = Held::at(&mut self.held, &self.host.buffers);
        if held.out.capacity() == 0 {
            // Room for an ordinary packet, instead of growing to it by doublings.
            held.out = Vec::with_capacity(512);
        }
        for packet in said {
            self.codec.encode(packet, &mut held.out);
        }
    }

    fn has_to_send(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.out.is_empty())
    }

    fn is_full(&self) -> bool {
        self.held.as_ref().is_some_and(|held| OUT_BYTES <= held.out.len())
    }

    fn send(&mut self) -> impl Future<Output = io::Result<()>> {
        if let Some(held) = &self.held
            && self.stream.is_socket()
        {
            self.host.metrics.bytes_out.add(held.out.len() as u64);
        }
        poll_fn(|cx| self.poll_send(cx))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Held { out, sending, share, .. } = Held::at(&mut self.held, &self.host.buffers);
        poll_send(&mut self.stream, cx, out, sending, self.host.patience.stuck, share)
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        if self.guest.is_leaving() {
            return Poll::Ready(Ok(Wake::Leaving));
        }
        let filled = poll_fill(&mut self.stream, cx, |bytes| {
            Held::at(&mut self.held, &self.host.buffers).input.extend(bytes);
        });
        match filled? {
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
            return Poll::Ready(Ok(match self.tell(place, mail) {
                true => Wake::Told,
                false => Wake::Lost(place),
            }));
        }
        if self.deadlines.poll(cx).is_ready() {
            return Poll::Ready(Ok(Wake::Alarm));
        }
        // The last: what it does by itself keeps nothing else waiting.
        if !self.dialogue.is_idle() {
            return Poll::Ready(Ok(Wake::Idle));
        }
        Poll::Pending
    }

    fn note_unfinished(&mut self) {
        if self.held.as_ref().is_none_or(|held| held.input.is_empty()) {
            self.deadlines.finish();
        } else {
            self.deadlines.begin(|| Instant::now() + self.host.patience.unfinished);
        }
    }

    /// Counts what is half read, or lets go of what held it. False: there is no room for it, and
    /// ending this connection is what keeps the others'.
    fn hold(&mut self) -> bool {
        let Some(held) = &mut self.held else { return true };
        let bytes = held.input.len();
        if bytes == 0 {
            self.held = None;
            return true;
        }
        // A vector that grows has up to twice the room it needs.
        held.share.resize(if bytes <= SMALL_BYTES { 0 } else { 2 * bytes })
    }

    fn on_alarm(&mut self, now: Instant) -> Option<End<C::Packet>> {
        if self.deadlines.is_late(now) {
            return Some(End::Farewell(Farewell::GivenUp));
        }
        if self.deadlines.is_beat_due(now) {
            let held = Held::at(&mut self.held, &self.host.buffers);
            if !self.codec.on_beat(&mut held.out) {
                return Some(End::Gone);
            }
            let next = self.codec.beat_secs().map(|secs| now + Duration::from_secs(secs));
            self.deadlines.set_beat(next);
        }
        None
    }

    /// Asks all that one packet has to ask. Whether the dialogue hangs up after it, and why.
    async fn ask(&mut self, mut ask: Box<Ask>) -> io::Result<Option<Farewell>> {
        loop {
            match self.ask_one(ask).await? {
                Next::Listen => return Ok(None),
                Next::HangUp(why) => return Ok(Some(why)),
                Next::Ask(next) => ask = Box::new(next),
            }
            if self.is_full() {
                self.send().await?;
            }
        }
    }

    async fn ask_one(&mut self, ask: Box<Ask>) -> io::Result<Next> {
        if self.is_one_too_many(&ask).await? {
            return Ok(self.reply(Err(Refusal::TooManySessions)));
        }
        let host = self.host;
        let key = ask.who.as_ref().map(|session| self.seats.key_of(session));
        let mut asking = std::pin::pin!(host.core.ask_by(key, self.guest.peer, *ask));
        let answer = match poll_once(asking.as_mut()).await {
            Some(answer) => answer,
            None => {
                // Earlier answers do not wait for this one's commit.
                if self.has_to_send() {
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
        let next = self.reply(answer.reply);
        if let Some((session, seat)) = answer.seat {
            self.deadlines.note_named();
            self.seats.attach(session, seat).await;
        }
        Ok(next)
    }

    fn reply(&mut self, reply: Result<Reply, Refusal>) -> Next {
        let mut said = Vec::new();
        let next = self.dialogue.on_reply(reply, &mut said);
        self.encode(&said);
        next
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
        loop {
            match self.tell_until(before) {
                Pause::Told => return Ok(true),
                Pause::Full => self.send().await?,
                Pause::Lost(place) => {
                    if !Box::pin(self.resync(place)).await {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn tell_until(&mut self, before: u64) -> Pause {
        while let Some((place, mail)) = self.seats.take(before) {
            if !self.tell(place, mail) {
                return Pause::Lost(place);
            }
            if self.is_full() {
                return Pause::Full;
            }
        }
        Pause::Told
    }

    /// False: mail was lost, which is still to be told.
    fn tell(&mut self, place: usize, mail: Mail) -> bool {
        match mail {
            Mail::Event { event, order: _ } => self.say(place, &Told::Event(&event)),
            Mail::Lost => return false,
            Mail::Moved | Mail::Ended => {}
        }
        true
    }

    fn say(&mut self, place: usize, told: &Told<'_>) {
        if let Some((session, seat)) = self.seats.at(place) {
            let mut said = Vec::new();
            self.dialogue.on_told(&session, seat.layer(), told, &mut said);
            self.encode(&said);
        }
    }

    /// Without the end of the gap there is no RESYNC, which is false. Ending the connection instead
    /// tells the client the same: after that it asks for what it has missed (mSIM 2, decision 6).
    async fn resync(&mut self, place: usize) -> bool {
        let Some((_, seat)) = self.seats.at(place) else { return true };
        let answer = self.host.core.newest(&seat).await;
        let Ok(Reply::Newest(last)) = answer.reply else { return false };
        self.say(place, &Told::Resync { last });
        seat.forget_until(answer.order);
        true
    }

    /// The session of the connection as a whole; one that nobody knows is refused when it is used.
    async fn sit_down(&mut self) {
        let session = self.held.as_mut().and_then(|held| held.session.take());
        let Some((session, layer)) = session.map(|session| *session) else { return };
        if let Ok(seat) = self.host.core.seat(session, layer).await {
            self.deadlines.note_named();
            self.seats.attach(session, seat).await;
        }
    }

    async fn finish(&mut self, end: io::Result<End<C::Packet>>) -> io::Result<()> {
        let end = match end {
            Ok(End::Gone) => Ok(()),
            Ok(End::Broken(broken)) => {
                self.encode(broken.last.as_slice());
                self.leave(broken.why).await
            }
            Ok(End::Farewell(why)) => self.leave(why).await,
            Err(error) => Err(error),
        };
        self.guest.note(&end);
        while let Some(ask) = self.dialogue.last_words() {
            self.host.core.ask(self.guest.peer, ask).await;
        }
        end
    }

    async fn leave(&mut self, why: Farewell) -> io::Result<()> {
        self.bid_farewell(why);
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

    fn bid_farewell(&mut self, why: Farewell) {
        let mut said = Vec::new();
        self.dialogue.on_close(why, &mut said);
        self.encode(&said);
        let held = Held::at(&mut self.held, &self.host.buffers);
        self.codec.farewell(why, &mut held.out);
    }
}

#[cfg(test)]
mod tests;
