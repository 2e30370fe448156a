//! What tests of connections share: an engine played by the test, one guest, a stream pair.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use async_executor::Executor;
use smol::Async;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::io::AsyncReadExt;

use crate::config::Config;
use crate::domain::id::{AccountNo, MessageId, SessionId, SessionKey};
use crate::domain::words::{Bulletin, Event, Refusal, Reply};
use crate::engine::seat::Letter;
use crate::engine::{Answer, Seat};
use crate::metrics::Carrier;
use crate::net::guest::{Guest, Guests};
use crate::net::host::{Core, Host, Patience};
use crate::net::poll::Polls;
use crate::net::stream::{Plain, Stream};
use crate::net::toy::Toy;
use crate::pool::Pool;
use crate::wire::{Ask, House};

/// Long enough for any step of a test that goes well.
pub(super) const LONG: Duration = Duration::from_secs(20);
/// Short enough to wait for.
pub(super) const SHORT: Duration = Duration::from_millis(60);

pub(super) const PATIENT: Patience = Patience {
    unfinished: LONG,
    nameless: LONG,
    stuck: LONG,
    linger: LONG,
    hold: LONG,
    poll: LONG,
    absent: LONG,
};

/// Passes questions to the test, which answers them.
#[derive(Debug)]
pub(super) struct Fake {
    asks: Sender<(Ask, Sender<Answer>)>,
    known: Mutex<HashMap<[u8; 32], Arc<Seat>>>,
    /// What `newest` answers: id and order.
    newest: Option<(u64, u64)>,
}

pub(super) struct Stage {
    pub(super) host: Arc<Host<Fake>>,
    /// For what connections leave to tasks of their own.
    pub(super) executor: Arc<Executor<'static>>,
    pub(super) guests: Arc<Guests>,
    asks: Receiver<(Ask, Sender<Answer>)>,
}

/// A question that waits for the test.
pub(super) struct Question {
    pub(super) ask: Ask,
    answer: Sender<Answer>,
}

impl Core for Fake {
    type Tinode = Toy;

    async fn ask_by(&self, _key: Option<SessionKey>, _peer: IpAddr, ask: Ask) -> Answer {
        let (answer, answered) = bounded(1);
        self.asks.send((ask, answer)).await.expect("the test listens");
        answered.recv().await.expect("the test answers")
    }

    async fn seat(&self, session: SessionId, layer: u32) -> Result<Arc<Seat>, Refusal> {
        let known = self.known.lock().unwrap();
        let seat = known.get(session.bytes()).cloned().ok_or(Refusal::UnknownSession)?;
        seat.set_layer(layer);
        Ok(seat)
    }

    fn newest(&self, _seat: &Seat) -> impl Future<Output = Answer> + Send {
        let (reply, order) = match self.newest {
            Some((id, order)) => (Ok(Reply::Newest(MessageId(id))), order),
            None => (Err(Refusal::Unavailable), 0),
        };
        async move { Answer { reply, seat: None, order } }
    }
}

impl Stage {
    pub(super) fn new(patience: Patience) -> Stage {
        Stage::with(patience, |_| {})
    }

    pub(super) fn with(patience: Patience, change: impl FnOnce(&mut Config)) -> Stage {
        let (tell, asks) = unbounded();
        let mut config = Config::for_tests();
        change(&mut config);
        let core = Fake { asks: tell, known: Mutex::default(), newest: Some((40, 100)) };
        let house = House { name: "im.test".into(), config: Arc::new(config) };
        let present = crate::net::host::Present::new(Arc::new(house));
        let buffers = Arc::new(Pool::new(usize::MAX));
        let executor = Arc::new(Executor::new());
        let polls = Polls::new(&executor);
        let host = Host { core, present, metrics: Arc::default(), patience, buffers, polls };
        let guests = Arc::new(Guests::new(host.metrics.clone(), 100, 100));
        Stage { host: Arc::new(host), executor, guests, asks }
    }

    /// From now on the end of what was lost is not to be had.
    pub(super) fn forget_newest(&mut self) {
        self.own_host().core.newest = None;
    }

    /// How much all connections together may hold.
    pub(super) fn leave_memory(&mut self, bytes: usize) {
        self.own_host().buffers = Arc::new(Pool::new(bytes));
    }

    fn own_host(&mut self) -> &mut Host<Fake> {
        Arc::get_mut(&mut self.host).expect("nobody is served")
    }

    pub(super) fn guest(&self) -> Guest {
        self.guests.admit(Ipv4Addr::LOCALHOST.into(), Carrier::Tcp).expect("there is room")
    }

    /// A session that the engine knows.
    pub(super) fn session(&self, number: u8) -> (SessionId, Arc<Seat>) {
        let seat = Arc::new(Seat::alone(AccountNo(1), SessionKey([number; 16]), false));
        seat.set_layer(3);
        let id = session_id(number);
        self.host.core.known.lock().unwrap().insert(*id.bytes(), seat.clone());
        (id, seat)
    }

    pub(super) async fn question(&self) -> Question {
        let (ask, answer) = self.asks.recv().await.expect("the stage holds a sender");
        Question { ask, answer }
    }

    pub(super) fn is_asked_nothing(&self) -> bool {
        self.asks.is_empty()
    }
}

impl Question {
    pub(super) async fn answer(
        self,
        reply: Result<Reply, Refusal>,
        seat: Option<(SessionId, Arc<Seat>)>,
        order: u64,
    ) {
        self.answer.send(Answer { reply, seat, order }).await.expect("somebody waits");
    }
}

pub(super) fn session_id(number: u8) -> SessionId {
    SessionId::new([number; 32])
}

/// Puts an update named `who` into a mailbox.
pub(super) fn post(seat: &Seat, order: u64, who: &str) {
    let event = Arc::new(Bulletin::new(Event::ContactRemoved { who: who.into() }));
    seat.post(&Letter::new(order, &event), 4, 100_000, Waker::wake);
}

/// Makes a mailbox lose its updates.
pub(super) fn overflow(seat: &Seat) {
    for _ in 0..5 {
        post(seat, 1, "lost");
    }
}

/// The other end of a connection.
pub(super) type Client = Async<TcpStream>;

pub(super) fn pair() -> (Stream, Client) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let client = TcpStream::connect(address).expect("it listens");
    let server = listener.accept().expect("it was called").0;
    let server = Async::new(server).expect("a socket");
    (Stream::Plain(Plain::new(server)), Async::new(client).expect("a socket"))
}

/// Everything until the end of the stream.
pub(super) async fn rest(stream: &mut Client) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an end in order");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The same, where the stream may also end by a reset.
pub(super) async fn rest_of(stream: &mut Client) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

/// Reads exactly this much text; fails on anything else.
#[track_caller]
pub(super) fn expect(stream: &mut Client, text: &str) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let text = text.to_owned();
    async move {
        let mut bytes = vec![0; text.len()];
        let read = stream.read_exact(&mut bytes).await;
        assert_eq!(String::from_utf8_lossy(&bytes), text, "at {place}, {read:?}");
    }
}

/// Runs a test's two sides, and fails when they do not come to an end.
pub(super) fn play(test: impl Future<Output = ()>) {
    use smol::future::FutureExt;
    smol::block_on(test.or(async {
        smol::Timer::after(LONG).await;
        panic!("the test hangs");
    }));
}
