//! Tinode beyond its talks: people who say anything at all to any topic, now and then garbled. Every
//! message that wants an answer gets one, none of them is «internal error», and what is new in a
//! topic comes once and in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::tinode::{Heard, KEY, Tinode};
use crate::noise::Noise;
use crate::talk::stage::serve;

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const ROUNDS: usize = 700;
const MODES: [&str; 10] = ["RWP", "RW", "R", "RWPSD", "RWPSDO", "N", "X", "", "RWPS", "Q"];
const CLEAR: &str = "\u{2421}";

struct Person {
    tinode: Tinode,
    uid: String,
    said: usize,
    /// By topic, the newest message that came unasked.
    newest: BTreeMap<String, u64>,
}

impl Person {
    fn enter(address: SocketAddr, login: &str, is_poll: bool) -> Person {
        let connect = if is_poll { Tinode::poll } else { Tinode::socket };
        let tinode = connect(address, KEY, "").expect("the door is open");
        let mut person = Person { tinode, uid: String::new(), said: 0, newest: BTreeMap::new() };
        let secret = format!("{login}:{login}12345");
        let auth = json!([{ "secret": secret }]);
        // Who comes with another device is there already.
        person.ask("acc", json!({ "user": "new", "auth": auth }));
        let heard = person.ask("login", json!({ "secret": secret, "ua": login }));
        let answer = heard.iter().find(|packet| packet["ctrl"]["code"] == 200);
        let answer = answer.unwrap_or_else(|| panic!("{login} cannot log in: {heard:?}"));
        person.uid = answer["ctrl"]["params"]["uid"].as_str().expect("an id").into();
        person
    }

    /// Says a message, and returns all that comes until the next one would be answered.
    fn ask(&mut self, verb: &str, mut body: Value) -> Vec<Value> {
        self.said += 1;
        body["id"] = json!(format!("m{}", self.said));
        self.say(json!({ verb: body }).to_string().as_bytes())
    }

    fn say(&mut self, text: &[u8]) -> Vec<Value> {
        self.tinode.send(text).expect("it is taken");
        self.settle()
    }

    fn settle(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        self.tinode.send(br#"{"get":{"id":"end"}}"#).expect("it is taken");
        loop {
            match self.tinode.receive().expect("the stream goes on") {
                Heard::Packet(packet) if packet["ctrl"]["id"] == "end" => return all,
                Heard::Packet(packet) => all.push(packet),
                other => panic!("{other:?} after {all:?}"),
            }
        }
    }

    /// What came unasked comes once and in order.
    fn check_live(&mut self, heard: &[Value], context: &str) {
        for data in heard.iter().map(|packet| &packet["data"]).filter(|data| !data.is_null()) {
            let topic = data["topic"].as_str().expect("a topic");
            let seq = data["seq"].as_u64().expect("a number");
            let before = self.newest.insert(topic.into(), seq).unwrap_or(0);
            assert!(before < seq, "{context}: {topic} had {before} before {data}");
        }
    }
}

/// JSON of any kind.
fn anything(noise: &mut Noise) -> Value {
    match noise.below(8) {
        0 => json!(null),
        1 => json!(noise.next()),
        2 => json!([[], { "a": -1.5 }]),
        3 => json!({ "fn": "É 😀" }),
        4 => json!(CLEAR),
        5 => json!(""),
        _ => json!("text"),
    }
}

fn settings(noise: &mut Noise) -> Value {
    let mut all = json!({});
    if noise.one_in(2) {
        all["defacs"] = json!({ "auth": noise.pick(&MODES), "anon": noise.pick(&MODES) });
    }
    if noise.one_in(2) {
        all["public"] = anything(noise);
    }
    if noise.one_in(2) {
        all["private"] = anything(noise);
    }
    all
}

fn number(noise: &mut Noise) -> i64 {
    *noise.pick(&[-1, 0, 1, 2, 3, 5, 8, 1000, i64::MAX])
}

/// A message about a topic, and whether it is to be answered by a {ctrl}.
fn message(noise: &mut Noise, topic: &str, people: &[String]) -> (&'static str, Value, bool) {
    let what = *noise.pick(&["info", "sub", "data", "info sub data", "sub info", "x", ""]);
    let browse = json!({ "since": number(noise), "before": number(noise), "limit": number(noise) });
    let mut member = json!({ "mode": noise.pick(&MODES), "info": anything(noise) });
    match noise.below(16) {
        0..4 => {
            let init = settings(noise);
            let mut body = json!({ "topic": topic, "init": init, "get": what });
            if noise.one_in(3) {
                body["sub"] = member;
            }
            if noise.one_in(2) {
                body["browse"] = browse;
            }
            ("sub", body, true)
        }
        4 => ("leave", json!({ "topic": topic, "unsub": noise.one_in(3) }), true),
        5..9 => {
            let content = anything(noise);
            let noecho = noise.one_in(3);
            ("pub", json!({ "topic": topic, "content": content, "noecho": noecho }), true)
        }
        9 => ("get", json!({ "topic": topic, "what": what, "browse": browse }), false),
        10..12 => {
            let what = *noise.pick(&["info", "sub", "info sub", "sub", "y"]);
            if noise.one_in(2) {
                member["user"] = json!(noise.pick(people));
            }
            let info = settings(noise);
            ("set", json!({ "topic": topic, "what": what, "info": info, "sub": member }), true)
        }
        12 => {
            let what = *noise.pick(&["msg", "msg", "msg", "topic", "z"]);
            let (hard, before) = (noise.one_in(2), number(noise));
            ("del", json!({ "topic": topic, "what": what, "hard": hard, "before": before }), true)
        }
        _ => {
            let what = *noise.pick(&["kp", "read", "recv", "rcpt", "w"]);
            ("note", json!({ "topic": topic, "what": what, "seq": number(noise) }), false)
        }
    }
}

#[test]
fn whatever_is_said_is_answered_and_what_is_new_comes_once() {
    let mut stage = serve(&[("limits.presence_grace", "0")]);
    let seed = Noise::seed();
    let mut noise = Noise::new(seed);
    let mut people: Vec<Person> =
        (0..5).map(|n| Person::enter(stage.http(), NAMES[n % NAMES.len()], n % 2 == 1)).collect();
    let uids: Vec<String> = people.iter().map(|person| person.uid.clone()).collect();
    let mut topics: Vec<String> = ["me", "new", "nonsense"].map(String::from).to_vec();
    topics.extend(uids.iter().take(NAMES.len()).cloned());
    for round in 0..ROUNDS {
        let who = noise.below(people.len());
        let topic = noise.pick(&topics).clone();
        let (verb, body, is_answered) = message(&mut noise, &topic, &uids);
        let context = format!("seed {seed}, round {round}, {who} says {verb} {body}");
        for (other, person) in people.iter_mut().enumerate() {
            if other != who && noise.one_in(3) {
                let heard = person.settle();
                person.check_live(&heard, &context);
            }
        }
        // What waited from before is no answer.
        let before = people[who].settle();
        people[who].check_live(&before, &context);
        let shows = body["what"].as_str().or(body["get"].as_str()).unwrap_or_default();
        let is_page = verb != "set" && shows.contains("data");
        let heard = people[who].ask(verb, body);
        if !is_page {
            people[who].check_live(&heard, &context);
        }
        let id = format!("m{}", people[who].said);
        let answers: Vec<&Value> =
            heard.iter().map(|p| &p["ctrl"]).filter(|ctrl| ctrl["id"] == *id).collect();
        assert!(!is_answered || !answers.is_empty(), "{context}: only {heard:?}");
        assert!(verb != "note" || answers.is_empty(), "{context}: {answers:?}");
        for answer in answers {
            let code = answer["code"].as_u64().expect("a code");
            assert!(code < 500, "{context}: {answer}");
            if verb == "sub" && code == 200 {
                let name = answer["topic"].as_str().expect("a name").to_owned();
                if !topics.contains(&name) && topics.len() < 12 {
                    topics.push(name);
                }
            }
        }
        // A garbled message costs nobody anything.
        let mut text = json!({ verb: { "topic": topic } }).to_string().into_bytes();
        let at = noise.below(text.len());
        text[at] = b' ' + noise.below(90) as u8;
        let heard = people[who].say(&text);
        people[who].check_live(&heard, &context);
    }
    stage.stop().expect("the server stops in order");
}
