//! History: several connections, each asking for windows of 50 messages at random places of many
//! chats, one page at a time. Pages are counted and weighed, never parsed.

use std::cell::Cell;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::{Async, LocalExecutor, Timer};

use super::crowd::{self, Crowd};
use super::histogram::Histogram;
use super::link::{self, Link};
use super::sending::{Filled, TEXT_BYTES};
use super::server::Server;
use super::usage::Usage;

/// Messages of a page.
const PAGE: usize = 50;
/// Connections that ask.
const READERS: usize = 16;
/// Pages near the end of a chat are shorter; windows begin at least so many messages before it.
const MARGIN: u64 = 2 * PAGE as u64;
const WARM_UP: Duration = Duration::from_millis(500);
const PREPARATION: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(super) struct Paged {
    pub(super) pages: u64,
    pub(super) bytes: u64,
    /// Pages too light to hold 50 messages.
    pub(super) short: u64,
    pub(super) time: Duration,
    pub(super) latencies: Histogram,
    pub(super) server: Option<Usage>,
    pub(super) own: Usage,
}

#[derive(Debug, Default)]
struct Shared {
    measuring: Cell<bool>,
    over: Cell<bool>,
    pages: Cell<u64>,
    bytes: Cell<u64>,
    short: Cell<u64>,
}

/// One reader's chats: the session of whoever reads, and the chat's name as that one sees it.
#[derive(Debug)]
struct Shelf {
    chats: Vec<([u8; 32], String)>,
    first: u64,
    /// The last id at which a window may begin.
    last: u64,
    dice: Dice,
}

/// Reads the chats of the first `pairs` pairs, which a filling has filled evenly.
pub(super) fn measure(
    server: &Server,
    crowd: &Crowd,
    pairs: usize,
    filled: &Filled,
    time: Duration,
) -> Result<Paged, String> {
    let executor = LocalExecutor::new();
    let work = read_for(&executor, server, crowd, pairs, filled, time);
    crowd::run(&executor, PREPARATION + time, work)
}

async fn read_for(
    executor: &LocalExecutor<'static>,
    server: &Server,
    crowd: &Crowd,
    pairs: usize,
    filled: &Filled,
    time: Duration,
) -> Result<Paged, String> {
    let readers = READERS.min(pairs);
    let span = filled.last - filled.first + 1;
    let margin = (MARGIN * pairs as u64).min(span / 2);
    let shelves = crowd::together(executor, readers, |reader| {
        let logins = (reader..pairs).step_by(readers).map(|i| (crowd.sender(i), crowd.hub()));
        let shelf = Shelf {
            chats: Vec::new(),
            first: filled.first,
            last: filled.last - margin,
            dice: Dice::new(reader as u64),
        };
        open(server.tcp, logins.collect(), shelf)
    })
    .await?;

    let shared = Rc::new(Shared::default());
    let reading: Vec<_> = shelves
        .into_iter()
        .map(|(link, shelf)| executor.spawn(read(link, shelf, shared.clone())))
        .collect();
    Timer::after(WARM_UP).await;
    let (server_before, own_before) = (server.usage()?, Usage::of(0)?);
    let began = Instant::now();
    shared.measuring.set(true);
    Timer::after(time).await;
    shared.measuring.set(false);
    let time = began.elapsed();
    let (server_after, own_after) = (server.usage()?, Usage::of(0)?);
    shared.over.set(true);
    let mut latencies = Histogram::default();
    for task in reading {
        latencies.merge(&task.await?);
    }
    Ok(Paged {
        pages: shared.pages.get(),
        bytes: shared.bytes.get(),
        short: shared.short.get(),
        time,
        latencies,
        server: server_after.zip(server_before).map(|(after, before)| after.since(&before)),
        own: own_after.since(&own_before),
    })
}

/// One connection with the sessions of several people on it.
async fn open(
    door: SocketAddr,
    people: Vec<(String, String)>,
    mut shelf: Shelf,
) -> Result<(Link<Async<TcpStream>>, Shelf), String> {
    let mut link = Link::new(link::connect(door).await?);
    for (reader, chat) in people {
        link.log_in(&reader).await?;
        shelf.chats.push((link.session, chat));
    }
    Ok((link, shelf))
}

async fn read(
    mut link: Link<Async<TcpStream>>,
    mut shelf: Shelf,
    shared: Rc<Shared>,
) -> Result<Histogram, String> {
    let mut latencies = Histogram::default();
    let mut body = Vec::new();
    while !shared.over.get() {
        link.session = shelf.window(&mut body);
        let began = Instant::now();
        let answer = link.ask("CHAT-HISTORY", &body).await?;
        if answer.status != 200 {
            return Err(link.refusal("CHAT-HISTORY", &answer));
        }
        if shared.measuring.get() {
            let bytes = link.body(&answer).len();
            latencies.add(began.elapsed());
            shared.pages.set(shared.pages.get() + 1);
            shared.bytes.set(shared.bytes.get() + bytes as u64);
            let is_short = bytes < PAGE * TEXT_BYTES;
            shared.short.set(shared.short.get() + u64::from(is_short));
        }
    }
    Ok(latencies)
}

impl Shelf {
    /// Writes the next request's body; whose session asks.
    fn window(&mut self, body: &mut Vec<u8>) -> [u8; 32] {
        let place = self.dice.below(self.chats.len() as u64) as usize;
        let (session, chat) = &self.chats[place];
        let from = self.first + self.dice.below(self.last - self.first + 1);
        body.clear();
        write!(body, "{{\"chat_id\":\"{chat}\",\"id_from\":{from},\"count\":{PAGE}}}")
            .expect("writing to a vector does not fail");
        *session
    }
}

/// Marsaglia's xorshift: the same windows in every run.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(0x9E37_79B9_7F4A_7C15 ^ (seed + 1))
    }

    /// Less than `end`, which is not 0; even enough for ends far below 2^64.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sending;
    use crate::bench::toy::Toy;

    #[test]
    fn pages_are_counted_and_light_ones_noticed() {
        let toy = Toy::start();
        let server = Server::running(toy.door, None, None);
        let mut crowd = Crowd::new();
        let deadline = Duration::from_secs(20);
        let filled = sending::fill(&server, &mut crowd, 5, 1000, deadline).unwrap();
        let time = Duration::from_millis(100);
        let paged = measure(&server, &crowd, 5, &filled, time).unwrap();
        assert!(paged.pages > 0);
        assert_eq!(paged.short, 0);
        assert!(paged.bytes / paged.pages > 5000);
        assert_eq!(paged.latencies.count(), paged.pages);

        toy.make_pages_short();
        let paged = measure(&server, &crowd, 5, &filled, time).unwrap();
        assert_eq!(paged.short, paged.pages);
    }

    #[test]
    fn windows_stay_inside_what_was_filled() {
        let chats = vec![([1; 32], "a".to_string()), ([2; 32], "b".to_string())];
        let mut shelf = Shelf { chats, first: 100, last: 103, dice: Dice::new(0) };
        let mut seen = [0; 4];
        let mut body = Vec::new();
        for _ in 0..1000 {
            shelf.window(&mut body);
            let id = crate::bench::frame::number_after(&body, "\"id_from\":").unwrap();
            seen[(id - 100) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
    }
}
