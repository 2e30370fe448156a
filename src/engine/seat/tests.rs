use super::*;
use crate::domain::words::Event;
use std::time::Duration;

/// Counts how often it is woken.
#[derive(Debug, Default)]
struct Woken(AtomicU64);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn event(who: &str) -> Arc<Bulletin> {
    Arc::new(Bulletin::new(Event::ContactRemoved { who: who.into() }))
}

fn order(mail: Option<Mail>) -> Option<u64> {
    match mail {
        Some(Mail::Event { order, .. }) => Some(order),
        Some(Mail::Lost) => Some(0),
        Some(Mail::Moved | Mail::Ended) | None => None,
    }
}

#[test]
fn a_holder_is_woken_once_for_all_that_waits_and_again_when_it_has_taken_it() {
    let seat = Seat::alone(AccountNo(1), SessionKey([1; 16]), false);
    let woken = Arc::new(Woken::default());
    let holder = Holder::new();
    seat.hold(holder, &Waker::from(woken.clone()));
    let times = || woken.0.load(Ordering::Relaxed);
    let who = event("bob");
    for n in 1..=3 {
        assert!(seat.post(&Letter::new(n, &who), 3, 10_000, Waker::wake));
    }
    assert_eq!(times(), 1);
    assert_eq!(order(seat.take_until(holder, 1)), None);
    assert_eq!(order(seat.take_until(holder, 2)), Some(1));
    assert_eq!((order(seat.take(holder)), order(seat.take(holder))), (Some(2), Some(3)));
    assert_eq!(order(seat.take(holder)), None);
    assert_eq!(seat.lock().bytes, 0);
    // One too many: everything is lost, which is told once.
    for n in 4..=6 {
        assert!(seat.post(&Letter::new(n, &who), 3, 10_000, Waker::wake));
    }
    assert_eq!(times(), 2);
    assert!(!seat.post(&Letter::new(7, &who), 3, 10_000, Waker::wake));
    assert_eq!(order(seat.take(holder)), Some(0));
    assert_eq!(seat.lock().bytes, 0);
    assert!(seat.post(&Letter::new(8, &who), 3, 10_000, Waker::wake));
    assert_eq!(times(), 3);
    seat.forget_until(8);
    assert_eq!((order(seat.take(holder)), seat.lock().bytes), (None, 0));
    // Too heavy from the start: there was nothing to take, so it must be woken for the loss.
    assert!(!seat.post(&Letter::new(9, &who), 3, 1, Waker::wake));
    assert_eq!(times(), 4);
}

#[test]
fn nobody_comes_by_a_seat_that_is_over() {
    let here = Arc::new(Here::new(|| {}));
    let hall = Arc::new(Hall { mail: Pool::new(usize::MAX), here: here.clone() });
    let seat = Seat::new(AccountNo(1), SessionKey([1; 16]), false, hall);
    // Between the answer that named it and the connection that holds it.
    seat.end();
    let holder = Holder::new();
    seat.hold(holder, Waker::noop());
    assert!(matches!(seat.take(holder), Some(Mail::Ended)));
    assert!(!here.has_arrivals(), "nobody would ever tell of their going");
}

#[test]
fn only_a_seat_that_nobody_holds_grows_stale() {
    let seat = Seat::alone(AccountNo(1), SessionKey([1; 16]), false);
    let later = Instant::now() + Duration::from_secs(1);
    assert!(seat.is_stale(later));
    let holder = Holder::new();
    seat.hold(holder, Waker::noop());
    assert!(!seat.is_stale(later), "it is held");
    seat.release(holder);
    assert!(seat.is_stale(later));
    let before = Instant::now();
    seat.set_layer(3);
    assert!(!seat.is_stale(before), "it was used since");
}

#[test]
fn a_seat_is_small() {
    // With the counts of its Arc it fills a block of the allocator's to the last byte.
    assert!(size_of::<Seat>() <= 120, "{} bytes", size_of::<Seat>());
}

#[test]
fn what_waits_and_the_clients_name_do_not_lose_each_other() {
    let seat = Seat::alone(AccountNo(1), SessionKey([1; 16]), false);
    let holder = Holder::new();
    seat.hold(holder, Waker::noop());
    seat.appear(true, "phone".into());
    let who = event("bob");
    for n in 1..=3 {
        assert!(seat.post(&Letter::new(n, &who), 3, 10_000, Waker::wake));
    }
    seat.appear(true, "desk".into());
    assert_eq!((order(seat.take(holder)), order(seat.take(holder))), (Some(1), Some(2)));
    seat.appear(true, "".into());
    assert_eq!(seat.lock().agent(), "");
    assert_eq!(order(seat.take(holder)), Some(3));
    assert!(seat.lock().seldom.is_none(), "there is neither");
    seat.appear(true, "phone".into());
    assert_eq!(order(seat.take(holder)), None);
    assert_eq!(seat.lock().agent(), "phone");
}
