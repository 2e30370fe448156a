//! Random commands of several people, against the rules on a real database and against a naive
//! model of them (`naive`), which must say the same: every reply, everything anybody hears, and in
//! the end all that everybody can see.
//!
//! `MSIMD_SEED` repeats a run, `MSIMD_STEPS` makes it longer. The seed is printed.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test and names itself")]

mod chats;
mod contacts;
mod dice;
mod disk;
mod groups;
mod members;
mod naive;
mod people;
mod records;
mod taking;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use msimd::domain::id::{AccountNo, MessageId, Seq, SessionId, SessionKey, Timestamp};
use msimd::domain::nouns::Session;
use msimd::domain::words::{Actor, Query, Range, SessionKind, Take};
use msimd::domain::{Context, NobodyHere, Registration, Scene, announce, apply, read};
use msimd::limits::Limits;
use msimd::store::{Options, Place, Store};

use dice::Dice;
use disk::Disk;
use naive::{Model, at_home};
use words::{Me, Op, Order, Who, address, command};

const HOME: &str = "im.test";
const STEPS: u64 = 15_000;
/// Kinds of commands there are.
const OPS: usize = 35;
/// Everything is looked at this often.
const LOOK_EVERY: u64 = 6_000;

#[test]
fn the_rules_do_what_a_naive_model_does() {
    let seed = number_from("MSIMD_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64)
    });
    let steps = number_from("MSIMD_STEPS").unwrap_or(STEPS);
    println!("MSIMD_SEED={seed} MSIMD_STEPS={steps}");
    let mut run = Run::new(seed);
    let mut looked_at = 0;
    while run.steps < steps {
        run.turn();
        if run.steps - looked_at >= LOOK_EVERY {
            run.look_at_everything();
            looked_at = run.steps;
        }
    }
    run.look_at_everything();
    run.sweep();
    run.reopen();
    run.look_at_everything();
    let chats = &run.model.chats;
    let records: usize = chats.iter().map(|chat| chat.records.len()).sum();
    println!("{records} records in {} chats; done and refused: {:?}", chats.len(), run.tally);
    if steps >= STEPS {
        assert!(records > STEPS as usize / 16, "only {records} records");
        let rare: Vec<_> = run.tally.iter().filter(|(_, (done, _))| *done == 0).collect();
        assert!(rare.is_empty() && run.tally.len() == OPS, "{rare:?} are never done");
    }
}

fn number_from(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

struct Run {
    disk: Disk,
    store: Option<Store>,
    limits: Limits,
    model: Model,
    dice: Dice,
    now: u64,
    steps: u64,
    /// How often each command was done, and refused.
    tally: BTreeMap<String, (u32, u32)>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let disk = Disk::default();
        let limits = Limits {
            max_text_bytes: dice::TEXT_BYTES_MAX,
            max_blob_bytes: dice::TEXT_BYTES_MAX * 3 / 4,
            contacts: dice::CONTACTS_MAX,
            members: 7,
            chats_per_account: 6,
            spaces_per_account: 2,
            session_ttl: 1_000_000,
            ..Limits::default()
        };
        let store = Some(open(&disk));
        let model = Model::new(limits.clone());
        let now = 1_700_000_000_000;
        let mut run = Run {
            disk,
            store,
            limits,
            model,
            dice: Dice(seed),
            now,
            steps: 0,
            tally: BTreeMap::new(),
        };
        for login in ["alice", "bob", "carol", "dave"] {
            run.apply_all(vec![(Who::Operator, Op::Order(Order::AddUser(login.into())))]);
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
                let login = self.dice.some_login(&self.model);
                self.log_in(&login);
            }
            3 if self.dice.once_in(2) => self.sweep(),
            3 => self.announce(),
            4 if self.dice.once_in(20) => self.reopen(),
            4 if self.dice.once_in(4) => self.store().merge().unwrap(),
            4 | 5 => self.store().flush().unwrap(),
            6..=12 => {
                if let Some(me) = self.dice.some_session(&self.model) {
                    let query = self.dice.some_query(&self.model, me.no, self.now);
                    self.query(me.no, &query);
                }
            }
            _ => {
                let size = if self.dice.once_in(2) { 1 } else { 1 + self.dice.below(8) };
                let ops = (0..size).map(|_| self.dice.some_op(&self.model)).collect();
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
                    sure: now,
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
                    Who::Person(Me { no, key }) => {
                        Actor::Session { account: AccountNo(*no), key: SessionKey(*key) }
                    }
                };
                outcomes.push(apply(tx, &context, actor, command(op))?);
            }
            Ok(outcomes)
        });
        for ((who, op), outcome) in ops.iter().zip(outcomes.unwrap()) {
            self.model.check(*who, op, &outcome, self.now);
            let name = format!("{op:?}");
            let name = name.split_inclusive(char::is_alphabetic).take_while(|p| p.len() == 1);
            let tally = self.tally.entry(name.collect()).or_default();
            *(if outcome.reply.is_ok() { &mut tally.0 } else { &mut tally.1 }) += 1;
        }
    }

    fn query(&mut self, no: u32, query: &Query) {
        self.model.now = self.now;
        let reader = self.store().reader();
        let scene = Scene { now: Timestamp(self.now), home: HOME, here: &NobodyHere };
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

    /// Somebody came or went.
    fn announce(&mut self) {
        let login = self.dice.some_login(&self.model);
        let (who, online) = (self.model.account(&at_home(&login)).unwrap(), self.dice.once_in(2));
        let scene = Scene { now: Timestamp(self.now), home: HOME, here: &NobodyHere };
        let news = self.store().write(|tx| announce(tx, &scene, AccountNo(who), online)).unwrap();
        self.model.check_announcement(who, online, &news, self.now);
    }

    fn sweep(&mut self) {
        self.store().sweep().unwrap();
    }

    fn reopen(&mut self) {
        self.store.take().expect("it is open between two steps").close().unwrap();
        self.store = Some(open(&self.disk));
    }

    fn look_at_everything(&mut self) {
        for no in self.model.numbers() {
            let login = self.model.person(no).login.clone();
            self.log_in(&login);
            let Some(me) = self.model.session_of(&login) else { continue };
            let (before, count) = (u64::MAX, 500);
            let mut asked = vec![Op::Chats { before, count }, Op::Unread { count }, Op::Newest];
            asked.push(Op::Subscriptions { after: None, count });
            let groups = self.model.groups();
            let groups: Vec<String> =
                groups.into_iter().map(|chat| self.model.group(chat).address.clone()).collect();
            for chat in &groups {
                asked.push(Op::Members { chat: chat.clone(), after: None, count });
                asked.push(Op::Subscribers { chat: chat.clone(), after: None, count });
            }
            self.apply_all(asked.into_iter().map(|op| (Who::Person(me), op)).collect());
            self.query(no, &Query::Contacts { after: None, count: 100, unlisted: true });
            self.query(no, &Query::Spaces { space: None });
            self.query(no, &Query::Myself);
            let (since, before) = (Seq(0), Seq(u32::MAX));
            self.query(no, &Query::Notices { since, before, count });
            let people = self.model.numbers().map(|no| self.model.address(no));
            let people: Vec<String> = people.collect();
            for who in &people {
                self.query(no, &Query::Profile { who: Some(address(who)) });
            }
            for chat in people.iter().chain(&groups) {
                let (chat, end) = (address(chat), MessageId::END);
                self.query(no, &Query::Chat { chat: chat.clone() });
                self.query(no, &Query::Page { chat: chat.clone(), since, before, count });
                self.search_everything(no, Some(&chat));
                for after in self.every_nth_id(400) {
                    let (after, before, since) = (MessageId(after), end, None);
                    let range = Range { after, before, since, count, take: Take::First };
                    self.query(no, &Query::History { chat: chat.clone(), range });
                }
            }
            self.search_everything(no, None);
            for after in self.every_nth_id(400) {
                self.query(no, &Query::Rewind { after: MessageId(after), count, own: true });
            }
        }
        self.apply_all(vec![(Who::Operator, Op::Order(Order::Users))]);
    }

    fn search_everything(&mut self, no: u32, chat: Option<&msimd::domain::id::Address>) {
        for text in ["tea", "Ёл"] {
            for before in self.every_nth_id(2000) {
                let (chat, before) = (chat.cloned(), MessageId(before));
                self.query(no, &Query::Search { text: text.into(), chat, before, count: 100 });
            }
        }
    }

    fn every_nth_id(&self, n: usize) -> Vec<u64> {
        self.model.given.iter().copied().step_by(n).chain([u64::MAX]).collect()
    }
}

fn open(disk: &Disk) -> Store {
    let options = Options { cache_bytes: 1 << 20, free_space: 0 };
    Store::open(Place::Backend(Arc::new(disk.clone())), options).unwrap()
}
