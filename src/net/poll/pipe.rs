//! The stream of a long-poll session: memory where others have a socket.
//!
//! Its inner end is the driver's, which runs the session like any other connection. Its outer end
//! is the requests': what they say comes in, what is said to them is taken a packet at a time.
//! In both directions a packet is its length, a u32 in network order, and its bytes.
//!
//! **Each packet is taken once**, by the newest poll. **A full pipe makes the driver wait** like a
//! peer that reads too slowly, so that updates stay in their mailbox; **one that nobody has asked
//! for a while is at its end.** An idle one holds no bytes, and one timer that rings once in that
//! while.

use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use smol::io::{AsyncRead, AsyncWrite};

use crate::limits::{TINODE_WAITING_BYTES_MAX, TINODE_WAITING_MAX};
use crate::net::alarm::Alarm;
use crate::net::guest::Guests;
use crate::net::host::SMALL_BYTES;
use crate::pool::Pool;
use crate::wire::Buffer;

const LENGTH_BYTES: usize = size_of::<u32>();

/// Shared by the driver and the requests.
pub(in crate::net) struct Pipe {
    state: Mutex<State>,
    buffers: Arc<Pool>,
    guests: Arc<Guests>,
}

struct State {
    /// One packet from a request that the driver has not read to its end.
    said: Buffer,
    /// Packets for the polls.
    waiting: Buffer,
    waiting_count: usize,
    /// How much of the memory for all connections that is.
    share: usize,
    driver: Option<Waker>,
    poll: Option<Waker>,
    /// Requests that have something to say after what is being read.
    speakers: Vec<Waker>,
    /// The newest poll; those before it are over.
    newest: u64,
    is_parked: bool,
    /// The last request began or ended.
    used: Instant,
    is_closed: bool,
}

/// What came of saying something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Said {
    Yes,
    /// The session is over.
    Over,
    /// There is no memory for it.
    NoRoom,
}

/// A poll that waits for a packet.
#[derive(Debug)]
pub(in crate::net) struct Parked {
    pipe: Arc<Pipe>,
    number: u64,
}

/// The driver's end. The session is over when it is dropped.
#[derive(Debug)]
pub(in crate::net) struct Inner {
    pipe: Arc<Pipe>,
    /// How long the next request may be away.
    absent: Duration,
    alarm: Alarm,
}

impl Pipe {
    /// Both ends.
    pub(super) fn new(
        buffers: Arc<Pool>,
        guests: Arc<Guests>,
        absent: Duration,
    ) -> (Arc<Pipe>, Box<Inner>) {
        let state = State {
            said: Buffer::default(),
            waiting: Buffer::default(),
            waiting_count: 0,
            share: 0,
            driver: None,
            poll: None,
            speakers: Vec::new(),
            newest: 0,
            is_parked: false,
            used: Instant::now(),
            is_closed: false,
        };
        let pipe = Arc::new(Pipe { state: Mutex::new(state), buffers, guests });
        let inner = Inner { pipe: pipe.clone(), absent, alarm: Alarm::default() };
        (pipe, Box::new(inner))
    }

    /// Makes a poll the newest one; the one before it ends without a packet.
    pub(in crate::net) fn park(self: &Arc<Pipe>) -> Parked {
        let mut state = self.state();
        state.newest += 1;
        state.is_parked = true;
        state.used = Instant::now();
        let number = state.newest;
        let older = state.poll.take();
        drop(state);
        wake(older);
        Parked { pipe: self.clone(), number }
    }

    /// Says a packet to the session once it has read all that was said before.
    pub(in crate::net) fn poll_say(&self, cx: &Context<'_>, packet: &[u8]) -> Poll<Said> {
        let mut state = self.state();
        state.used = Instant::now();
        if state.is_closed {
            return Poll::Ready(Said::Over);
        }
        if !state.said.is_empty() {
            if !state.speakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.speakers.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let Ok(length) = u32::try_from(packet.len()) else { return Poll::Ready(Said::NoRoom) };
        let more = LENGTH_BYTES + packet.len();
        if !state.hold(&self.buffers, more) {
            return Poll::Ready(Said::NoRoom);
        }
        state.said.extend(&length.to_be_bytes());
        state.said.extend(packet);
        let driver = state.driver.take();
        drop(state);
        wake(driver);
        Poll::Ready(Said::Yes)
    }

    #[cfg(test)]
    pub(in crate::net) fn is_parked(&self) -> bool {
        self.state().is_parked
    }

    #[cfg(test)]
    pub(in crate::net) fn has_speakers(&self) -> bool {
        !self.state().speakers.is_empty()
    }

    /// As if the last request were so long ago.
    #[cfg(test)]
    pub(in crate::net) fn age(&self, by: Duration) {
        let mut state = self.state();
        state.used = state.used.checked_sub(by).expect("the machine is older");
        let driver = state.driver.take();
        drop(state);
        wake(driver);
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let (poll, speakers) = (state.poll.take(), mem::take(&mut state.speakers));
        drop(state);
        poll.into_iter().chain(speakers).for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts what is held with so much more. False: there is no room, and nothing has changed.
    fn hold(&mut self, buffers: &Pool, more: usize) -> bool {
        let held = self.said.len() + self.waiting.len() + more;
        // A vector that grows has up to twice the room it needs.
        let bytes = if held <= SMALL_BYTES { 0 } else { 2 * held };
        if self.share < bytes && !buffers.take(bytes - self.share) {
            return false;
        }
        buffers.give_back(self.share.saturating_sub(bytes));
        self.share = bytes;
        true
    }

    fn is_full(&self) -> bool {
        TINODE_WAITING_MAX <= self.waiting_count || TINODE_WAITING_BYTES_MAX <= self.waiting.len()
    }

    fn take(&mut self, buffers: &Pool) -> Option<Vec<u8>> {
        let packet = frame(self.waiting.as_slice())?.get(LENGTH_BYTES..)?.to_vec();
        self.waiting.consume(LENGTH_BYTES + packet.len());
        self.waiting_count = self.waiting_count.saturating_sub(1);
        // Less than before always fits.
        let _ = self.hold(buffers, 0);
        Some(packet)
    }
}

impl Parked {
    /// The next packet; `None`: none comes here any more.
    pub(in crate::net) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Vec<u8>>> {
        let mut state = self.pipe.state();
        if state.newest != self.number {
            return Poll::Ready(None);
        }
        if let Some(packet) = state.take(&self.pipe.buffers) {
            let driver = state.driver.take();
            drop(state);
            wake(driver);
            return Poll::Ready(Some(packet));
        }
        if state.is_closed {
            return Poll::Ready(None);
        }
        state.poll = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let mut state = self.pipe.state();
        state.used = Instant::now();
        if state.newest == self.number {
            state.is_parked = false;
            let poll = state.poll.take();
            drop(state);
            // A waker's drop may free a task; not under the lock.
            drop(poll);
        }
    }
}

impl Inner {
    /// Ready when nobody has asked for anything for so long that nobody will.
    fn poll_absent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut state = self.pipe.state();
            let now = Instant::now();
            // A parked poll has a time of its own.
            let begin = if state.is_parked { now } else { state.used };
            let end = begin + self.absent;
            if end <= now {
                state.is_closed = true;
                return Poll::Ready(());
            }
            drop(state);
            self.alarm.set(Some(end));
            if self.alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncRead for Inner {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.pipe.state();
        if state.is_closed {
            return Poll::Ready(Ok(0));
        }
        let n = bytes.len().min(state.said.len());
        if 0 < n {
            bytes[..n].copy_from_slice(&state.said.as_slice()[..n]);
            state.said.consume(n);
            let _ = state.hold(&self.pipe.buffers, 0);
            let next = if state.said.is_empty() { mem::take(&mut state.speakers) } else { vec![] };
            drop(state);
            next.into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(n));
        }
        state.driver = Some(cx.waker().clone());
        drop(state);
        self.poll_absent(cx).map(|()| Ok(0))
    }
}

impl AsyncWrite for Inner {
    /// Takes whole packets, as the driver writes them.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.pipe.state();
        if state.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut rest = bytes;
        while let Some(packet) = frame(rest).filter(|_| !state.is_full()) {
            if !state.hold(&self.pipe.buffers, packet.len()) {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            state.waiting.extend(packet);
            state.waiting_count += 1;
            rest = &rest[packet.len()..];
        }
        let taken = bytes.len() - rest.len();
        if taken == 0 && !bytes.is_empty() {
            if !state.is_full() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if self.pipe.guests.is_leaving() {
                // Stopping does not wait for somebody who takes nothing.
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            state.driver = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let poll = state.poll.take();
        drop(state);
        wake(poll);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pipe.close();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.buffers.give_back(state.share);
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is said is nobody else's business.
        f.write_str("Pipe(..)")
    }
}

/// The packet at the front with its length, where all of it is there.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.get(..length)?;
    bytes.get(..LENGTH_BYTES + length)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
