//! Announced means durable: whatever a client was told, by an answer or by a push, is there after
//! the power went at any point.
//!
//! A conversation runs once through the whole server, sockets and all, on a disk that remembers
//! every write and sync, and every announcement notes when in that record it was heard. Then the
//! power is cut everywhere in the record, with what was not synced lost, torn, shuffled or garbled;
//! each time the database must open and hold everything announced before the cut, and so it must
//! after a second cut during that very recovery. Messages are merged into their chats every few
//! sends, so that cuts hit merges, too. `MSIMD_CUTS` sets the number of cuts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use msimd::config::Config;
use msimd::domain::id::{Address, ChatId, MessageId, SessionId, Timestamp};
use msimd::domain::words::{Actor, Command, Draft, Range, Reply, Take};
use msimd::domain::{Context, Registration, apply as apply_command};
use msimd::store::{Look, Options, Place, Store};
use serde_json::{Value, json};

use crate::client::Packet;
use crate::client::tcp::User;
use crate::disk::{CUTS, Disk, Op, after_cut, apply};
use crate::noise::Noise;
use crate::talk::stage::Stage;

/// Cuts without `MSIMD_CUTS`.
const CUTS_COUNT: usize = 4000;
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// Messages each sender sends while the others do too.
const CROWD_MESSAGES: usize = 20;
/// Cookies that were never used: a second cut finds the messages of the first.
static FRESH: AtomicUsize = AtomicUsize::new(0);

/// Something that somebody was told.
#[derive(Clone, Debug)]
struct Heard {
    /// So many operations had reached the disk by then.
    at: usize,
    what: Said,
}

#[derive(Clone, Debug)]
enum Said {
    Registered {
        login: String,
    },
    LoggedIn {
        session: String,
    },
    /// `None`: its removal is under way.
    Contact {
        owner: String,
        id: String,
        there: Option<bool>,
    },
    /// By the answer: the author knows its cookie.
    Sent {
        from: String,
        to: String,
        id: u64,
        text: String,
        cookie: String,
    },
    /// A message of theirs is about to get this text; none for a deletion.
    Changing {
        id: u64,
        text: String,
    },
    /// It has it.
    Changed {
        id: u64,
        text: String,
    },
    /// By the push: the reader knows what came before it.
    Received {
        from: String,
        to: String,
        id: u64,
        previous: u64,
        text: String,
    },
}

/// What happened, and what the disk was asked for meanwhile.
#[derive(Debug)]
struct Record {
    ops: Vec<Op>,
    /// When the database had been made.
    start: usize,
    heard: Vec<Heard>,
}

#[derive(Debug)]
struct Scribe<'a> {
    disk: &'a Disk,
    heard: Mutex<Vec<Heard>>,
}

impl Scribe<'_> {
    fn note(&self, what: Said) {
        let at = self.disk.clock();
        self.heard.lock().expect("nobody panics here").push(Heard { at, what });
    }

    fn enter(&self, address: SocketAddr, login: &str) -> User {
        let mut user = User::enter(address, login).expect("a user enters");
        // Edits and deletions come as what they are and not in words.
        user.layer = 4;
        self.note(Said::Registered { login: login.into() });
        self.note(Said::LoggedIn { session: user.session.clone() });
        user
    }

    /// Sends something and thinks better of it; without a text it is deleted for both.
    fn change(&self, user: &mut User, from: &str, to: &str, text: &str) {
        let first = format!("{from} to {to} first {}", self.disk.clock());
        let id = self.send(user, from, to, &first);
        self.note(Said::Changing { id, text: text.into() });
        let body = json!({ "chat_id": to, "message_id": id, "text": text, "for": "all" });
        let kind = if text.is_empty() { "MESSAGE-DELETE" } else { "MESSAGE-EDIT" };
        user.get(kind, &body).expect("a message is changed");
        self.note(Said::Changed { id, text: text.into() });
    }

    fn send(&self, user: &mut User, from: &str, to: &str, text: &str) -> u64 {
        let cookie = format!("cookie of {}", text.trim_end_matches('x'));
        let body = json!({ "chat_id": to, "text": text, "cookie": cookie });
        let answer = user.get("MESSAGE-SEND", &body).expect("a message is sent");
        let id = answer["message_id"].as_u64().expect("an id");
        let (from, to, text) = (from.into(), to.into(), text.into());
        self.note(Said::Sent { from, to, id, text, cookie });
        self.note_pushes(user);
        id
    }

    fn note_pushes(&self, user: &mut User) {
        for push in user.pushes.drain(..) {
            self.note_push(&push);
        }
    }

    fn note_push(&self, push: &Packet) {
        let text = |name: &str| push.body[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| push.body[name].as_u64().unwrap_or_default();
        if push.kind == "MESSAGE-RECEIVE" && push.body["cookie"].is_null() {
            let login = |address: String| address.split('@').next().unwrap_or_default().to_owned();
            self.note(Said::Received {
                from: login(text("from")),
                // Who heard it is told by its text: `alice to bob 7`.
                to: text("text").split(' ').nth(2).unwrap_or_default().into(),
                id: number("message_id"),
                previous: number("previous_message_id"),
                text: text("text"),
            });
        }
    }
}

/// Runs the conversation.
fn record() -> Record {
    let disk = Disk::default();
    let mut stage = Stage::at(Place::Backend(Arc::new(disk.clone())));
    stage.start().expect("a server on a fresh disk starts");
    let start = disk.clock();
    let scribe = Scribe { disk: &disk, heard: Mutex::new(Vec::new()) };
    let address = stage.tcp();
    let mut users: Vec<User> = PEOPLE.iter().map(|p| scribe.enter(address, p)).collect();
    converse(&scribe, &mut users);
    crowd(&scribe, users);
    let heard = scribe.heard.into_inner().expect("nobody panics here");
    // Before the server closes: a cut comes unannounced.
    let ops = disk.log();
    stage.stop().expect("the server stops in order");
    Record { ops, start, heard }
}

/// One after the other: every commit has one reason.
fn converse(scribe: &Scribe<'_>, users: &mut [User]) {
    for round in 0..20 {
        for (i, from) in PEOPLE.iter().enumerate() {
            let to = PEOPLE[(i + 1 + round % 3) % PEOPLE.len()];
            let long = "x".repeat(if round == 5 { 9000 } else { round * 40 });
            scribe.send(&mut users[i], from, to, &format!("{from} to {to} {round} {long}"));
        }
        let (i, after) = (round % PEOPLE.len(), (round + 1) % PEOPLE.len());
        let text = if round.is_multiple_of(2) { format!("changed {round}") } else { String::new() };
        scribe.change(&mut users[i], PEOPLE[i], PEOPLE[after], &text);
        contact(scribe, &mut users[0], "alice", &format!("friend{round}@elsewhere.test"), round);
        let body = json!({ "chat_id": "bob", "message_id": 1 });
        // Marks ride along; what they are on is not promised at once.
        users[0].ask("MESSAGE-READ-ACK", &body).expect("an answer");
    }
}

fn contact(scribe: &Scribe<'_>, user: &mut User, owner: &str, id: &str, round: usize) {
    let note = |there| scribe.note(Said::Contact { owner: owner.into(), id: id.into(), there });
    user.get("CONTACTS-ADD", &json!({ "id": id, "name": "a friend" })).expect("a contact");
    note(Some(true));
    if round.is_multiple_of(3) {
        note(None);
        user.get("CONTACTS-DELETE", &json!({ "id": id })).expect("no contact");
        note(Some(false));
    }
}

/// All at once: commits that carry several.
fn crowd(scribe: &Scribe<'_>, users: Vec<User>) {
    std::thread::scope(|scope| {
        for (i, mut user) in users.into_iter().enumerate() {
            scope.spawn(move || {
                for n in 0..CROWD_MESSAGES {
                    let to = PEOPLE[(i + 1 + n % 3) % PEOPLE.len()];
                    let from = PEOPLE[i];
                    scribe.send(&mut user, from, to, &format!("{from} to {to} crowd {n}"));
                }
            });
        }
    });
}

/// What must hold of a disk after a cut at `clock`; the sentence says what does not.
fn check(record: &Record, clock: usize, disk: &Disk) -> Result<(), String> {
    let place = Place::Backend(Arc::new(disk.clone()));
    let options = Options { cache_bytes: 1 << 20, free_space: 0 };
    let mut store = Store::open(place, options).map_err(|e| format!("it does not open: {e}"))?;
    let heard: Vec<&Said> =
        record.heard.iter().take_while(|h| h.at <= clock).map(|h| &h.what).collect();
    let found = store.reader().read(|look| Ok(look_for(look, &heard)));
    found.map_err(|e| format!("it cannot be read: {e}"))??;
    unbroken(&store)?;
    go_on(&mut store, &heard)?;
    unbroken(&store)
}

/// Every message once and behind the one before it, wherever a merge has put it.
fn unbroken(store: &Store) -> Result<(), String> {
    let verdict = store.reader().verify(&mut |_| {}).map_err(|e| e.to_string())?;
    verdict.faults.into_iter().next().map_or(Ok(()), Err)
}

fn address(login: &str) -> Address {
    Address::parse(login, "im.test").expect("a sound address")
}

fn look_for(look: &impl Look, heard: &[&Said]) -> Result<(), String> {
    let fault = |e: msimd::store::StoreError| e.to_string();
    let account = |login: &str| -> Result<_, String> {
        let found = look.account_by_address(&address(login)).map_err(fault)?;
        found.ok_or_else(|| format!("{login} is gone"))
    };
    let mut chats: HashMap<(String, String), HashMap<u64, msimd::domain::nouns::Message>> =
        HashMap::new();
    let mut contacts: HashMap<(&str, &str), Option<bool>> = HashMap::new();
    let changes = Changes::of(heard);
    for said in heard {
        match said {
            Said::Registered { login } => {
                account(login)?;
            }
            Said::LoggedIn { session } => {
                let key = SessionId::from_hex(session).expect("a session id").key();
                look.session(key).map_err(fault)?.ok_or("a session is gone")?;
            }
            Said::Contact { owner, id, there } => {
                contacts.insert((owner, id), *there);
            }
            Said::Changing { .. } | Said::Changed { .. } => {}
            Said::Sent { from, to, id, text, .. } | Said::Received { from, to, id, text, .. } => {
                let names = (from.min(to).clone(), from.max(to).clone());
                if !chats.contains_key(&names) {
                    let chat = ChatId::direct(account(from)?, account(to)?);
                    let (messages, more) = look.messages(chat, &everything()).map_err(fault)?;
                    assert!(!more, "the conversation is longer than a page");
                    let by_id = messages.into_iter().map(|m| (m.id.0, m)).collect();
                    chats.insert(names.clone(), by_id);
                }
                let message = chats[&names].get(id).ok_or_else(|| format!("{said:?} is gone"))?;
                let author = account(from)?;
                let same = changes.allow(*id, text, &message.text) && message.from == author;
                let rest = match said {
                    Said::Sent { cookie, .. } => message.cookie.as_deref() == Some(cookie),
                    Said::Received { previous, .. } => message.previous.0 == *previous,
                    _ => true,
                };
                if !same || !rest {
                    return Err(format!("{said:?} has become {message:?}"));
                }
            }
        }
    }
    for ((owner, id), there) in contacts {
        let contact = look.contact(account(owner)?, &address(id)).map_err(fault)?;
        if there.is_some_and(|there| there != contact.is_some()) {
            return Err(format!("{owner}'s contact {id}: {contact:?}, not {there:?}"));
        }
    }
    Ok(())
}

/// What became of messages: the new text, and whether that was announced.
struct Changes<'a>(HashMap<u64, (&'a str, bool)>);

impl<'a> Changes<'a> {
    fn of(heard: &[&'a Said]) -> Changes<'a> {
        let mut changes = HashMap::new();
        for said in heard {
            match said {
                Said::Changing { id, text } => changes.insert(*id, (text.as_str(), false)),
                Said::Changed { id, text } => changes.insert(*id, (text.as_str(), true)),
                _ => None,
            };
        }
        Changes(changes)
    }

    fn allow(&self, id: u64, sent: &str, found: &str) -> bool {
        match self.0.get(&id) {
            None => found == sent,
            Some((new, true)) => found == *new,
            Some((new, false)) => found == *new || found == sent,
        }
    }
}

fn everything() -> Range {
    let (after, before) = (MessageId(0), MessageId::END);
    Range { after, before, since: None, count: 500, take: Take::First }
}

/// Life after it: cookies are known, and no id that anybody heard is given again.
fn go_on(store: &mut Store, heard: &[&Said]) -> Result<(), String> {
    let newest = heard.iter().map(|said| match said {
        Said::Sent { id, .. } | Said::Received { id, .. } => *id,
        _ => 0,
    });
    let newest = newest.max().unwrap_or(0);
    let sent = heard.iter().rev().find_map(|said| match said {
        Said::Sent { from, to, id, cookie, .. } => Some((from, to, *id, cookie)),
        _ => None,
    });
    let Some((from, to, id, cookie)) = sent else { return Ok(()) };
    match send(store, heard, from, to, cookie)? {
        (again, true) if again == id => {}
        other => return Err(format!("the cookie of {id} is answered with {other:?}")),
    }
    let fresh = format!("new {}", FRESH.fetch_add(1, Ordering::Relaxed));
    match send(store, heard, from, to, &fresh)? {
        (new, false) if new > newest => Ok(()),
        other => Err(format!("a new message after {newest} is {other:?}")),
    }
}

/// Id, and whether it was there already.
fn send(
    store: &mut Store,
    heard: &[&Said],
    from: &str,
    to: &str,
    cookie: &str,
) -> Result<(u64, bool), String> {
    let at = PEOPLE.iter().position(|p| *p == from).ok_or("nobody")?;
    let sessions = heard.iter().filter_map(|said| match said {
        Said::LoggedIn { session } => SessionId::from_hex(session),
        _ => None,
    });
    let key = sessions.map(|s| s.key()).nth(at).ok_or("an author without a session")?;
    let config = Config::for_tests();
    let context = Context {
        now: Timestamp(1_800_000_000_000),
        sure: Timestamp(1_800_000_000_000),
        chance: [7; 32],
        home: "im.test",
        limits: &config.limits,
        registration: Registration::Open,
        federated: false,
        here: &msimd::domain::NobodyHere,
    };
    let draft = Draft::text(address(to), "again".into(), Some(cookie.into()));
    let outcome = store.write(|tx| {
        let account = tx.account_by_address(&address(from))?;
        let actor = Actor::Session { account: account.unwrap_or_default(), key };
        apply_command(tx, &context, actor, Command::Send(draft))
    });
    match outcome.map_err(|e| format!("nothing can be sent: {e}"))?.reply {
        Ok(Reply::Sent { id, repeated, .. }) => Ok((id.0, repeated)),
        other => Err(format!("a send is answered with {other:?}")),
    }
}

/// Cuts in order, so that what was synced need be built up only once.
fn cut_everywhere(
    record: &Record,
    cuts: usize,
    seed: u64,
    part: usize,
    parts: usize,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut stable = Vec::new();
    let mut synced = 0;
    let span = record.ops.len() - record.start;
    let count = cuts / parts;
    for i in 0..count {
        // This part's share of the record; more cuts than operations cut some twice, differently.
        let share = part * span / parts + i * (span / parts) / count.max(1);
        let clock = record.start + share;
        let last = record.ops[..clock].iter().rposition(|op| matches!(op, Op::Sync));
        let end = last.map_or(0, |at| at + 1);
        record.ops[synced..end].iter().for_each(|op| apply(&mut stable, op));
        synced = end;
        let mut noise = Noise::new(seed ^ (clock * parts + i) as u64);
        let cut = CUTS[(i + clock) % CUTS.len()];
        let bytes = after_cut(&stable, &record.ops[end..clock], cut, &mut noise);
        let disk = Disk::holding(bytes.clone());
        let result = check(record, clock, &disk);
        let result = match result {
            Ok(()) if i % 3 == 0 => cut_again(record, clock, &bytes, &disk.log(), &mut noise),
            other => other,
        };
        if let Err(why) = result {
            failures.push(format!("cut {cut:?} at {clock} of {}: {why}", record.ops.len()));
        }
    }
    failures
}

/// The power goes again while the first cut is being recovered from.
fn cut_again(
    record: &Record,
    clock: usize,
    first: &[u8],
    ops: &[Op],
    noise: &mut Noise,
) -> Result<(), String> {
    let at = noise.below(ops.len() + 1);
    let end = ops[..at].iter().rposition(|op| matches!(op, Op::Sync)).map_or(0, |at| at + 1);
    let mut stable = first.to_vec();
    ops[..end].iter().for_each(|op| apply(&mut stable, op));
    let cut = *noise.pick(&CUTS);
    let bytes = after_cut(&stable, &ops[end..at], cut, noise);
    check(record, clock, &Disk::holding(bytes))
        .map_err(|e| format!("and again {cut:?} at {at} of {}: {e}", ops.len()))
}

#[test]
fn whatever_was_announced_survives_a_power_cut_anywhere() {
    let seed = Noise::seed();
    let cuts = std::env::var("MSIMD_CUTS").ok().and_then(|text| text.parse().ok());
    let cuts = cuts.unwrap_or(CUTS_COUNT);
    let record = record();
    let span = record.ops.len() - record.start;
    assert!(span > 500, "only {span} operations to cut at");
    let parts = 8;
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= parts {
                        return;
                    }
                    let found = cut_everywhere(&record, cuts, seed, part, parts);
                    failures.lock().expect("nobody panics here").extend(found);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics here");
    let first: Vec<&String> = failures.iter().take(5).collect();
    assert!(failures.is_empty(), "seed {seed}: {} of {cuts} cuts: {first:#?}", failures.len());
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_caught() {
    let record = record();
    let mut caught = 0;
    let mut noise = Noise::new(1);
    let tries = 40;
    for _ in 0..tries {
        let clock = record.start + noise.below(record.ops.len() - record.start);
        // It said that it had synced, and had not since long ago.
        let honest = clock - noise.below(clock - record.start + 1);
        let mut stable = Vec::new();
        record.ops[..honest].iter().for_each(|op| apply(&mut stable, op));
        let bytes =
            after_cut(&stable, &record.ops[honest..clock], crate::disk::Cut::Torn, &mut noise);
        caught += usize::from(check(&record, clock, &Disk::holding(bytes)).is_err());
    }
    assert!(caught > tries / 4, "only {caught} of {tries} lies were caught");
}

#[test]
fn a_whole_server_comes_back_from_a_power_cut_with_its_sessions_and_cookies() {
    let seed = Noise::seed();
    let record = record();
    let mut noise = Noise::new(seed);
    for round in 0..10 {
        let clock = record.start + (round + 1) * (record.ops.len() - record.start) / 11;
        let end = record.ops[..clock].iter().rposition(|op| matches!(op, Op::Sync));
        let end = end.map_or(0, |at| at + 1);
        let mut stable = Vec::new();
        record.ops[..end].iter().for_each(|op| apply(&mut stable, op));
        let cut = CUTS[round % CUTS.len()];
        let bytes = after_cut(&stable, &record.ops[end..clock], cut, &mut noise);
        come_back(&record, clock, bytes).unwrap_or_else(|e| panic!("seed {seed}, {cut:?}: {e}"));
    }
}

fn come_back(record: &Record, clock: usize, bytes: Vec<u8>) -> Result<(), String> {
    let mut stage = Stage::at(Place::Backend(Arc::new(Disk::holding(bytes))));
    stage.start()?;
    let heard: Vec<&Said> =
        record.heard.iter().take_while(|h| h.at <= clock).map(|h| &h.what).collect();
    let sessions = heard.iter().filter_map(|said| match said {
        Said::LoggedIn { session } => Some(session),
        _ => None,
    });
    let mut users: HashMap<&str, User> = HashMap::new();
    for (login, session) in PEOPLE.iter().zip(sessions) {
        users.insert(login, User::resume(stage.tcp(), session)?);
    }
    let mut newest = 0;
    for said in &heard {
        let Said::Sent { from, to, id, text, cookie } = said else { continue };
        newest = newest.max(*id);
        let user = users.get_mut(from.as_str()).ok_or("an author without a session")?;
        let body = json!({ "chat_id": to, "text": text, "cookie": cookie });
        let answer = user.ask("MESSAGE-SEND", &body)?;
        if answer.status != 201 || answer.body["message_id"] != *id {
            return Err(format!("{said:?} again: {answer:?}"));
        }
    }
    if let Some(user) = users.get_mut("alice").filter(|_| newest > 0) {
        let sent = user.get("MESSAGE-SEND", &json!({ "chat_id": "bob", "text": "after" }))?;
        if sent["message_id"].as_u64() <= Some(newest) {
            return Err(format!("a new message after {newest}: {sent}"));
        }
        check_chain(user, newest)?;
    }
    stage.stop()
}

/// The chain of a chat has no holes.
fn check_chain(user: &mut User, newest: u64) -> Result<(), String> {
    let all = json!({ "chat_id": "bob", "id_from": 0, "id_till": -1 });
    let page = user.get("CHAT-HISTORY", &all)?;
    let mut before = Value::from(0);
    for message in page["data"].as_array().ok_or("no data")? {
        if message["previous_message_id"] != before {
            return Err(format!("a hole before {message} (newest announced: {newest})"));
        }
        before = message["message_id"].clone();
    }
    Ok(())
}
