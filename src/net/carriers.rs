//! The threads that the tasks of connections run on.
//!
//! **One of them, the helmsman, waits for the network and runs what becomes runnable.** If several
//! waited they would take turns at it, and every turn costs more system calls than a message is
//! worth. The others are hands: they stand in a row behind the helmsman, know nothing of the
//! network and sleep. A hand works when the one in front of it has more to do than it should do alone, or
//! has been at the same task for too long: a signature on a slow board, a read from a cold card.
//! Then it is async-io's own thread that waits for the network, after some 10 ms.
//!
//! With nothing left to run, the helmsman also does what its tasks have asked of the engine, where
//! that is short (see [`StandIn`]): a message alone then passes through one thread and wakes no other.
//! Where there is more to run, or no hand to look after the helmsman, the engine is called.
//!
//! **No task waits while everybody sleeps**, whatever the hands do: the helmsman alone is asleep in
//! the eyes of the executor, which wakes it for every task that becomes runnable meanwhile, and it
//! looks for tasks once more after it has said that it sleeps. Hands take tasks away, never the
//! helmsman's wake-up.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use async_executor::Executor;
use smol::channel::{Receiver, Sender};
use smol::future::{or, yield_now};

use crate::engine::StandIn;

/// Of each thread. A TLS handshake in a debug build takes the most, some 100 KiB; pages that are
/// never touched cost nothing.
const STACK_BYTES: usize = 512 * 1024;
/// For how long one thread runs tasks before it calls the others: what is done sooner costs less on
/// one thread than on two, which wake each other and wait for each other's memory.
const STINT: Duration = Duration::from_micros(500);
/// The same for tasks that take less than [`LIGHT`] each, as those of messages do: they gain least.
const LIGHT_STINT: Duration = Duration::from_micros(1500);
/// Between a message's task, 5 µs here, and a page of history's, 50 µs.
const LIGHT: Duration = Duration::from_micros(20);
/// Tasks between two looks at the clock.
const GLANCE: usize = 4;
/// Tasks after which the helmsman looks at the network, however many are left.
const ROUND: usize = 200;
/// How often a hand looks whether the one in front of it gets on. As long as nothing happens nobody
/// looks.
const LOOK: Duration = Duration::from_millis(10);

/// The threads, running. Dropping it ends them once their task under way is done.
#[derive(Debug)]
pub(super) struct Carriers {
    /// Dropping it ends the helmsman.
    running: Option<Sender<()>>,
    hands: Vec<Hand>,
    ended: mpsc::Receiver<()>,
    count: usize,
}

/// A hand, for the thread in front of it.
#[derive(Clone, Debug)]
struct Hand {
    post: Arc<Post>,
    thread: Thread,
}

/// What a hand and the thread in front of it tell each other.
#[derive(Debug, Default)]
struct Post {
    /// Goes up when the one in front begins to work and when it rests: odd while it works.
    pace: AtomicUsize,
    /// The hand looks at the pace.
    on_duty: AtomicBool,
    /// The one in front has more to do than it should do alone.
    called: AtomicBool,
    over: AtomicBool,
}

impl Carriers {
    pub(super) fn start(
        executor: &Arc<Executor<'static>>,
        threads: usize,
        stand_in: Option<StandIn>,
    ) -> Result<Carriers, String> {
        // Without a hand nobody would look at the network while the disk has a slow moment.
        let mut stand_in = stand_in.filter(|_| threads > 1);
        let (running, stopped) = smol::channel::bounded(1);
        let (tell_end, ended) = channel();
        let mut carriers = Carriers { running: Some(running), hands: Vec::new(), ended, count: 0 };
        let mut behind = None;
        // The last in the row is the first that is there to be called.
        for number in (0..threads.max(1)).rev() {
            let (executor, tell_end) = (executor.clone(), tell_end.clone());
            let (stopped, next) = (stopped.clone(), behind.take());
            let post = Arc::new(Post::default());
            let own = post.clone();
            let stand_in = if number == 0 { stand_in.take() } else { None };
            let thread = thread::Builder::new()
                .name(format!("net-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    match number {
                        0 => steer(&executor, next.as_ref(), stand_in.as_ref(), &stopped),
                        _ => lend(&executor, &own, next.as_ref()),
                    }
                    let _ = tell_end.send(());
                })
                .map_err(|error| format!("a thread for connections did not start: {error}"))?;
            carriers.count += 1;
            if number != 0 {
                let hand = Hand { post, thread: thread.thread().clone() };
                carriers.hands.push(hand.clone());
                behind = Some(hand);
            }
        }
        Ok(carriers)
    }

    /// Ends the threads. False when one of them does not end before `deadline`.
    pub(super) fn end(mut self, deadline: Instant) -> bool {
        self.dismiss();
        (0..self.count).all(|_| {
            let patience = deadline.saturating_duration_since(Instant::now());
            self.ended.recv_timeout(patience).is_ok()
        })
    }

    fn dismiss(&mut self) {
        self.running = None;
        for hand in self.hands.drain(..) {
            hand.post.over.store(true, SeqCst);
            hand.thread.unpark();
        }
    }
}

impl Drop for Carriers {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// What the helmsman does.
fn steer(
    executor: &Executor<'_>,
    hand: Option<&Hand>,
    stand_in: Option<&StandIn>,
    stopped: &Receiver<()>,
) {
    if let Some(stand_in) = stand_in {
        stand_in.begin();
    }
    let rounds = async {
        loop {
            let (mut row, mut stint) = (0, Stint::begin());
            while row < ROUND {
                if executor.try_tick() {
                    row += 1;
                    if stint.is_long(hand)
                        && let Some(stand_in) = stand_in
                    {
                        stand_in.call();
                    }
                } else if stand_in.is_some_and(StandIn::work) {
                    stint = Stint::begin();
                } else {
                    break;
                }
            }
            if row < ROUND {
                executor.tick().await;
            } else {
                // There may be no end of tasks, and none that takes long.
                if let Some(stand_in) = stand_in {
                    stand_in.call();
                }
                yield_now().await;
            }
        }
    };
    let until = async {
        let _ = stopped.recv().await;
    };
    let mut work = pin!(or(until, rounds));
    // async_io's block_on drives the reactor in this very thread; with any other one a thread of
    // its own would, at half the speed.
    async_io::block_on(poll_fn(|cx| at_work(hand, || work.as_mut().poll(cx))));
    if let Some(stand_in) = stand_in {
        stand_in.call();
    }
}

/// What a hand does.
fn lend(executor: &Executor<'_>, post: &Post, hand: Option<&Hand>) {
    while post.await_duty() {
        let mut seen = post.pace.load(SeqCst);
        loop {
            thread::park_timeout(LOOK);
            if post.over.load(SeqCst) {
                return;
            }
            let called = post.called.swap(false, SeqCst);
            let pace = post.pace.load(SeqCst);
            let stands = pace == seen;
            let works = pace % 2 == 1;
            seen = pace;
            if called || stands && works {
                at_work(hand, || {
                    let mut stint = Stint::begin();
                    while executor.try_tick() {
                        stint.is_long(hand);
                    }
                });
            } else if stands && post.leave_duty(pace) {
                break;
            }
        }
    }
}

/// Works while the hand behind, if there is one, looks after it.
fn at_work<T>(hand: Option<&Hand>, work: impl FnOnce() -> T) -> T {
    if let Some(hand) = hand {
        hand.post.pace.fetch_add(1, SeqCst);
        if !hand.post.on_duty.load(SeqCst) && !hand.post.on_duty.swap(true, SeqCst) {
            hand.thread.unpark();
        }
    }
    let done = work();
    if let Some(hand) = hand {
        hand.post.pace.fetch_add(1, SeqCst);
    }
    done
}

/// What a thread does without a pause.
struct Stint {
    began: Instant,
    /// Tasks since then.
    row: usize,
}

impl Stint {
    fn begin() -> Stint {
        Stint { began: Instant::now(), row: 0 }
    }

    /// After each task: whether it is time for help. The hand behind is called then, and it is time
    /// again after as long.
    fn is_long(&mut self, hand: Option<&Hand>) -> bool {
        self.row += 1;
        if !self.row.is_multiple_of(GLANCE) {
            return false;
        }
        let worked = self.began.elapsed();
        let is_light = worked < LIGHT * self.row as u32;
        if worked < if is_light { LIGHT_STINT } else { STINT } {
            return false;
        }
        *self = Stint::begin();
        if let Some(hand) = hand
            && !hand.post.called.swap(true, SeqCst)
        {
            hand.thread.unpark();
        }
        true
    }
}

impl Post {
    /// Sleeps until there is something to look after. False: until the end.
    fn await_duty(&self) -> bool {
        while !self.over.load(SeqCst) {
            if self.on_duty.load(SeqCst) {
                return true;
            }
            thread::park();
        }
        false
    }

    /// Lets the hand sleep, unless the one in front has begun something since `pace`: it either
    /// sees that nobody is on duty, or is seen here.
    fn leave_duty(&self, pace: usize) -> bool {
        self.on_duty.store(false, SeqCst);
        let leaves = self.pace.load(SeqCst) == pace;
        if !leaves {
            self.on_duty.store(true, SeqCst);
        }
        leaves
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use smol::Async;
    use smol::channel::bounded;
    use smol::io::AsyncReadExt;

    use super::*;
    use crate::config::Config;
    use crate::engine;
    use crate::engine::clock::Clock;
    use crate::store::{Options, Place, Store};
    use crate::wire::{Ask, Habit, What};

    /// Words under way at once, in a third of the rounds.
    const ROWS: usize = 4;
    /// Long enough for whatever goes well.
    const LONG: Duration = Duration::from_secs(20);

    fn carriers(threads: usize) -> (Arc<Executor<'static>>, Carriers) {
        let executor = Arc::new(Executor::new());
        let carriers = Carriers::start(&executor, threads, None).unwrap();
        (executor, carriers)
    }

    fn by_now() -> Instant {
        Instant::now() + LONG
    }

    /// Whether all hands sleep before long.
    fn fall_asleep(carriers: &Carriers) -> bool {
        let end = by_now();
        while carriers.hands.iter().any(|hand| hand.post.on_duty.load(SeqCst)) {
            if end < Instant::now() {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    #[test]
    fn no_task_is_left_waiting_however_many_come_and_whoever_sleeps() {
        for threads in [1, 2, 4] {
            let (executor, carriers) = carriers(threads);
            for round in 0..60 {
                // A word goes through a row of tasks, in several rows at once.
                let (tell, told) = channel();
                for _ in 0..=round % 3 * ROWS {
                    let (first, mut last) = bounded(1);
                    for _ in 0..5 {
                        let (next, end) = bounded(1);
                        let from = std::mem::replace(&mut last, end);
                        executor
                            .spawn(async move { next.send(from.recv().await.unwrap()).await })
                            .detach();
                    }
                    let tell = tell.clone();
                    executor
                        .spawn(async move { tell.send(last.recv().await.unwrap()).unwrap() })
                        .detach();
                    smol::block_on(first.send(round)).unwrap();
                }
                drop(tell);
                for _ in 0..=round % 3 * ROWS {
                    assert_eq!(told.recv_timeout(LONG), Ok(round), "{threads} threads");
                }
                if round % 20 == 0 {
                    assert!(fall_asleep(&carriers), "nobody has anything to do");
                }
            }
            assert!(carriers.end(by_now()));
        }
    }

    #[test]
    fn a_task_that_stands_still_stops_neither_tasks_nor_the_network() {
        let (executor, carriers) = carriers(2);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = Async::new(listener.accept().unwrap().0).unwrap();
        let (stands, standing) = channel();
        let (go, gone) = channel();
        let (heard, hears) = channel();
        executor
            .spawn(async move {
                let mut byte = [0];
                server.read_exact(&mut byte).await.unwrap();
                go.send(()).unwrap();
            })
            .detach();
        executor
            .spawn(async move {
                stands.send(()).unwrap();
                heard.send(gone.recv_timeout(LONG)).unwrap();
            })
            .detach();
        standing.recv_timeout(LONG).unwrap();
        client.write_all(b"x").unwrap();
        assert_eq!(hears.recv_timeout(LONG), Ok(Ok(())));
        assert!(carriers.end(by_now()));
    }

    #[test]
    fn what_is_asked_of_the_engine_is_done_though_there_is_no_end_of_tasks() {
        let options = Options { cache_bytes: 1 << 20, free_space: 0 };
        let store = Store::open(Place::Memory, options).unwrap();
        let config = Arc::new(Config::for_tests());
        let (exchange, running) =
            engine::start(store, config, Arc::default(), 1 << 20, Clock::system()).unwrap();
        let executor = Arc::new(Executor::new());
        let carriers = Carriers::start(&executor, 2, Some(exchange.stand_in())).unwrap();
        let endless = || async {
            loop {
                yield_now().await;
            }
        };
        let endless: Vec<_> = (0..50).map(|_| executor.spawn(endless())).collect();
        let (tell, told) = channel();
        // By chance the engine wakes up all the same, after a while each time.
        let end = Instant::now() + LONG / 2;
        for _ in 0..100 {
            let (exchange, tell) = (exchange.clone(), tell.clone());
            let what = Ok(What::Challenge { login: None });
            let habit = Habit::default();
            let ask = Ask { who: None, session_required: false, layer: 1, habit, what };
            let asking = async move {
                let answer = exchange.ask(Ipv4Addr::LOCALHOST.into(), ask).await;
                tell.send(answer.reply.is_ok()).unwrap();
            };
            executor.spawn(asking).detach();
            let patience = end.saturating_duration_since(Instant::now());
            assert_eq!(told.recv_timeout(patience), Ok(true));
        }
        drop(endless);
        assert!(carriers.end(by_now()));
        running.stop().unwrap();
    }

    #[test]
    fn hands_sleep_while_nothing_happens() {
        let (executor, carriers) = carriers(3);
        smol::block_on(executor.spawn(async {}));
        assert!(fall_asleep(&carriers));
        let paces = || carriers.hands.iter().map(|h| h.post.pace.load(SeqCst)).collect::<Vec<_>>();
        let before = paces();
        smol::block_on(executor.spawn(async {}));
        assert!(fall_asleep(&carriers));
        assert_ne!(paces(), before);
    }

    #[test]
    fn the_end_does_not_wait_for_whoever_stands_still() {
        let (executor, carriers) = carriers(2);
        let (stands, standing) = channel();
        let (go, gone) = channel::<()>();
        executor
            .spawn(async move {
                stands.send(()).unwrap();
                let _ = gone.recv_timeout(LONG);
            })
            .detach();
        standing.recv_timeout(LONG).unwrap();
        assert!(!carriers.end(Instant::now() + Duration::from_millis(50)));
        drop(go);
    }
}
