//! The line carrier beyond its talks: any text goes through it unharmed, and its page counts right.

use std::net::SocketAddr;

use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::client::line::{Hand, Script, quoted};
use crate::client::tcp::User;
use crate::client::{base64, hex};
use crate::noise::Noise;
use crate::talk::stage::serve;

/// Says a line and hears the next one.
fn ask(hand: &mut Hand, line: &str) -> String {
    hand.send(line).expect("a line is sent");
    hand.receive().expect("a line comes").expect("the stream goes on")
}

/// What is typed to log in after a salt.
fn answer_to(salt: &str, password: &str) -> String {
    let hash = digest(&SHA256, format!("{salt}{password}").as_bytes());
    format!("CONNECT-CONTINUE hash={}", hex(hash.as_ref()))
}

fn enter(address: SocketAddr, login: &str, password: &str) -> Hand {
    let mut hand = Hand::connect(address).expect("the door is open");
    let register = format!("REGISTER login={login} password={}", quoted(password, '\''));
    assert_eq!(ask(&mut hand, &register), "REGISTER-OK");
    let ack = ask(&mut hand, &format!("CONNECT login={login}"));
    let salt = ack.strip_prefix("CONNECT-ACK salt=").expect("a salt");
    assert_eq!(ask(&mut hand, &answer_to(salt, password)), "CONNECT-OK");
    hand
}

/// Mostly of what the notation means something by.
fn text(noise: &mut Noise) -> String {
    const HARD: &str = "\"'\\,[]{}=: \t\n\r\u{0}\u{7}\u{1b}\u{7f}\u{85}\u{a0}\u{2028}\u{2029}\u{feff}\
                        \u{ffff}\u{10ffff}aé中😀u0n";
    let hard: Vec<char> = HARD.chars().collect();
    let anything = |noise: &mut Noise| char::from_u32(noise.below(0x11_0000) as u32);
    (0..1 + noise.below(40))
        .filter_map(|_| match noise.one_in(3) {
            true => anything(noise),
            false => Some(*noise.pick(&hard)),
        })
        .chain(['.'])
        .collect()
}

#[test]
fn any_text_goes_through_lines_unharmed() {
    let mut stage = serve(&[]);
    let seed = Noise::seed();
    let mut noise = Noise::new(seed);
    let mut alice = enter(stage.line(), "alice", "пароль \"'\\\n");
    let mut bob = User::enter(stage.tcp(), "bob").expect("bob enters");
    let mut script = Script::connect(stage.line(), 3, None).expect("the door is open");
    let who = json!({ "login": "bob", "password": base64(b"secret of bob") });
    script.send(None, None, "AUTH-PLAIN", who.to_string().as_bytes()).expect("it is sent");
    let login = script.receive().expect("an answer").expect("the stream goes on");
    script.own = login.body["sessid"].as_str().map(str::to_owned);
    for round in 0..300 {
        let text = text(&mut noise);
        let context = format!("seed {seed}, round {round}: {text:?}");
        let quote = if noise.one_in(2) { '"' } else { '\'' };
        let sent = ask(&mut alice, &format!("MESSAGE to=bob text={}", quoted(&text, quote)));
        assert!(sent.starts_with("MESSAGE-SENT id="), "{context}: {sent}");
        // In a frame and in a line.
        let framed = bob.hear().expect(&context);
        assert_eq!(framed.body["text"], json!(text), "{context}");
        let lined = script.receive().expect(&context).expect(&context);
        assert_eq!(lined.body, framed.body, "{context}");
        // And back: nested in an answer.
        let page = json!({ "chat_id": "alice", "id_till": -1, "count": 1 });
        script.send(None, None, "CHAT-HISTORY", page.to_string().as_bytes()).expect(&context);
        let history = script.receive().expect(&context).expect(&context);
        assert_eq!(history.body["data"][0]["text"], json!(text), "{context}");
    }
    stage.stop().expect("the server stops in order");
}

#[test]
fn the_smallest_session_has_the_bytes_that_the_page_counts() {
    let mut stage = serve(&[]);
    drop(enter(stage.line(), "bob", "456"));
    drop(enter(stage.line(), "alice", "123"));
    let mut hand = Hand::connect(stage.line()).expect("the door is open");
    let mut said = vec!["CONNECT login=alice".to_owned()];
    let mut heard = vec![ask(&mut hand, &said[0])];
    let salt = heard[0].strip_prefix("CONNECT-ACK salt=").expect("a salt").to_owned();
    for line in [answer_to(&salt, "123"), "MESSAGE to=bob text=hi".to_owned()] {
        heard.push(ask(&mut hand, &line));
        said.push(line);
    }
    assert_eq!(heard[1..], ["CONNECT-OK", "MESSAGE-SENT id=1"]);
    let bytes = |lines: &[String]| lines.iter().map(|line| line.len() + 1).sum::<usize>();
    let counted = format!("{} bytes from the client, {} to it", bytes(&said), bytes(&heard));
    println!("the smallest session: {counted}");
    let page = include_str!("../docs/line.md");
    assert!(page.contains(&counted), "docs/line.md does not say: {counted}");
    stage.stop().expect("the server stops in order");
}
