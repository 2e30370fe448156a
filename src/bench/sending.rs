//! Durable messages: every sender writes to its own peer, whose session is attached to a connection
//! of its own, and waits for its 200 before it writes again.

use std::cell::Cell;
use std::net::TcpStream;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::{Async, LocalExecutor, Task, Timer};

use super::counters::Counters;
use super::crowd::{self, Crowd};
use super::frame;
use super::histogram::Histogram;
use super::link::Link;
use super::server::Server;
use super::usage::Usage;

/// Bytes of every message's text.
pub(super) const TEXT_BYTES: usize = 100;
/// A word that one message in so many begins with: something to search for.
pub(super) const OFTEN: &str = "often";
const OFTEN_EVERY: u32 = 100;
/// Before counting begins: buffers have grown, the chats exist.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long pushes may trail behind the last 200.
const TRAIL: Duration = Duration::from_secs(5);
/// Between two looks at the trailing pushes.
const LOOK: Duration = Duration::from_millis(20);
/// Registering, logging in and draining, beside the measured time.
const PREPARATION: Duration = Duration::from_secs(300);

/// What was measured between the warm-up and the end.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) messages: u64,
    pub(super) time: Duration,
    pub(super) latencies: Histogram,
    pub(super) server: Option<Usage>,
    pub(super) counters: Option<Counters>,
    pub(super) own: Usage,
    /// Pushes that came within that time.
    pub(super) pushed: u64,
    /// Pushes that never came of messages answered with 200; a RESYNC stands for any number of them.
    pub(super) unpushed: u64,
    pub(super) resyncs: u64,
}

/// A connection to the server's TCP door.
pub(super) type Wire = Link<Async<TcpStream>>;

/// The ids that a filling made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) time: Duration,
}

/// What the tasks of one run share; all of them run on one thread.
#[derive(Debug, Default)]
struct Shared {
    measuring: Cell<bool>,
    over: Cell<bool>,
    answered: Cell<u64>,
    pushed: Cell<u64>,
    resyncs: Cell<u64>,
}

/// Everything that is read before and after the measured time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    answered: u64,
    pushed: u64,
    server: Option<Usage>,
    own: Usage,
    counters: Option<Counters>,
}

/// `senders` pairs for `time`.
pub(super) fn measure(
    server: &Server,
    crowd: &mut Crowd,
    senders: usize,
    time: Duration,
) -> Result<Sent, String> {
    let executor = LocalExecutor::new();
    let work = send_for(&executor, server, crowd, 0..senders, time);
    crowd::run(&executor, PREPARATION + time, work)
}

/// `messages` messages from `senders` senders to one who is away.
pub(super) fn fill(
    server: &Server,
    crowd: &mut Crowd,
    senders: usize,
    messages: u64,
    deadline: Duration,
) -> Result<Filled, String> {
    let executor = LocalExecutor::new();
    let work = send_count(&executor, server, crowd, senders, messages);
    crowd::run(&executor, deadline, work)
}

/// These pairs for `time`.
pub(super) async fn send_for(
    executor: &LocalExecutor<'static>,
    server: &Server,
    crowd: &mut Crowd,
    pairs: Range<usize>,
    time: Duration,
) -> Result<Sent, String> {
    let door = server.tcp;
    crowd.register(executor, door, pairs.end).await?;
    let receiver = |index| crowd.receiver(pairs.start + index);
    let sender = |index| crowd.sender(pairs.start + index);
    let count = pairs.len();
    let receivers = crowd::together(executor, count, |i| crowd::enter(door, receiver(i))).await?;
    let links = crowd::together(executor, count, |i| crowd::enter(door, sender(i))).await?;
    let addressed = |(index, link): (usize, Wire)| {
        let letter = Letter::new(&link.session, &receiver(index));
        (link, letter)
    };
    let writers = links.into_iter().enumerate().map(addressed).collect();
    converse(executor, server, writers, receivers, 1, time).await
}

/// Writers write for `time`, each message is for `hearers` of those who listen.
pub(super) async fn converse(
    executor: &LocalExecutor<'static>,
    server: &Server,
    writers: Vec<(Wire, Letter)>,
    receivers: Vec<Wire>,
    hearers: u64,
    time: Duration,
) -> Result<Sent, String> {
    let shared = Rc::new(Shared::default());
    let listening: Vec<Task<()>> =
        receivers.into_iter().map(|link| executor.spawn(listen(link, shared.clone()))).collect();
    let mut sending = Vec::with_capacity(writers.len());
    for (link, letter) in writers {
        sending.push(executor.spawn(send(link, letter, shared.clone())));
    }

    Timer::after(WARM_UP).await;
    let before = Reading::now(server, &shared)?;
    shared.measuring.set(true);
    Timer::after(time).await;
    shared.measuring.set(false);
    let after = Reading::now(server, &shared)?;
    shared.over.set(true);

    let mut latencies = Histogram::default();
    for task in sending {
        latencies.merge(&task.await?);
    }
    let unpushed = trail(&shared, hearers).await;
    drop(listening);
    Ok(Sent {
        messages: after.answered - before.answered,
        pushed: after.pushed - before.pushed,
        time: after.at - before.at,
        latencies,
        server: after.server.zip(before.server).map(|(after, before)| after.since(&before)),
        counters: after.counters.zip(before.counters).map(|(after, before)| after.since(&before)),
        own: after.own.since(&before.own),
        unpushed,
        resyncs: shared.resyncs.get(),
    })
}

async fn send_count(
    executor: &LocalExecutor<'static>,
    server: &Server,
    crowd: &mut Crowd,
    senders: usize,
    messages: u64,
) -> Result<Filled, String> {
    let door = server.tcp;
    crowd.register(executor, door, senders).await?;
    let people = &*crowd;
    let links =
        crowd::together(executor, senders, |i| crowd::enter(door, people.sender(i))).await?;
    let began = Instant::now();
    let mut sending: Vec<Task<Result<(u64, u64), String>>> = Vec::with_capacity(senders);
    for link in links {
        let letter = Letter::new(&link.session, &crowd.hub());
        let share = messages.div_ceil(senders as u64);
        sending.push(executor.spawn(send_share(link, letter, share)));
    }
    let mut filled = Filled { first: u64::MAX, last: 0, time: Duration::ZERO };
    for task in sending {
        let (first, last) = task.await?;
        filled.first = filled.first.min(first);
        filled.last = filled.last.max(last);
    }
    filled.time = began.elapsed();
    Ok(filled)
}

/// One sender until the run is over.
async fn send(mut link: Wire, mut letter: Letter, shared: Rc<Shared>) -> Result<Histogram, String> {
    let mut latencies = Histogram::default();
    while !shared.over.get() {
        let began = Instant::now();
        letter.post(&mut link).await?;
        shared.answered.set(shared.answered.get() + 1);
        if shared.measuring.get() {
            latencies.add(began.elapsed());
        }
    }
    Ok(latencies)
}

/// One sender until it sent its share: the first and the last id it was given.
async fn send_share(mut link: Wire, mut letter: Letter, share: u64) -> Result<(u64, u64), String> {
    let mut ids = (u64::MAX, 0);
    for _ in 0..share {
        let id = letter.post(&mut link).await?;
        ids = (ids.0.min(id), ids.1.max(id));
    }
    Ok(ids)
}

/// One receiver for as long as its connection lasts.
async fn listen(mut link: Wire, shared: Rc<Shared>) {
    loop {
        let before = link.pushes;
        if link.next().await.is_err() {
            return;
        }
        shared.pushed.set(shared.pushed.get() + link.pushes.messages - before.messages);
        shared.resyncs.set(shared.resyncs.get() + link.pushes.resyncs - before.resyncs);
    }
}

/// Waits for the pushes of what was answered; how many did not come.
async fn trail(shared: &Shared, hearers: u64) -> u64 {
    let began = Instant::now();
    loop {
        let missing = (hearers * shared.answered.get()).saturating_sub(shared.pushed.get());
        if missing == 0 || began.elapsed() > TRAIL {
            return missing;
        }
        Timer::after(LOOK).await;
    }
}

impl Reading {
    fn now(server: &Server, shared: &Shared) -> Result<Reading, String> {
        Ok(Reading {
            counters: server.counters(),
            server: server.usage()?,
            own: Usage::of(0)?,
            answered: shared.answered.get(),
            pushed: shared.pushed.get(),
            at: Instant::now(),
        })
    }
}

/// A MESSAGE-SEND that is made once and sent many times, each with a cookie of its own, as clients
/// that repeat themselves after a lost connection must.
#[derive(Debug)]
pub(super) struct Letter {
    frame: Vec<u8>,
    /// Where the text lies.
    text_at: usize,
    /// Where the cookie's counting half lies.
    count_at: usize,
    count: u32,
}

impl Letter {
    pub(super) fn new(session: &[u8; 32], to: &str) -> Letter {
        let run = u32::from_be_bytes([session[0], session[1], session[2], session[3]]);
        let text: String = ('a'..='z').cycle().take(TEXT_BYTES).collect();
        let cookie = format!("\",\"cookie\":\"{run:08x}{:08x}\"}}", 0);
        let body = format!("{{\"chat_id\":\"{to}\",\"text\":\"{text}{cookie}");
        let mut frame = Vec::new();
        frame::request(session, 0, "MESSAGE-SEND", body.as_bytes(), &mut frame);
        let text_at = frame.len() - cookie.len() - TEXT_BYTES;
        let count_at = frame.len() - "00000000\"}".len();
        Letter { frame, text_at, count_at, count: 0 }
    }

    /// Makes all its texts end with `word`.
    pub(super) fn end_with(&mut self, word: &str) {
        self.put(TEXT_BYTES - word.len(), word);
    }

    fn put(&mut self, at: usize, word: &str) {
        let at = self.text_at + at;
        self.frame[at..at + word.len()].copy_from_slice(word.as_bytes());
    }

    /// Sends it and waits for the 200; the message's id.
    pub(super) async fn post(&mut self, link: &mut Wire) -> Result<u64, String> {
        self.count += 1;
        match self.count % OFTEN_EVERY {
            0 => self.put(0, OFTEN),
            1 => self.put(0, "abcde"),
            _ => {}
        }
        let digits = &mut self.frame[self.count_at..self.count_at + 8];
        for (place, digit) in digits.iter_mut().enumerate() {
            let nibble = self.count >> (28 - 4 * place) & 15;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        let answer = link.ask_again(&mut self.frame).await?;
        if answer.status != 200 {
            return Err(link.refusal("MESSAGE-SEND", &answer));
        }
        frame::number_after(link.body(&answer), "\"message_id\":")
            .ok_or_else(|| link.refusal("MESSAGE-SEND without message_id", &answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::toy::Toy;

    #[test]
    fn senders_wait_for_their_answers_and_receivers_hear_everything() {
        let toy = Toy::start();
        let server = Server::running(toy.door, Some(std::process::id()), None);
        let mut crowd = Crowd::new();
        let sent = measure(&server, &mut crowd, 3, Duration::from_millis(200)).unwrap();
        assert!(sent.messages > 0);
        // A request that straddles the edge of the measured time counts on one side only.
        assert!(sent.latencies.count().abs_diff(sent.messages) <= 3, "{sent:?}");
        assert_eq!((sent.unpushed, sent.resyncs), (0, 0));
        assert!(sent.time >= Duration::from_millis(200));
        assert!(sent.server.is_some());
        assert_eq!(sent.counters, None);
    }

    #[test]
    fn a_filling_sends_what_was_asked_for() {
        let toy = Toy::start();
        let server = Server::running(toy.door, None, None);
        let mut crowd = Crowd::new();
        let filled = fill(&server, &mut crowd, 4, 100, Duration::from_secs(20)).unwrap();
        assert_eq!((filled.first, filled.last), (1, 100));
        assert_eq!(toy.messages(), 100);
    }

    #[test]
    fn every_message_of_a_letter_has_a_cookie_of_its_own() {
        let toy = Toy::start();
        let server = Server::running(toy.door, None, None);
        fill(&server, &mut Crowd::new(), 1, 300, Duration::from_secs(20)).unwrap();
        assert_eq!(toy.cookies(), 300);
    }
}
