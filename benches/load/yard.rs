//! All connections of a row, on one thread.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_rustls::rustls::ClientConfig;
use rustix::event::{Timespec, epoll};

use crate::link::Link;
use crate::talk::{Guest, Heard, Talk, Tongue};
use crate::text::Clock;

/// Connections that log in at once. ngIRCd lets 10 wait at its door; the one after them would try
/// again a second later.
const WIDTH: usize = 8;
const CHUNK_BYTES: usize = 64 * 1024;
const EVENTS: usize = 512;
/// A login that takes longer is none.
const LOGIN_DEADLINE: Duration = Duration::from_secs(60);
/// Nothing was heard for so long: the server has said all that it had to say.
const QUIET: Duration = Duration::from_millis(300);

/// Something heard, by whom and when.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) link: usize,
    pub(crate) heard: Heard,
    /// The run's clock when it was read.
    pub(crate) at: u64,
}

/// Where a server is, and what it speaks.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) tongue: Tongue,
}

pub(crate) struct Yard<'a> {
    pub(crate) clock: &'a Clock,
    epoll: OwnedFd,
    links: Vec<Link>,
    chunk: Vec<u8>,
    events: Vec<epoll::Event>,
    heard: Vec<Heard>,
}

impl<'a> Yard<'a> {
    pub(crate) fn new(clock: &'a Clock) -> Result<Yard<'a>, String> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|e| format!("cannot watch sockets: {e}"))?;
        Ok(Yard {
            clock,
            epoll,
            links: Vec::new(),
            chunk: vec![0; CHUNK_BYTES],
            events: Vec::with_capacity(EVENTS),
            heard: Vec::new(),
        })
    }

    /// A new connection, whose client has said its first words.
    pub(crate) fn connect(&mut self, door: &Door, guest: Guest) -> Result<usize, String> {
        let talk = door.tongue.client(guest);
        let link = Link::connect(door.address, door.tls.as_ref(), talk)?;
        let index = self.links.len();
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, link.socket(), data, epoll::EventFlags::IN)
            .map_err(|e| format!("cannot watch a socket: {e}"))?;
        self.links.push(link);
        self.say(index, |talk, out| talk.open(out))?;
        Ok(index)
    }

    /// Connects all these and waits until they are logged in; their links, in order.
    pub(crate) fn enter(
        &mut self,
        door: &Door,
        guests: impl IntoIterator<Item = Guest>,
    ) -> Result<Vec<usize>, String> {
        let mut guests = guests.into_iter().peekable();
        let mut links = Vec::new();
        while guests.peek().is_some() {
            let mut waiting = 0;
            for guest in guests.by_ref().take(WIDTH) {
                links.push(self.connect(door, guest)?);
                waiting += 1;
            }
            self.count(waiting, LOGIN_DEADLINE, |heard| *heard == Heard::Ready)
                .map_err(|e| format!("logging in: {e}"))?;
        }
        Ok(links)
    }

    /// Waits until so many things were heard that are meant.
    pub(crate) fn count(
        &mut self,
        mut count: usize,
        patience: Duration,
        is_it: impl Fn(&Heard) -> bool,
    ) -> Result<(), String> {
        let began = Instant::now();
        let mut words = Vec::new();
        while count > 0 {
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(format!("given up after {} s, {count} missing", patience.as_secs()));
            }
            self.turn(left, &mut words)?;
            count = count.saturating_sub(words.iter().filter(|word| is_it(&word.heard)).count());
        }
        Ok(())
    }

    /// Reads and drops what still comes, until nothing does.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let mut words = Vec::new();
        while self.turn(QUIET, &mut words)? {}
        Ok(())
    }

    /// Waits for the network at most so long; `words` are what was heard. False when nothing moved.
    /// Every loop of a row comes by here, so none outlives the row's time.
    pub(crate) fn turn(
        &mut self,
        patience: Duration,
        words: &mut Vec<Word>,
    ) -> Result<bool, String> {
        words.clear();
        if self.clock.is_over() {
            return Err("the row has had its time and is not done".into());
        }
        let patience = Timespec::try_from(patience).map_err(|e| format!("no time: {e}"))?;
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            Some(&patience),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(format!("cannot wait for the network: {e}")),
        }
        let events = std::mem::take(&mut self.events);
        let result = events.iter().try_for_each(|event| self.handle(*event, words));
        self.events = events;
        result.map(|()| !self.events.is_empty())
    }

    fn handle(&mut self, event: epoll::Event, words: &mut Vec<Word>) -> Result<(), String> {
        let index = event.data.u64() as usize;
        let Some(link) = self.links.get_mut(index) else { return Ok(()) };
        let flags = event.flags;
        if flags.contains(epoll::EventFlags::OUT) {
            link.flush()?;
            if !link.is_waiting() {
                self.watch(index, false)?;
            }
        }
        let Some(link) = self.links.get_mut(index) else { return Ok(()) };
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR)
        {
            let was_waiting = link.is_waiting();
            link.receive(&mut self.chunk, &mut self.heard)?;
            let is_waiting = link.is_waiting();
            let at = self.clock.now();
            words.extend(self.heard.drain(..).map(|heard| Word { link: index, heard, at }));
            if is_waiting && !was_waiting {
                self.watch(index, true)?;
            }
        }
        Ok(())
    }

    /// A client says something.
    pub(crate) fn say<T>(
        &mut self,
        index: usize,
        what: impl FnOnce(&mut dyn Talk, &mut Vec<u8>) -> T,
    ) -> Result<T, String> {
        let link = self.link(index)?;
        let was_waiting = link.is_waiting();
        let said = link.say(what)?;
        if link.is_waiting() && !was_waiting {
            self.watch(index, true)?;
        }
        Ok(said)
    }

    pub(crate) fn link(&mut self, index: usize) -> Result<&mut Link, String> {
        self.links.get_mut(index).ok_or_else(|| "no such link".into())
    }

    fn watch(&mut self, index: usize, writing: bool) -> Result<(), String> {
        let Some(link) = self.links.get(index) else { return Ok(()) };
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, writing);
        let data = epoll::EventData::new_u64(index as u64);
        epoll::modify(&self.epoll, link.socket(), data, flags)
            .map_err(|e| format!("cannot watch a socket: {e}"))
    }
}
