//! Random commands of several people, against the rules on a real database and against a naive
//! model of them (`naive`), which must say the same: every reply, everything anybody hears, and in
//! the end all that everybody can see.
//!
//! `MSIMD_SEED` repeats a run, `MSIMD_STEPS` makes it longer. The seed is printed.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test and names itself")]

mod naive;

use std::io;
use std::sync::{Arc, Mutex};

use msimd::domain::id::{AccountNo, Address, Login, MessageId, SessionId, SessionKey, Timestamp};
use msimd::domain::nouns::{Contact, ContactState, Session};
use msimd::domain::words::{
    Actor, Command, ContactDraft, Digest, Draft, Envelope, KeyId, Order, Query, Range, Sealed,
    SessionKind, Take, Verifier,
};
use msimd::domain::{Context, NobodyHere, Registration, Scene, apply, read};
use msimd::limits::Limits;
use msimd::store::{BackendSource, Look, Options, Place, Store};

use naive::{Model, Op, Who};

const HOME: &str = "im.test";
const STEPS: u64 = 12_000;
/// Small, so that it is passed now and then.
const TEXT_BYTES_MAX: usize = 40;
const CONTACTS_MAX: usize = 8;
const PEOPLE_MAX: usize = 14;

#[test]
fn the_rules_do_what_a_naive_model_does() {
    let seed = number_from("MSIMD_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64)
    });
    let steps = number_from("MSIMD_STEPS").unwrap_or(STEPS);
    println!("MSIMD_SEED={seed} MSIMD_STEPS={steps}");
    let mut run = Run::new(seed);
    while run.steps < steps {
        run.turn();
    }
    run.look_at_everything();
    run.reopen();
    run.look_at_everything();
    let messages = run.model.message_count();
    println!("{messages} messages");
    assert!(messages > steps / 16, "only {messages} messages in {steps} steps");
}

fn number_from(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// A file in memory that outlives the store which has it open.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Vec<u8>>>);

impl BackendSource for Disk {
    fn open(&self) -> io::Result<Box<dyn redb::StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn exists(&self) -> bool {
        !self.0.lock().unwrap().is_empty()
    }

    /// So that messages are merged all the time.
    fn hurry(&self) -> usize {
        256
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.lock().unwrap();
        let start = offset as usize;
        let found = bytes.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = offset as usize;
        self.0.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// SplitMix64.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.roll().to_be_bytes());
        }
        bytes
    }
}

struct Run {
    disk: Disk,
    store: Option<Store>,
    limits: Limits,
    model: Model,
    dice: Dice,
    now: u64,
    steps: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let disk = Disk::default();
        let limits = Limits {
            max_text_bytes: TEXT_BYTES_MAX,
            contacts: CONTACTS_MAX,
            session_ttl: 1_000_000,
            ..Limits::default()
        };
        let store = Some(open(&disk));
        let model = Model::new(HOME, TEXT_BYTES_MAX, CONTACTS_MAX);
        let now = 1_700_000_000_000;
        let mut run = Run { disk, store, limits, model, dice: Dice(seed), now, steps: 0 };
        for login in ["alice", "bob", "carol", "dave"] {
            run.apply_all(vec![(Who::Operator, Op::Order(naive::Order::AddUser(login.into())))]);
            run.log_in(login);
        }
        run
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is open between two steps")
    }

    /// Some commands in one transaction, as the engine does it, or something beside them.
    fn turn(&mut self) {
        self.now += self.dice.roll() % 3000;
        if self.dice.once_in(50) {
            // The clock was set back.
            self.now -= 60_000;
        }
        match self.dice.below(40) {
            0..=2 => {
                let login = self.model.some_login(self.dice.roll());
                self.log_in(&login);
            }
            3 if self.dice.once_in(3) => self.block(),
            4 if self.dice.once_in(20) => self.reopen(),
            4 | 5 => self.store().flush().unwrap(),
            6..=12 => self.ask_a_query(),
            _ => {
                let size = if self.dice.once_in(2) { 1 } else { 1 + self.dice.below(8) };
                let ops = (0..size).map(|_| self.some_op()).collect();
                self.apply_all(ops);
            }
        }
        self.steps += 1;
    }

    fn apply_all(&mut self, ops: Vec<(Who, Op)>) {
        self.steps += ops.len() as u64 - 1;
        let (limits, now) = (self.limits.clone(), Timestamp(self.now));
        let chances: Vec<_> = ops.iter().map(|_| self.dice.bytes()).collect();
        let outcomes = self.store().write(|tx| {
            let mut outcomes = Vec::new();
            for ((who, op), chance) in ops.iter().zip(chances) {
                let context = Context {
                    now,
                    chance,
                    home: HOME,
                    limits: &limits,
                    registration: Registration::Open,
                    federated: false,
                    here: &NobodyHere,
                };
                let actor = match who {
                    Who::Operator => Actor::Operator,
                    Who::Nobody => Actor::Nobody,
                    Who::Person { no, key } => {
                        Actor::Session { account: AccountNo(*no), key: SessionKey(*key) }
                    }
                };
                outcomes.push(apply(tx, &context, actor, command(op))?);
            }
            Ok(outcomes)
        });
        for ((who, op), outcome) in ops.iter().zip(outcomes.unwrap()) {
            self.model.check(*who, op, &outcome, self.now);
        }
    }

    fn ask_a_query(&mut self) {
        let Some((no, _)) = self.model.some_session(self.dice.roll()) else { return };
        let query = match self.dice.below(4) {
            0 => {
                let after = self.dice.once_in(2).then(|| address(&self.some_address()));
                Query::Contacts { after, count: 1 + self.dice.below(12) as u32 }
            }
            1 => Query::Rewind { after: self.some_id(), count: self.some_count(), own: true },
            _ => Query::History { chat: address(&self.some_address()), range: self.some_range() },
        };
        self.query(no, &query);
    }

    fn query(&mut self, no: u32, query: &Query) {
        let reader = self.store().reader();
        let now = Timestamp(self.now);
        let scene = Scene { now, home: HOME, here: &NobodyHere };
        let answer = reader.read(|look| read(look, &scene, AccountNo(no), query)).unwrap();
        self.model.check_query(no, query, &answer);
    }

    /// A session as logging in makes one; passwords and their proofs are not this test's business.
    fn log_in(&mut self, login: &str) {
        let Some(no) = self.model.active(login) else { return };
        let key = SessionId::new(self.dice.bytes()).key();
        let used = Timestamp(self.now);
        let session = Session {
            account: AccountNo(no),
            kind: SessionKind::Person,
            created: used,
            used,
            app: None,
        };
        self.store().write(|tx| tx.put_session(key, &session)).unwrap();
        self.model.add_session(no, key.0);
    }

    /// Nothing of these layers blocks anybody; the rules must heed it all the same.
    fn block(&mut self) {
        let Some((no, _)) = self.model.some_session(self.dice.roll()) else { return };
        let who = self.some_address();
        if !self.model.block(no, &who) {
            return;
        }
        let (owner, who) = (AccountNo(no), address(&who));
        let work = self.store().write(|tx| {
            let contact = tx.contact(owner, &who)?.expect("the model has it");
            tx.put_contact(owner, &Contact { state: ContactState::Blocked, ..contact })
        });
        work.unwrap();
    }

    fn reopen(&mut self) {
        self.store.take().expect("it is open between two steps").close().unwrap();
        self.store = Some(open(&self.disk));
    }

    fn look_at_everything(&mut self) {
        for login in self.model.logins() {
            self.log_in(&login);
            let Some((no, key)) = self.model.session_of(&login) else { continue };
            let me = Who::Person { no, key };
            let (before, count) = (u64::MAX, 500);
            self.apply_all(vec![
                (me, Op::Chats { before, count }),
                (me, Op::Unread { count }),
                (me, Op::Newest),
            ]);
            self.query(no, &Query::Contacts { after: None, count: 100 });
            for other in self.model.logins() {
                for after in self.model.every_nth_id(400) {
                    let (after, before) = (MessageId(after), MessageId::END);
                    let range = Range { after, before, since: None, count: 500, take: Take::First };
                    let chat = address(&format!("{other}@{HOME}"));
                    self.query(no, &Query::History { chat, range });
                }
            }
            for after in self.model.every_nth_id(400) {
                self.query(no, &Query::Rewind { after: MessageId(after), count: 500, own: true });
            }
        }
        self.apply_all(vec![(Who::Operator, Op::Order(naive::Order::Users))]);
    }

    fn some_op(&mut self) -> (Who, Op) {
        if self.dice.once_in(60) {
            return self.some_order();
        }
        let busy = *self.dice.pick(&["alice", "bob", "", ""]);
        let session = match self.model.session_of(busy) {
            Some(session) => Some(session),
            None => self.model.some_session(self.dice.roll()),
        };
        let Some((no, key)) = session else { return (Who::Nobody, Op::Newest) };
        let me = match self.dice.below(150) {
            0 => Who::Nobody,
            1 => Who::Person { no, key: [0; 16] },
            2 => Who::Person { no: no % 4 + 1, key },
            _ => Who::Person { no, key },
        };
        let op = match self.dice.below(40) {
            0..=15 => self.some_message(),
            16..=19 => self.some_mark(true),
            20..=23 => self.some_mark(false),
            24..=26 => Op::Chats { before: self.some_bound(), count: self.some_count() },
            27..=28 => Op::Unread { count: self.some_count() },
            29 => Op::Newest,
            30..=32 => Op::AddContact(self.some_contact()),
            33..=36 => Op::ChangeContact(self.some_contact()),
            37 => Op::RemoveContact(self.some_address()),
            38 => Op::Chats { before: u64::MAX, count: 500 },
            _ => match self.dice.once_in(4) {
                true => Op::LogOut,
                false => Op::Unread { count: 200 },
            },
        };
        (me, op)
    }

    fn some_order(&mut self) -> (Who, Op) {
        let login = self.model.some_login(self.dice.roll());
        let order = match self.dice.below(16) {
            0 if self.model.active_count() > 4 => naive::Order::RemoveUser(login),
            1 if self.model.active_count() > 4 => naive::Order::DisableUser(login),
            0..=5 => naive::Order::EnableUser(login),
            6 | 7 => {
                let login = format!("user{}", self.dice.below(PEOPLE_MAX));
                if self.dice.once_in(2) {
                    return (Who::Nobody, Op::Register(login));
                }
                naive::Order::AddUser(login)
            }
            8 => naive::Order::AddUser(login),
            9 => naive::Order::SetPassword(login),
            10 => return (Who::Nobody, Op::Order(naive::Order::Users)),
            11 => naive::Order::Apps(login),
            12..=14 => {
                // Mostly of one account, so that the limit is passed.
                let login = if self.dice.once_in(3) { login } else { "alice".into() };
                let name = format!("a{}", self.dice.below(24));
                match self.dice.below(8) {
                    0 => naive::Order::RevokeApp { login, name },
                    1 => naive::Order::RevokeApp { login, name: "app-1".into() },
                    2 => naive::Order::AddApp { login, name: None },
                    _ => naive::Order::AddApp { login, name: Some(name) },
                }
            }
            _ => naive::Order::Users,
        };
        (Who::Operator, Op::Order(order))
    }

    fn some_message(&mut self) -> Op {
        let to = self.some_address();
        let cookie = self.dice.once_in(3).then(|| match self.dice.below(30) {
            0 => String::new(),
            1 => "c".repeat(129),
            // Few enough that some come again.
            _ => format!("c{}", self.dice.below(400)),
        });
        let text = match self.dice.below(60) {
            0 => String::new(),
            1 => "x".repeat(TEXT_BYTES_MAX + 1),
            n => format!("text {} \u{1}\"ё{n}", self.steps),
        };
        Op::Send { to, text, cookie }
    }

    fn some_mark(&mut self, read: bool) -> Op {
        let chat = self.dice.once_in(2).then(|| self.some_address());
        Op::Mark { read, chat, id: self.some_id().0 }
    }

    fn some_contact(&mut self) -> naive::Draft {
        let mut text = |most: usize| {
            let size = if self.dice.once_in(60) { most + 1 } else { self.dice.below(3) };
            self.dice.once_in(2).then(|| "n".repeat(size))
        };
        let (name, note) = (text(256), text(1024));
        let groups = if self.dice.once_in(60) { 9 } else { self.dice.below(3) };
        let group = self.dice.once_in(2).then(|| vec!["g".to_string(); groups]);
        let dialog = self.dice.once_in(3).then(|| self.dice.once_in(2));
        naive::Draft { who: self.some_address(), name, group, note, dialog }
    }

    fn some_address(&mut self) -> String {
        match self.dice.below(40) {
            0 => format!("nobody@{HOME}"),
            1 => format!("u{}@far.test", self.dice.below(3)),
            // Long chats, too.
            2..=13 => format!("{}@{HOME}", self.dice.pick(&["alice", "bob"])),
            _ => format!("{}@{HOME}", self.model.some_login(self.dice.roll())),
        }
    }

    /// Mostly of a message that is there, often of a late one.
    fn some_id(&mut self) -> MessageId {
        let ids = self.model.ids();
        MessageId(match self.dice.below(20) {
            0 => 0,
            1 => self.dice.roll() % 100_000,
            2..=11 => *self.dice.pick(&ids[ids.len().saturating_sub(40)..]),
            _ => *self.dice.pick(&ids),
        })
    }

    fn some_bound(&mut self) -> u64 {
        if self.dice.once_in(3) { u64::MAX } else { self.some_id().0 }
    }

    fn some_count(&mut self) -> u32 {
        let most = *self.dice.pick(&[3, 20, 600]);
        1 + self.dice.below(most) as u32
    }

    fn some_range(&mut self) -> Range {
        let since =
            self.dice.once_in(5).then(|| Timestamp(self.now - self.dice.roll() % 9_000_000));
        let take = if since.is_none() && self.dice.once_in(2) { Take::Last } else { Take::First };
        let after = if self.dice.once_in(2) { MessageId(0) } else { self.some_id() };
        let before = MessageId(self.some_bound());
        Range { after, before, since, count: self.some_count(), take }
    }
}

fn open(disk: &Disk) -> Store {
    let options = Options { cache_bytes: 1 << 20, free_space: 0 };
    Store::open(Place::Backend(Arc::new(disk.clone())), options).unwrap()
}

fn command(op: &Op) -> Command {
    let login = |text: &String| Login::parse(text).unwrap();
    let verifier = Verifier("v".into());
    match op {
        Op::Send { to, text, cookie } => Command::Send(Draft::text(
            address(to),
            text.as_str().into(),
            cookie.as_deref().map(Into::into),
        )),
        Op::Mark { read, chat, id } => {
            let (chat, id) = (chat.as_deref().map(address), MessageId(*id));
            match read {
                true => Command::MarkRead { chat, id },
                false => Command::MarkDelivered { chat, id },
            }
        }
        Op::Chats { before, count } => Command::Chats { before: MessageId(*before), count: *count },
        Op::Unread { count } => Command::Unread { count: *count },
        Op::Newest => Command::Newest,
        Op::AddContact(draft) => Command::AddContact(contact(draft)),
        Op::ChangeContact(draft) => Command::ChangeContact(contact(draft)),
        Op::RemoveContact(who) => Command::RemoveContact { who: address(who) },
        Op::LogOut => Command::LogOut,
        Op::Register(name) => {
            Command::Register { login: login(name), verifier, invite: None, envelope: None }
        }
        Op::Order(order) => Command::Operator(match order {
            naive::Order::AddUser(name) => Order::AddUser { login: login(name), verifier },
            naive::Order::SetPassword(name) => Order::SetPassword { login: login(name), verifier },
            naive::Order::DisableUser(name) => Order::DisableUser { login: login(name) },
            naive::Order::EnableUser(name) => Order::EnableUser { login: login(name) },
            naive::Order::RemoveUser(name) => Order::RemoveUser { login: login(name) },
            naive::Order::Users => Order::Users,
            naive::Order::AddApp { login: of, name } => Order::AddAppPassword {
                login: login(of),
                name: name.as_deref().map(Into::into),
                digest: Digest([0; 32]),
                envelope: Envelope::new(|_, name| Sealed {
                    key: KeyId(7),
                    bytes: name.as_bytes().into(),
                }),
            },
            naive::Order::Apps(name) => Order::AppPasswords { login: login(name) },
            naive::Order::RevokeApp { login: of, name } => {
                Order::RevokeAppPassword { login: login(of), name: name.as_str().into() }
            }
        }),
    }
}

fn contact(draft: &naive::Draft) -> ContactDraft {
    ContactDraft {
        who: address(&draft.who),
        name: draft.name.as_deref().map(Into::into),
        group: draft.group.as_ref().map(|g| g.iter().map(|g| g.as_str().into()).collect()),
        note: draft.note.as_deref().map(Into::into),
        dialog: draft.dialog,
    }
}

fn address(text: &str) -> Address {
    Address::parse(text, HOME).unwrap()
}
