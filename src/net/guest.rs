//! Who is here: open connections, their caps, and how all of them are told to go.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use smol::channel::{Receiver, Sender, bounded};

use crate::metrics::{Carrier, Metrics};

/// So many connections are a crowd: what they leave behind is worth looking for.
const CROWD: usize = 64;

/// All open connections.
#[derive(Debug)]
pub(super) struct Guests {
    metrics: Arc<Metrics>,
    most: usize,
    most_of_address: usize,
    leaving: AtomicBool,
    room: Mutex<Room>,
    /// Somebody went.
    gone: Condvar,
    /// Says that a crowd has left; see [`Guests::thinning`].
    thinned: (Sender<()>, Receiver<()>),
}

#[derive(Debug, Default)]
struct Room {
    /// One place a connection, and the waker of its task.
    places: Vec<Option<Waker>>,
    free: Vec<u32>,
    addresses: HashMap<IpAddr, usize>,
    /// The most that were here since the last time a crowd left.
    peak: usize,
}

/// One open connection; its place is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    place: u32,
    pub(super) peer: IpAddr,
    carrier: Carrier,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Everywhere,
    /// Too many connections of that address.
    ForAddress,
    Leaving,
}

impl Guests {
    pub(super) fn new(metrics: Arc<Metrics>, most: usize, most_of_address: usize) -> Guests {
        Guests {
            metrics,
            most,
            most_of_address,
            leaving: AtomicBool::new(false),
            room: Mutex::default(),
            gone: Condvar::new(),
            thinned: bounded(1),
        }
    }

    /// Hears something each time when fewer than half of a crowd are left. What the allocator keeps
    /// of their memory can go back to the system then.
    pub(super) fn thinning(&self) -> Receiver<()> {
        self.thinned.1.clone()
    }

    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, carrier: Carrier) -> Result<Guest, Full> {
        let peer = peer.to_canonical();
        let mut room = self.room();
        // Asked under the lock: whoever gets in later is seen by `send_away`.
        if self.is_leaving() {
            return Err(Full::Leaving);
        }
        if self.most <= room.count() {
            return Err(Full::Everywhere);
        }
        let next = u32::try_from(room.places.len()).map_err(|_| Full::Everywhere)?;
        if !peer.is_loopback() {
            let count = room.addresses.entry(household(peer)).or_default();
            if self.most_of_address <= *count {
                return Err(Full::ForAddress);
            }
            *count += 1;
        }
        let place = room.free.pop().unwrap_or(next);
        if place == next {
            room.places.push(None);
        }
        room.peak = room.peak.max(room.count());
        drop(room);
        self.metrics.connections(carrier).add(1);
        Ok(Guest { guests: self.clone(), place, peer, carrier })
    }

    /// Whether all are to finish what is under way and go.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Lets nobody in any more and tells everybody to go.
    pub(super) fn send_away(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        for waker in self.room().places.iter().flatten() {
            waker.wake_by_ref();
        }
    }

    /// Waits until all have gone; false when some stayed beyond `patience`.
    pub(super) fn wait_empty(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut room = self.room();
        while 0 < room.count() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.gone.wait_timeout(room, left);
            room = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        // Nothing in here panics half-way through a change.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn place(&mut self, number: u32) -> Option<&mut Option<Waker>> {
        self.places.get_mut(usize::try_from(number).ok()?)
    }
}

impl Guest {
    /// Makes the task that polls this the one that is woken when all are to go. A connection is one
    /// task for its whole life, so once is enough.
    pub(super) async fn settle(&self) {
        poll_fn(|cx| {
            if let Some(place) = self.guests.room().place(self.place) {
                *place = Some(cx.waker().clone());
            }
            Poll::Ready(())
        })
        .await;
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.guests.is_leaving()
    }

    /// Connections end by errors every day; only who looks for one wants to read of it.
    pub(super) fn note(&self, end: &io::Result<()>) {
        if let Err(error) = end {
            log::debug!("a connection of {} ended: {error}", self.peer);
        }
    }

    /// Lets something in that counts as one more connection of the same address.
    pub(super) fn bring(&self, carrier: Carrier) -> Result<Guest, Full> {
        self.guests.admit(self.peer, carrier)
    }

    /// Whether all are to go, for those who are asked without being a connection.
    pub(super) fn guests(&self) -> Arc<Guests> {
        self.guests.clone()
    }

    /// From now on it is counted as `carrier` (an upgraded HTTP connection).
    pub(super) fn becomes(&mut self, carrier: Carrier) {
        self.guests.metrics.connections(self.carrier).subtract(1);
        self.guests.metrics.connections(carrier).add(1);
        self.carrier = carrier;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut room = self.guests.room();
        let waker = room.place(self.place).and_then(Option::take);
        room.free.push(self.place);
        if room.free.len() == room.places.len() {
            // Nobody is here; a crowd that was leaves no memory behind.
            (room.places, room.free) = (Vec::new(), Vec::new());
        }
        if !self.peer.is_loopback()
            && let Entry::Occupied(mut count) = room.addresses.entry(household(self.peer))
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        let thinned = CROWD <= room.peak && room.count() < room.peak / 2;
        if thinned {
            room.peak = room.count();
        }
        drop(room);
        if thinned {
            // When that was said before and not yet heard, once is enough.
            let _ = self.guests.thinned.0.try_send(());
        }
        // A waker's drop may free a task; not under the lock.
        drop(waker);
        self.guests.metrics.connections(self.carrier).subtract(1);
        self.guests.gone.notify_all();
    }
}

/// What counts as one address: of IPv6 the 64 bits that one line has at least, or the cap would
/// mean nothing.
fn household(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests(most: usize, most_of_address: usize) -> Arc<Guests> {
        Arc::new(Guests::new(Arc::default(), most, most_of_address))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_the_loopback_has_no_cap() {
        let guests = guests(10, 2);
        let admit = |text| guests.admit(address(text), Carrier::Tcp);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").err(), Some(Full::ForAddress));
        let _other = admit("192.0.2.2").unwrap();
        drop(first);
        let _third = admit("192.0.2.1").unwrap();
        let _six = [admit("2001:db8::1").unwrap(), admit("2001:db8::ffff:2").unwrap()];
        assert_eq!(admit("2001:db8::3").err(), Some(Full::ForAddress));
        let _home: Vec<_> = (0..4).map(|_| admit("127.0.0.1").unwrap()).collect();
        assert_eq!(admit("127.0.0.1").map(|_| ()).err(), None);
        let _last = admit("::1").unwrap();
        assert_eq!(admit("::1").err(), Some(Full::Everywhere));
    }

    #[test]
    fn a_crowd_that_leaves_is_noticed() {
        let guests = guests(200, 1);
        let thinning = guests.thinning();
        let mut here: Vec<_> =
            (0..100).map(|_| guests.admit(address("::1"), Carrier::Tcp).unwrap()).collect();
        here.truncate(50);
        assert!(thinning.try_recv().is_err(), "half are left");
        here.truncate(49);
        assert!(thinning.try_recv().is_ok());
        here.clear();
        assert!(thinning.try_recv().is_err(), "those were no crowd");
    }

    #[test]
    fn places_are_counted_and_used_again() {
        let guests = guests(2, 2);
        let connections = |carrier| guests.metrics.connections(carrier).get();
        let mut a = guests.admit(address("192.0.2.1"), Carrier::Http).unwrap();
        let b = guests.admit(address("192.0.2.1"), Carrier::Http).unwrap();
        a.becomes(Carrier::WebSocket);
        assert_eq!((connections(Carrier::Http), connections(Carrier::WebSocket)), (1, 1));
        drop(a);
        drop(b);
        assert_eq!((connections(Carrier::Http), connections(Carrier::WebSocket)), (0, 0));
        assert!(guests.room().addresses.is_empty());
        assert!(guests.wait_empty(Duration::ZERO));
        guests.send_away();
        assert_eq!(guests.admit(address("::1"), Carrier::Tcp).err(), Some(Full::Leaving));
    }
}
