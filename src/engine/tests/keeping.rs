//! What is too old goes, and nothing by a clock that is wrong.

use std::time::{Duration, Instant};

use super::stage::{Guest, PLAIN, Stage, address, group};
use crate::domain::id::{MessageId, Timestamp};
use crate::domain::words::{
    ChatChange, ChatDraft, Command, Draft, MessageView, Query, Range, Reply, Take,
};
use crate::engine::clock::Clock;
use crate::limits::LOOK_CHATS;
use crate::store::Look;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NOON: Timestamp = Timestamp::from_secs(1_795_000_000);
const SIXTY_YEARS: Duration = Duration::from_secs(60 * 365 * 24 * 60 * 60);

/// A house with a clock that is moved by hand.
struct Home {
    stage: Stage,
    clock: Clock,
}

impl Home {
    fn keeping(retention: &str, logins: &[&str]) -> Home {
        let clock = Clock::by_hand(NOON);
        let keep = |config: &mut crate::config::Config| config.history.retention = retention.into();
        let stage = Stage::by(clock.clone(), keep, logins);
        let mut home = Home { stage, clock };
        // The first look.
        home.pass(HOUR);
        home
    }

    fn pass(&mut self, time: Duration) {
        self.clock.pass(time);
        self.stage.rest();
    }

    /// So many days, one after the other.
    fn days(&mut self, count: u64) {
        (0..count).for_each(|_| self.pass(DAY));
    }

    fn set(&mut self, at: Timestamp) {
        self.clock.set(at);
        self.stage.rest();
    }

    /// Sixty years ahead, or back from there.
    fn leap(&mut self, ahead: bool) {
        let (wall, years) = (self.clock.wall().0, SIXTY_YEARS.as_millis() as u64);
        self.set(Timestamp(if ahead { wall + years } else { wall - years }));
    }

    fn send(&mut self, guest: &Guest, to: &str, text: &str) -> (MessageId, Timestamp) {
        let draft = Draft::text(address(to), text.into(), None);
        match self.stage.say(guest, Command::Send(draft)) {
            Reply::Sent { id, time, .. } => (id, time),
            other => panic!("{other:?}"),
        }
    }

    fn history(&mut self, guest: &Guest, chat: &str) -> Vec<MessageView> {
        let range = Range {
            after: MessageId(0),
            before: MessageId::END,
            since: None,
            count: 500,
            take: Take::First,
        };
        let query = Query::History { chat: address(chat), range };
        match self.stage.ask(Some(guest.session), PLAIN, crate::wire::What::Query(query)).reply {
            Ok(Reply::Messages { messages, more: false }) => messages,
            Err(crate::domain::words::Refusal::NoSuchChat) => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    fn texts(&mut self, guest: &Guest, chat: &str) -> Vec<String> {
        self.history(guest, chat).iter().map(|message| message.text.to_string()).collect()
    }

    fn unread(&mut self, guest: &Guest) -> Vec<u32> {
        match self.stage.say(guest, Command::Chats { before: MessageId::END, count: 500 }) {
            Reply::Chats { chats, .. } => chats.iter().map(|chat| chat.unread).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn assert_sound(&self) {
        let verdict = self.stage.engine.store.reader().verify(&mut |_| {}).expect("it is read");
        assert_eq!(verdict.faults, Vec::<String>::new());
    }
}

#[test]
fn what_was_written_is_kept_for_its_days_and_goes_on_the_next() {
    let mut home = Home::keeping("3d", &["alice", "bob"]);
    let (alice, bob) = (home.stage.log_in("alice", PLAIN), home.stage.log_in("bob", PLAIN));
    home.send(&alice, "bob", "day one");
    home.days(1);
    home.send(&alice, "bob", "day two");
    home.days(2);
    assert_eq!(home.texts(&bob, "alice"), ["day one", "day two"]);
    assert_eq!(home.unread(&bob), [2]);
    home.days(1);
    assert_eq!(home.texts(&bob, "alice"), ["day two"]);
    assert_eq!(home.unread(&bob), [1]);
    home.assert_sound();
    home.days(1);
    assert_eq!(home.texts(&bob, "alice"), [""; 0]);
    assert_eq!(home.unread(&bob), [0; 0], "the chat comes back with what is new");
    home.send(&bob, "alice", "day six");
    assert_eq!(home.unread(&alice), [1]);
    home.assert_sound();
}

#[test]
fn what_has_gone_is_in_no_backup_and_its_room_is_used_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut home = Home::keeping("1d", &["alice", "bob"]);
    let alice = home.stage.log_in("alice", PLAIN);
    for n in 0..300 {
        home.send(&alice, "bob", &format!("hush number {n:03} {}", "x".repeat(200)));
    }
    // Too few for a merge of their own.
    home.days(2);
    let reader = home.stage.engine.store.reader();
    assert!(
        !home.stage.engine.store.has_waiting(MessageId::END),
        "nothing is left where it arrived"
    );
    let path = directory.path().join("backup.redb");
    let verdict = reader.backup(&path, &mut |_| {}).expect("a backup");
    assert_eq!((verdict.messages, verdict.faults.len()), (1, 0));
    let bytes = std::fs::read(&path).expect("it is there");
    assert!(!bytes.windows(4).any(|window| window == b"hush"));
    assert!(bytes.len() < 1 << 20);
}

#[test]
fn a_clock_that_leaps_takes_nothing_and_ends_nobody() {
    let mut home = Home::keeping("30d", &["alice", "bob"]);
    let (alice, bob) = (home.stage.log_in("alice", PLAIN), home.stage.log_in("bob", PLAIN));
    let (first, time) = home.send(&alice, "bob", "before");
    home.days(1);
    for ahead in [true, false, true, false] {
        home.leap(ahead);
        for _ in 0..5 {
            home.pass(HOUR);
        }
        assert_eq!(home.texts(&bob, "alice")[0], "before");
        home.send(&bob, "alice", "still here");
    }
    let history = home.history(&alice, "bob");
    assert_eq!((history[0].id, history[0].time), (first, time));
    assert!(history.is_sorted_by(|a, b| a.id < b.id && a.time <= b.time));
    assert_eq!(home.unread(&alice), [4]);
    home.assert_sound();
    // One that stays where it leapt to is believed in the end.
    home.leap(true);
    for hour in 0..=36 {
        let count = home.texts(&bob, "alice").len();
        assert!(count == 5 || hour > 12, "{count} after {hour} hours");
        home.pass(HOUR);
    }
    // What was written since it was last believed may be from today.
    assert_eq!(home.texts(&bob, "alice"), ["still here"; 4]);
    // Those who are here have been here all the time.
    home.send(&alice, "bob", "nobody had to log in");
    home.assert_sound();
}

#[test]
fn what_was_stamped_by_a_clock_that_stood_ahead_goes_in_its_time() {
    let mut home = Home::keeping("3d", &["alice", "bob"]);
    let (alice, bob) = (home.stage.log_in("alice", PLAIN), home.stage.log_in("bob", PLAIN));
    home.leap(true);
    for _ in 0..13 {
        home.pass(HOUR);
    }
    let (_, ahead) = home.send(&alice, "bob", "from the future");
    home.leap(false);
    for hour in 0..13 {
        assert_eq!(home.texts(&bob, "alice").len(), 1, "{hour}");
        home.pass(HOUR);
    }
    home.days(2);
    let (_, time) = home.send(&alice, "bob", "from now");
    assert!(time >= ahead, "the times of a chat never go back");
    home.days(2);
    assert_eq!(home.texts(&bob, "alice"), ["from now"]);
    home.days(2);
    assert_eq!(home.texts(&bob, "alice"), [""; 0]);
    home.assert_sound();
}

#[test]
fn a_pi_that_starts_in_1970_forgets_nothing_and_sends_nobody_away() {
    let mut home = Home::keeping("30d", &["alice", "bob"]);
    let (alice, bob) = (home.stage.log_in("alice", PLAIN), home.stage.log_in("bob", PLAIN));
    let (first, time) = home.send(&alice, "bob", "before");
    let right = home.clock.wall();
    home.set(Timestamp::from_secs(30));
    let (second, later) = home.send(&bob, "alice", "in 1970");
    assert!(first < second && time <= later);
    assert_eq!((home.unread(&alice), home.unread(&bob)), (vec![1], vec![0]));
    let new = home.stage.log_in("alice", PLAIN);
    for _ in 0..30 {
        home.pass(HOUR);
    }
    assert_eq!(home.texts(&bob, "alice").len(), 2);
    home.set(Timestamp(right.0 + 31 * HOUR.as_millis() as u64));
    home.pass(HOUR);
    for guest in [&new, &alice] {
        home.send(guest, "bob", "after");
    }
    let history = home.history(&bob, "alice");
    assert_eq!(history.len(), 4);
    assert!(history.is_sorted_by(|a, b| a.id < b.id && a.time <= b.time));
    assert!(history[3].time > right);
    // What was written then is not from 1970.
    home.days(29);
    assert_eq!(home.texts(&bob, "alice").len(), 4);
    home.days(3);
    assert_eq!(home.texts(&bob, "alice"), [""; 0]);
    home.assert_sound();
}

#[test]
fn a_new_pi_that_does_not_know_the_time_yet_lets_people_in_for_good() {
    let clock = Clock::by_hand(Timestamp::from_secs(30));
    let stage = Stage::by(clock.clone(), |config| config.limits.session_ttl = 10, &["alice"]);
    let mut home = Home { stage, clock };
    let alice = home.stage.log_in("alice", PLAIN);
    home.send(&alice, "alice", "in 1970");
    home.set(NOON);
    home.send(&alice, "alice", "a moment later");
    home.pass(HOUR);
    home.send(&alice, "alice", "an hour later");
    for _ in 0..9 {
        home.days(1);
        home.send(&alice, "alice", "and on");
    }
    home.days(12);
    let command = Command::Chats { before: MessageId::END, count: 1 };
    // She is connected all the time.
    home.stage.try_say(&alice, command).expect("her session is in use");
}

#[test]
fn an_owner_of_a_group_may_have_less_kept_where_the_server_keeps_all() {
    let mut home = Home::keeping("forever", &["alice", "bob"]);
    let (alice, bob) = (home.stage.log_in("alice", PLAIN), home.stage.log_in("bob", PLAIN));
    home.stage.say(&alice, Command::CreateChat(ChatDraft { retention: 1, ..group("garden") }));
    home.stage.say(&alice, Command::CreateChat(group("field")));
    for chat in ["garden", "field", "bob"] {
        home.send(&alice, chat, "x");
    }
    home.days(2);
    home.send(&alice, "garden", "y");
    assert_eq!(home.texts(&alice, "garden").last().map(String::as_str), Some("y"));
    assert!(!home.texts(&alice, "garden").contains(&"x".to_owned()));
    assert_eq!(home.texts(&alice, "field"), ["field", "x"]);
    assert_eq!(home.texts(&bob, "alice"), ["x"]);
    let change = ChatChange { retention: Some(2), ..ChatChange::default() };
    home.stage.say(&alice, Command::ChangeChat { chat: address("field"), change });
    home.days(1);
    assert_eq!(home.texts(&alice, "field"), [""]);
    home.assert_sound();
}

#[test]
fn many_chats_are_looked_at_a_slice_at_a_time_and_then_nobody_wakes_up_for_a_day() {
    let people: Vec<String> = (0..3 * LOOK_CHATS).map(|n| format!("p{n}")).collect();
    let mut home = Home::keeping("1d", &["alice"]);
    let alice = home.stage.log_in("alice", PLAIN);
    for name in &people {
        home.stage.say(&alice, Command::CreateChat(group(name)));
        home.send(&alice, name, "x");
    }
    home.days(1);
    home.clock.pass(DAY);
    let engine = &mut home.stage.engine;
    let commits = engine.store.work().commits;
    let mut slices = 0;
    while engine.keeping_due() <= Instant::now() + HOUR {
        engine.keep(Instant::now()).expect("it is kept");
        slices += 1;
        // One of them is that alice is still here.
        let work = engine.store.work().commits - commits;
        assert!(work <= slices + 1, "one commit a slice at most");
    }
    assert!(slices > 3 * LOOK_CHATS as u64 / 16, "{slices}");
    assert!(engine.keeping_due() > Instant::now() + 23 * HOUR);
    home.stage.rest();
    for name in [&people[0], &people[100], &people[3 * LOOK_CHATS - 1]] {
        assert_eq!(home.texts(&alice, name), [""], "{name}");
    }
    home.assert_sound();
    // A day on which nothing is old is noted, and that is all.
    let commits = home.stage.engine.store.work().commits;
    home.days(1);
    // And perhaps that alice is still here.
    assert!((1..=2).contains(&(home.stage.engine.store.work().commits - commits)));
}

#[test]
fn a_damaged_record_keeps_its_own_chat_and_no_other() {
    let mut home = Home::keeping("1d", &["alice", "bob", "carol"]);
    let alice = home.stage.log_in("alice", PLAIN);
    for who in ["bob", "carol"] {
        home.send(&alice, who, "old");
    }
    home.days(1);
    let chat = home.stage.engine.store.reader().read(|look| {
        let bob = look.account_by_address(&address("bob"))?.unwrap_or_default();
        Ok(crate::domain::id::ChatId::direct(alice.seat.account, bob))
    });
    home.stage.engine.store.spoil_floor(chat.expect("bob is there"));
    home.days(2);
    assert_eq!(home.texts(&alice, "carol"), [""; 0]);
}
