//! Words looked for in a long history: how long a page of what is frequent takes, how long to find
//! what was written once, and what somebody who writes feels of others who search.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use smol::{LocalExecutor, Task};

use super::crowd::{self, Crowd};
use super::frame;
use super::histogram::Histogram;
use super::sending::{self, Letter, OFTEN, Sent, Wire};
use super::server::Server;

/// A word that one message has, see [`plant`].
const ONCE: &str = "heliotrope";
/// The layer that has searching.
const LAYER: u32 = 4;
/// Found messages of a page.
const PAGE: u32 = 50;
/// Pages of a word that is frequent.
const PAGES: usize = 50;
/// Looking for the word that was written once, so often.
const ROUNDS: usize = 3;
/// Requests of one such search at most.
const REQUESTS_MAX: u64 = 1000;
/// Who writes meanwhile: not to whom all wrote, who searches.
const WRITERS: Range<usize> = 1..2;
/// Who search while somebody writes.
pub(super) const SEARCHERS: usize = 4;
const PREPARATION: Duration = Duration::from_secs(300);

#[derive(Clone, Debug)]
pub(super) struct Searched {
    /// The first page of what is frequent, over all chats and within one.
    pub(super) often: Histogram,
    pub(super) often_in_chat: Histogram,
    /// All requests until the one message was found and nothing is left: in each of the rounds.
    pub(super) once: Hunt,
    pub(super) once_in_chat: Hunt,
    /// One who writes: alone, and beside those who search.
    pub(super) alone: Sent,
    pub(super) beside: Sent,
    /// Requests that were answered meanwhile.
    pub(super) meanwhile: u64,
}

/// A search followed to its end, several times.
#[derive(Clone, Debug, Default)]
pub(super) struct Hunt {
    pub(super) rounds: u64,
    pub(super) requests: u64,
    pub(super) time: Duration,
    pub(super) slowest: Duration,
}

/// What the searchers share with who measures.
#[derive(Debug, Default)]
struct Shared {
    over: Cell<bool>,
    requests: Cell<u64>,
}

/// Writes the word that occurs once, before anything else is written.
pub(super) fn plant(server: &Server, crowd: &mut Crowd) -> Result<(), String> {
    let executor = LocalExecutor::new();
    let door = server.tcp;
    crowd::run(&executor, PREPARATION, async {
        crowd.register(&executor, door, 1).await?;
        let mut link = crowd::enter(door, crowd.sender(0)).await?;
        let mut letter = Letter::new(&link.session, &crowd.hub());
        letter.end_with(ONCE);
        letter.post(&mut link).await.map(|_| ())
    })
}

/// Searches as whoever all wrote to.
pub(super) fn measure(
    server: &Server,
    crowd: &mut Crowd,
    time: Duration,
) -> Result<Searched, String> {
    let executor = LocalExecutor::new();
    let work = search(&executor, server, crowd, time);
    crowd::run(&executor, PREPARATION + 2 * time, work)
}

async fn search(
    executor: &LocalExecutor<'static>,
    server: &Server,
    crowd: &mut Crowd,
    time: Duration,
) -> Result<Searched, String> {
    let (door, chat) = (server.tcp, crowd.sender(0));
    let mut link = crowd::enter_at(LAYER, door, crowd.hub()).await?;
    let often = pages(&mut link, None).await?;
    let often_in_chat = pages(&mut link, Some(&chat)).await?;
    let mut once = Hunt::default();
    let mut once_in_chat = Hunt::default();
    for _ in 0..ROUNDS {
        hunt(&mut link, None, &mut once).await?;
        hunt(&mut link, Some(&chat), &mut once_in_chat).await?;
    }
    drop(link);

    let alone = sending::send_for(executor, server, crowd, WRITERS, time).await?;
    let hub = crowd.hub();
    let enter = |_| crowd::enter_at(LAYER, door, hub.clone());
    let links = crowd::together(executor, SEARCHERS, enter).await?;
    let shared = Rc::new(Shared::default());
    let searching: Vec<Task<Result<(), String>>> =
        links.into_iter().map(|link| executor.spawn(keep_on(link, shared.clone()))).collect();
    let beside = sending::send_for(executor, server, crowd, WRITERS, time).await?;
    shared.over.set(true);
    for task in searching {
        task.await?;
    }
    let meanwhile = shared.requests.get();
    Ok(Searched { often, often_in_chat, once, once_in_chat, alone, beside, meanwhile })
}

/// The first page of what is frequent, again and again.
async fn pages(link: &mut Wire, chat: Option<&str>) -> Result<Histogram, String> {
    let mut latencies = Histogram::default();
    let body = request(OFTEN, chat, None);
    for _ in 0..PAGES {
        let began = Instant::now();
        let answer = link.insist("CHAT-SEARCH", body.as_bytes()).await?;
        latencies.add(began.elapsed());
        if !frame::has(link.body(&answer), OFTEN) {
            return Err(link.refusal("a search for what is frequent", &answer));
        }
    }
    Ok(latencies)
}

/// Follows the search for what was written once to its end.
async fn hunt(link: &mut Wire, chat: Option<&str>, hunt: &mut Hunt) -> Result<(), String> {
    let mut body = request(ONCE, chat, None);
    let mut found = false;
    for _ in 0..REQUESTS_MAX {
        let began = Instant::now();
        let answer = link.insist("CHAT-SEARCH", body.as_bytes()).await?;
        let took = began.elapsed();
        hunt.requests += 1;
        hunt.time += took;
        hunt.slowest = hunt.slowest.max(took);
        let said = link.body(&answer);
        found |= frame::has(said, ONCE);
        if !frame::has(said, "\"more\":true") {
            hunt.rounds += 1;
            return if found { Ok(()) } else { Err("a word that is there was not found".into()) };
        }
        body = request(ONCE, chat, frame::number_after(said, "\"id_till\":"));
    }
    Err(format!("a search did not end after {REQUESTS_MAX} requests"))
}

/// Searches for what was written once until nobody measures any more.
async fn keep_on(mut link: Wire, shared: Rc<Shared>) -> Result<(), String> {
    let mut till = None;
    while !shared.over.get() {
        let body = request(ONCE, None, till);
        let answer = link.insist("CHAT-SEARCH", body.as_bytes()).await?;
        let said = link.body(&answer);
        let more = frame::has(said, "\"more\":true");
        till = frame::number_after(said, "\"id_till\":").filter(|_| more);
        shared.requests.set(shared.requests.get() + 1);
    }
    Ok(())
}

fn request(words: &str, chat: Option<&str>, till: Option<u64>) -> String {
    let mut body = format!("{{\"query\":\"{words}\",\"count\":{PAGE}");
    if let Some(chat) = chat {
        body += &format!(",\"chat_id\":\"{chat}\"");
    }
    if let Some(till) = till {
        body += &format!(",\"id_till\":{till}");
    }
    body.push('}');
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::toy::Toy;

    #[test]
    fn what_was_written_once_is_found_and_searches_go_on_meanwhile() {
        let toy = Toy::start();
        let server = Server::running(toy.door, None, None);
        let mut crowd = Crowd::new();
        plant(&server, &mut crowd).unwrap();
        let deadline = Duration::from_secs(20);
        sending::fill(&server, &mut crowd, 3, 600, deadline).unwrap();
        let searched = measure(&server, &mut crowd, Duration::from_millis(100)).unwrap();
        assert_eq!(searched.often.count(), PAGES as u64);
        assert_eq!(searched.once.rounds, ROUNDS as u64);
        assert!(searched.once.requests > searched.once.rounds, "the toy answers in parts");
        assert!(searched.beside.messages > 0 && searched.meanwhile > 0);
    }
}
