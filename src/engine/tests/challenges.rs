//! Logging in by challenge and with app passwords, and the key that makes it possible.

use std::fs;
use std::path::Path;

use ring::digest::{SHA256, digest};

use super::*;
use crate::engine::vault::AppPassword;
use crate::limits::{LOGIN_FREE_FAILURES, Switch};

impl House {
    fn at_home(home: &Path) -> House {
        House::at(Place::Directory(home.into()), |_| {})
    }

    /// Registers with a password that can be read back.
    fn register_sealed(&self, login: &str) {
        let credentials = credentials(login, "pw");
        let what = What::Register { credentials, invite: None, sealed: true, start: None };
        assert!(self.ask(None, what).reply.is_ok());
    }

    fn salt(&self, login: &str) -> Box<str> {
        let login = Login::parse(login).ok();
        let answer = self.ask(None, What::Challenge { login });
        let Ok(Reply::Challenge { salt }) = answer.reply else { panic!("{:?}", answer.reply) };
        salt
    }

    fn continue_with(&self, login: &str, salt: &str, password: &str) -> Answer {
        let hash = digest(&SHA256, format!("{salt}{password}").as_bytes());
        let hash = hash.as_ref().try_into().expect("it has 32 bytes");
        let login = Login::parse(login).ok();
        self.ask(None, What::LogInByChallenge { login, salt: salt.into(), hash })
    }

    fn connect(&self, login: &str, password: &str) -> Result<(), Refusal> {
        let answer = self.continue_with(login, &self.salt(login), password);
        assert_eq!(answer.reply.is_ok(), answer.seat.is_some());
        answer.reply.map(drop)
    }

    fn app_password(&self, login: &str, name: &str) -> String {
        let new = self.exchange.vault().new_app_password().expect("there is a key");
        let AppPassword { text, digest, envelope } = new;
        let login = Login::parse(login).expect("valid");
        let order = Order::AddAppPassword { login, name: Some(name.into()), digest, envelope };
        assert!(matches!(self.exchange.order(order), Ok(Reply::AppPassword(_))));
        text.as_str().to_owned()
    }

    fn revoke(&self, login: &str, name: &str) {
        let login = Login::parse(login).expect("valid");
        let order = Order::RevokeAppPassword { login, name: name.into() };
        assert!(matches!(self.exchange.order(order), Ok(Reply::Done)));
    }

    fn trouble(&self) -> Option<String> {
        let vault = self.exchange.vault();
        let counts = self.exchange.reader().read(|here| here.sealed_counts(vault.key_id()));
        let (kept, fitting) = counts.expect("it can be read");
        vault.trouble(kept, fitting)
    }
}

const WRONG: Result<(), Refusal> = Err(Refusal::WrongCredentials);

#[test]
fn who_knows_the_password_answers_the_challenge() {
    let house = House::new(|_| {});
    house.register_sealed("alice");
    assert_eq!(house.connect("alice", "pw"), Ok(()));
    assert_eq!(house.connect("alice", "pw "), WRONG);
    // It is an account like any other.
    assert!(house.ask(None, What::LogIn(credentials("alice", "pw"))).reply.is_ok());
    let salt = house.salt("alice");
    let answer = house.continue_with("alice", &salt, "pw");
    let (session, seat) = answer.seat.expect("a login makes a seat");
    assert!(answer.order > 0);
    let what = What::Command(Command::Newest);
    assert!(house.ask(Some(session), what).reply.is_ok());
    assert_eq!(seat.account, AccountNo(1));
}

#[test]
fn salts_look_alike_whoever_asks_and_only_grow() {
    let house = House::new(|_| {});
    house.register_sealed("alice");
    house.register("bob");
    let mut last = 0;
    for login in ["alice", "bob", "nobody", "no login", "alice"] {
        let salt = house.salt(login);
        let (random, number) = salt.split_once('-').expect("two parts");
        assert_eq!(random.len(), 16);
        let number: u64 = number.parse().expect("a number");
        assert!(last < number);
        last = number;
    }
    assert_ne!(house.salt("alice")[..16], house.salt("alice")[..16]);
    for (login, password) in [("bob", "pw"), ("nobody", "pw"), ("no login", ""), ("alice", "")] {
        assert_eq!(house.connect(login, password), WRONG, "{login}");
    }
}

#[test]
fn an_app_password_logs_in_by_challenge_and_as_it_is_until_it_is_revoked() {
    let house = House::new(|_| {});
    house.register("alice");
    house.register("bob");
    let (phone, tablet) =
        (house.app_password("alice", "phone"), house.app_password("alice", "tablet"));
    let plain = |login: &str, password: &str| {
        let answer = house.ask(None, What::LogIn(credentials(login, password)));
        answer.reply.map(|_| answer.seat.expect("a login makes a seat"))
    };
    for password in [&phone, &tablet] {
        assert_eq!(house.connect("alice", password), Ok(()));
        assert_eq!(house.connect("bob", password), WRONG);
        assert_eq!(plain("bob", password).map(drop), WRONG);
    }
    assert_eq!(house.connect("alice", "pw"), WRONG, "her own is not readable");
    let (session, seat) = plain("alice", &phone).expect("it is right");
    let holder = Holder::new();
    seat.hold(holder, Waker::noop());
    let stored = house.exchange.reader().read(|here| here.session(session.key()));
    let stored = stored.expect("it can be read").expect("it is there");
    assert_eq!((stored.kind, stored.app.as_deref()), (SessionKind::Application, Some("phone")));
    let (own, _) = plain("alice", "pw").expect("it is right");

    house.revoke("alice", "phone");
    assert!(matches!(seat.take(holder), Some(Mail::Ended)));
    assert_eq!(house.connect("alice", &phone), WRONG);
    assert_eq!(plain("alice", &phone).map(drop), WRONG);
    assert_eq!(house.connect("alice", &tablet), Ok(()));
    assert!(house.ask(Some(own), What::Command(Command::Newest)).reply.is_ok());

    let login = || Login::parse("alice").expect("valid");
    assert!(house.exchange.order(Order::DisableUser { login: login() }).is_ok());
    assert_eq!(house.connect("alice", &tablet), WRONG);
    assert_eq!(plain("alice", &tablet).map(drop), WRONG);
    assert!(house.exchange.order(Order::EnableUser { login: login() }).is_ok());
    assert_eq!(house.connect("alice", &tablet), Ok(()));
}

#[test]
fn a_new_password_answers_no_challenge() {
    let house = House::new(|_| {});
    house.register_sealed("alice");
    let phone = house.app_password("alice", "phone");
    let verifier = password::hash(b"new", &Config::for_tests().password).expect("cheap");
    let login = Login::parse("alice").expect("valid");
    assert!(house.exchange.order(Order::SetPassword { login, verifier }).is_ok());
    assert_eq!(house.connect("alice", "pw"), WRONG);
    assert_eq!(house.connect("alice", "new"), WRONG);
    assert_eq!(house.connect("alice", &phone), Ok(()));
}

#[test]
fn failed_challenges_cost_the_same_delays_as_failed_passwords() {
    for login in ["alice", "nobody"] {
        let house = House::new(|config| config.limits.login_delay = Switch::On);
        house.register_sealed("alice");
        for n in 0..LOGIN_FREE_FAILURES {
            if n % 2 == 0 {
                assert_eq!(house.connect(login, "wrong"), WRONG);
            } else {
                let answer = house.ask(None, What::LogIn(credentials(login, "wrong")));
                assert!(matches!(answer.reply, Err(Refusal::WrongCredentials)));
            }
        }
        let delayed = Err(Refusal::TooManyAttempts { retry_after: 1 });
        assert_eq!(house.connect(login, "pw"), delayed, "{login}");
        let plain = house.ask(None, What::LogIn(credentials(login, "pw")));
        assert!(matches!(plain.reply, Err(Refusal::TooManyAttempts { retry_after: 1 })));
    }
}

#[test]
fn the_key_is_made_for_the_first_password_that_needs_it() {
    let home = tempfile::tempdir().expect("a directory");
    let key = home.path().join("secrets.key");
    let house = House::at_home(home.path());
    house.register("alice");
    house.salt("alice");
    assert_eq!(house.connect("alice", "pw"), WRONG);
    assert!(!key.exists());
    house.register_sealed("bob");
    assert!(key.exists());
    let phone = house.app_password("alice", "phone");
    house.running.stop().expect("it stops in order");

    let house = House::at_home(home.path());
    assert_eq!(house.trouble(), None);
    assert_eq!(house.connect("bob", "pw"), Ok(()));
    assert_eq!(house.connect("alice", &phone), Ok(()));
    house.running.stop().expect("it stops in order");
}

#[test]
fn a_database_copied_without_its_key_answers_no_challenge_and_says_so() {
    let (home, away) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir());
    let away = away.expect("a directory");
    let house = House::at_home(home.path());
    house.register_sealed("alice");
    let phone = house.app_password("alice", "phone");
    house.running.stop().expect("it stops in order");
    fs::copy(home.path().join("msimd.redb"), away.path().join("msimd.redb")).expect("it is there");
    let file = fs::read(home.path().join("msimd.redb")).expect("it is there");
    for secret in [phone.as_bytes(), &fs::read(home.path().join("secrets.key")).expect("made")] {
        assert!(!file.windows(secret.len()).any(|part| part == secret));
    }

    let house = House::at_home(away.path());
    let trouble = house.trouble().expect("the key is missing");
    assert!(trouble.contains("secrets.key is missing, so 2 of 2"), "{trouble}");
    assert_eq!(house.connect("alice", "pw"), WRONG);
    assert_eq!(house.connect("alice", &phone), WRONG);
    // What is sent as it is needs no key.
    assert!(house.ask(None, What::LogIn(credentials("alice", &phone))).reply.is_ok());
    assert!(!away.path().join("secrets.key").exists());

    // The key comes later, and a reload is enough.
    fs::copy(home.path().join("secrets.key"), away.path().join("secrets.key")).expect("a copy");
    house.exchange.reload(Arc::new(Config::for_tests()));
    assert_eq!(house.trouble(), None);
    assert_eq!(house.connect("alice", "pw"), Ok(()));
    assert_eq!(house.connect("alice", &phone), Ok(()));
    house.running.stop().expect("it stops in order");

    // Another key is made where it is lost, and what was sealed before is named.
    fs::remove_file(away.path().join("secrets.key")).expect("it is there");
    let house = House::at_home(away.path());
    let tablet = house.app_password("alice", "tablet");
    let trouble = house.trouble().expect("two cannot be read");
    assert!(trouble.contains("2 of 3"), "{trouble}");
    assert_eq!(house.connect("alice", &tablet), Ok(()));
    assert_eq!(house.connect("alice", "pw"), WRONG);
}

#[test]
fn without_a_good_key_file_nobody_registers_for_challenges() {
    let home = tempfile::tempdir().expect("a directory");
    fs::write(home.path().join("secrets.key"), b"no key").expect("it can be written");
    let house = House::at_home(home.path());
    let register = |sealed| {
        let credentials = credentials("alice", "pw");
        let what = What::Register { credentials, invite: None, sealed, start: None };
        house.ask(None, what).reply.map(drop)
    };
    assert_eq!(register(true), Err(Refusal::Unavailable));
    assert_eq!(register(false), Ok(()));
    assert_eq!(fs::read(home.path().join("secrets.key")).expect("it is there"), b"no key");
}
