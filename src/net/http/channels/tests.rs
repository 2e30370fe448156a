use smol::io::AsyncWriteExt;

use super::*;
use crate::domain::words::Reply;
use crate::metrics::Carrier;
use crate::net::host::Patience;
use crate::net::http::serve;
use crate::net::http::tests::response;
use crate::net::testing::*;

const MOMENT: Duration = Duration::from_millis(1);
const HEAD: &str = "Access-Control-Allow-Origin: *\r\n\
                    Cache-Control: no-cache, no-store, must-revalidate\r\nExpires: 0\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n\
                     Cache-Control: no-cache, no-store, must-revalidate\r\nExpires: 0\r\n\
                     Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
const LP: &str = "/v0/channels/lp?apikey=good%2Bkey";
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Runs a script of clients, and what it makes the server begin.
fn live(stage: &Stage, script: impl AsyncFnOnce()) {
    play(stage.executor.run(script()));
}

/// One more connection, served.
fn connect(stage: &Stage) -> Client {
    let (server, client) = pair();
    let (host, guest) = (stage.host.clone(), stage.guest());
    let serving = async move {
        guest.settle().await;
        let _ = serve(&host, guest, server).await;
    };
    stage.executor.spawn(serving).detach();
    client
}

/// A request that ends its headers itself.
async fn send(client: &mut Client, method: &str, target: &str, rest: &str) {
    let request = format!("{method} {target} HTTP/1.1\r\n{rest}");
    client.write_all(request.as_bytes()).await.unwrap();
}

/// A request with a body of a kind; its whole response.
async fn post(client: &mut Client, target: &str, kind: &str, body: &str) -> String {
    let rest = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    send(client, "POST", target, &rest).await;
    whole(client).await
}

async fn get(client: &mut Client, target: &str) -> String {
    send(client, "GET", target, "\r\n").await;
    whole(client).await
}

async fn whole(client: &mut Client) -> String {
    let (head, body) = response(client).await;
    head + &body
}

fn packet(text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.1 200 OK\r\n{HEAD}Content-Length: {length}\r\nContent-Type: text/plain\r\n\r\n{text}"
    )
}

fn wrong(status: &str, code: u16, text: &str) -> String {
    let body =
        format!(r#"{{"ctrl":{{"code":{code},"text":"{text}","ts":"0001-01-01T00:00:00Z"}}}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{HEAD}Content-Length: {length}\r\nContent-Type: text/plain\r\n\r\n{body}"
    )
}

fn no_session() -> String {
    wrong("403 Forbidden", 403, "Invalid or expired session id")
}

/// Opens a session; the target of all its further requests.
async fn open(client: &mut Client) -> String {
    let text = get(client, LP).await;
    assert!(text.starts_with("HTTP/1.1 201 Created\r\n"), "{text}");
    let sid = text.trim_end().rsplit_once("sid=").unwrap().1;
    format!("{LP}&sid={sid}")
}

/// Waits until as many sessions are there.
async fn sessions(stage: &Stage, count: u64) {
    let gauge = stage.host.metrics.connections(Carrier::TinodePoll);
    while gauge.get() != count {
        smol::Timer::after(MOMENT).await;
    }
}

fn pipe(stage: &Stage, session: &str) -> Arc<Pipe> {
    stage.host.polls.find(session.rsplit_once('=').unwrap().1).unwrap()
}

/// Waits until a poll waits.
async fn parked(stage: &Stage, session: &str) {
    while !pipe(stage, session).is_parked() {
        smol::Timer::after(MOMENT).await;
    }
}

#[test]
fn a_web_socket_needs_a_key_then_a_get_then_an_upgrade() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let no_key = "HTTP/1.1 403 Forbidden\r\nContent-Length: 36\r\nContent-Type: text/plain\r\n\r\n\
                      Missing, invalid or expired API key\n";
        for target in ["/v0/channels", "/v0/channels?apikey=good+key", "/v0/channels?apikey="] {
            send(&mut client, "GET", target, &format!("{UPGRADE}\r\n")).await;
            assert_eq!(whole(&mut client).await, no_key, "{target}");
            send(&mut client, "POST", target, "\r\n").await;
            assert_eq!(whole(&mut client).await, no_key, "{target}");
        }
        let method = "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 19\r\n\
                      Content-Type: text/plain\r\n\r\nMethod not allowed\n";
        let plain = "HTTP/1.1 400 Bad Request\r\nContent-Length: 11\r\n\
                     Content-Type: text/plain\r\n\r\nBad Request";
        send(&mut client, "POST", "/v0/channels?apikey=good%2bkey", "\r\n").await;
        assert_eq!(whole(&mut client).await, method);
        send(&mut client, "PUT", "/v0/channels", "x-tinode-apikey: good+key\r\n\r\n").await;
        assert_eq!(whole(&mut client).await, method);
        let form = "application/x-www-form-urlencoded; charset=UTF-8";
        assert_eq!(post(&mut client, "/v0/channels", form, "apikey=good%2Bkey").await, method);
        assert_eq!(get(&mut client, "/v0/channels?apikey=good%2Bkey").await, plain);
        assert_eq!(get(&mut client, "/v0/channels/?apikey=good%2Bkey").await[9..12], *"404");
        assert_eq!(get(&mut client, "/v0/channel?apikey=good%2Bkey").await[9..12], *"404");
    });
}

#[test]
fn an_upgrade_begins_with_the_first_packet_and_ends_with_the_last() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    live(&stage, async || {
        let mut client = connect(&stage);
        let request = format!("Origin: https://anybody.test\r\n{UPGRADE}\r\nearly\nuse 1\n");
        send(&mut client, "GET", "/v0/channels?id=77&apikey=good%2Bkey", &request).await;
        let (head, _) = response(&mut client).await;
        assert_eq!(
            head,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        expect(&mut client, "hello id=77 sid=-\nearly\n").await;
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        expect(&mut client, "ok\n").await;
        crate::net::testing::post(&seat, 2, "news");
        expect(&mut client, "news\n").await;
        assert_eq!(stage.host.metrics.connections(Carrier::Tinode).get(), 1);
        client.write_all(b"bye\n").await.unwrap();
        assert_eq!(rest(&mut client).await, "bye Done\n");
        // What it leaves behind is left once the stream is over.
        drop(client);
        stage.question().await.answer(Ok(Reply::Done), None, 3).await;
    });
}

#[test]
fn a_session_is_opened_by_any_method() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let mut known = std::collections::BTreeSet::new();
        let targets =
            [LP, "/v0/v0/channels/lp?apikey=good%2Bkey&sid=", "/v0/channels/lp?&apikey=good%2Bkey"];
        for (method, target) in
            ["GET", "POST", "OPTIONS", "DELETE"].iter().zip(targets.iter().cycle())
        {
            // A body is ignored, even a login.
            send(
                &mut client,
                method,
                &format!("{target}&id=a+b"),
                "Content-Length: 5\r\n\r\nuse 1",
            )
            .await;
            let (head, body) = response(&mut client).await;
            let sid = body.strip_prefix("hello id=a b sid=").unwrap().strip_suffix('\n').unwrap();
            assert_eq!(sid.len(), 12, "{sid}");
            assert!(known.insert(sid.to_owned()));
            let length = body.len();
            assert_eq!(
                head,
                format!(
                    "HTTP/1.1 201 Created\r\n{HEAD}Content-Length: {length}\r\n\
                     Content-Type: text/plain\r\n\r\n"
                )
            );
        }
        assert!(stage.is_asked_nothing());
        sessions(&stage, 4).await;
        assert!(!format!("{:?}", stage.host.polls).contains(known.first().unwrap()));
    });
}

#[test]
fn without_a_key_or_with_another_sid_there_is_nothing() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let no_key = wrong("403 Forbidden", 403, "Valid API key is required");
        let no_key = no_key.replace("Access-Control-Allow-Origin: *\r\n", "");
        assert!(no_key.ends_with(
            r#"{"ctrl":{"code":403,"text":"Valid API key is required","ts":"0001-01-01T00:00:00Z"}}"#
        ));
        for target in ["/v0/channels/lp", "/v0/channels/lp?apikey=good%2Bkeys&sid=AAAAAAAAAAAA"] {
            assert_eq!(get(&mut client, target).await, no_key);
            assert_eq!(post(&mut client, target, "text/plain", "hi").await, no_key);
        }
        for sid in ["AAAAAAAAAAAA", "AAAAAAAAAAA", "AAAAAAAAAAAAA", "%00", "nonsense!!!!", "AAAA"] {
            let target = format!("{LP}&sid={sid}");
            assert_eq!(get(&mut client, &target).await, no_session(), "{sid}");
            assert_eq!(post(&mut client, &target, "text/plain", "hi").await, no_session());
        }
        sessions(&stage, 0).await;
    });
}

#[test]
fn what_is_posted_is_answered_by_polls_one_packet_each() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    live(&stage, async || {
        // A poll and a post each have their connection, which they use again and again.
        let (mut poller, mut sender) = (connect(&stage), connect(&stage));
        let session = open(&mut poller).await;
        send(&mut poller, "GET", &session, "\r\n").await;
        assert_eq!(post(&mut sender, &session, "text/plain", "one").await, EMPTY);
        assert_eq!(whole(&mut poller).await, packet("one"));
        for text in ["two", "three"] {
            assert_eq!(post(&mut sender, &session, "text/plain;charset=UTF-8", text).await, EMPTY);
        }
        assert_eq!(get(&mut poller, &session).await, packet("two"));
        assert_eq!(get(&mut poller, &session).await, packet("three"));
        // The answer to a post does not wait for that of the engine.
        assert_eq!(post(&mut sender, &session, "text/plain", "use 1").await, EMPTY);
        send(&mut poller, "POST", &session, "\r\n").await;
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        assert_eq!(whole(&mut poller).await, packet("ok"));
        send(&mut poller, "GET", &session, "\r\n").await;
        crate::net::testing::post(&seat, 2, "news");
        assert_eq!(whole(&mut poller).await, packet("news"));
    });
}

#[test]
fn a_body_is_a_message_a_form_or_nothing() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let (mut poller, mut sender) = (connect(&stage), connect(&stage));
        let session = open(&mut poller).await;
        let sid = session.rsplit_once('=').unwrap().1.to_owned();
        let form = "application/x-www-form-urlencoded";
        // curl -d says that it is a form, whatever it is.
        for json in [r#"{"note":{"a":"b=c&d"}}"#, " [1]", "{"] {
            assert_eq!(post(&mut sender, &session, form, json).await, EMPTY);
            assert_eq!(get(&mut poller, &session).await, packet(json));
        }
        let chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\nch\r\n4\r\nunks\r\n0\r\n\r\n";
        send(&mut sender, "POST", &session, chunked).await;
        assert_eq!(whole(&mut sender).await, EMPTY);
        send(&mut poller, "GET", &session, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
        assert_eq!(whole(&mut poller).await, packet("chunks"));
        // Sid and key in a form: a poll.
        assert_eq!(post(&mut sender, &session, "text/plain", "formed").await, EMPTY);
        let body = format!("sid={sid}&apikey=good%2Bkey");
        assert_eq!(post(&mut poller, "/v0/channels/lp", form, &body).await, packet("formed"));
        let large = "x".repeat(TINODE_PACKET_BYTES_MAX);
        assert_eq!(post(&mut sender, &session, "text/plain", &large).await, EMPTY);
        assert_eq!(get(&mut poller, &session).await, packet(&large));
        let too_large = wrong("413 Content Too Large", 413, "message too large");
        assert_eq!(post(&mut sender, &session, "a/b", &format!("{large}x")).await, too_large);
        assert_eq!(post(&mut sender, &session, "a/b", "after").await, EMPTY);
        assert_eq!(get(&mut poller, &session).await, packet("after"));
    });
}

#[test]
fn an_old_client_is_told_in_its_own_words_not_to_keep_anything() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let request = format!("GET {LP} HTTP/1.0\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let text = rest(&mut client).await;
        let head = "HTTP/1.1 201 Created\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\n\
                    Pragma: no-cache\r\nExpires: 0\r\nContent-Length: 28\r\n";
        assert!(text.starts_with(head), "{text}");
        // HEAD says how long the body is, and no more.
        let mut client = connect(&stage);
        let request = format!("HEAD {LP} HTTP/1.1\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let text = rest(&mut client).await;
        assert!(text.ends_with("Content-Length: 28\r\nContent-Type: text/plain\r\n\r\n"), "{text}");
    });
}

#[test]
fn a_poll_ends_empty_when_its_time_is_over_or_another_one_comes() {
    let stage = Stage::new(Patience { poll: SHORT, ..PATIENT });
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        assert_eq!(get(&mut client, &session).await, EMPTY);
        assert_eq!(get(&mut client, &session).await, EMPTY);
    });
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let (mut first, mut second) = (connect(&stage), connect(&stage));
        let session = open(&mut first).await;
        send(&mut first, "GET", &session, "\r\n").await;
        parked(&stage, &session).await;
        send(&mut second, "GET", &session, "\r\n").await;
        assert_eq!(whole(&mut first).await, EMPTY);
        assert_eq!(post(&mut first, &session, "text/plain", "hi").await, EMPTY);
        assert_eq!(whole(&mut second).await, packet("hi"));
    });
}

#[test]
fn a_poll_whose_client_has_gone_takes_nothing() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        assert_eq!(post(&mut client, &session, "text/plain", "kept").await, EMPTY);
        let (server, mut gone) = pair();
        send(&mut gone, "GET", &session, "\r\n").await;
        // All is there before anything is read: the request, the end, and the packet.
        drop(gone);
        serve(&stage.host, stage.guest(), server).await.unwrap();
        assert_eq!(get(&mut client, &session).await, packet("kept"));
    });
}

#[test]
fn a_session_that_nobody_polls_ends_by_itself_and_leaves() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        assert_eq!(post(&mut client, &session, "text/plain", "use 1").await, EMPTY);
        stage.question().await.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        assert_eq!(get(&mut client, &session).await, packet("ok"));
        pipe(&stage, &session).age(LONG);
        // Its last words.
        let question = stage.question().await;
        assert_eq!(question.ask.who, None);
        assert_eq!(post(&mut client, &session, "text/plain", "late").await, no_session());
        question.answer(Ok(Reply::Done), None, 2).await;
        sessions(&stage, 0).await;
        assert_eq!(get(&mut client, &session).await, no_session());
    });
}

#[test]
fn a_session_that_hangs_up_is_over_after_its_last_word() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        send(&mut client, "GET", &session, "\r\n").await;
        parked(&stage, &session).await;
        let mut sender = connect(&stage);
        assert_eq!(post(&mut sender, &session, "text/plain", "bye").await, EMPTY);
        assert_eq!(whole(&mut client).await, packet("bye Done"));
        sessions(&stage, 0).await;
        assert_eq!(get(&mut client, &session).await, no_session());
    });
}

#[test]
fn a_session_with_too_much_to_say_waits_and_is_given_up() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        assert_eq!(post(&mut client, &session, "text/plain", "many 200").await, EMPTY);
        for number in 1..=200 {
            assert_eq!(get(&mut client, &session).await, packet(&number.to_string()));
        }
    });
    let stage = Stage::new(Patience { stuck: SHORT, ..PATIENT });
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        assert_eq!(post(&mut client, &session, "text/plain", "many 65").await, EMPTY);
        sessions(&stage, 0).await;
        assert_eq!(get(&mut client, &session).await, no_session());
    });
}

#[test]
fn a_message_waits_until_the_one_before_is_read() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    live(&stage, async || {
        let (mut client, mut other) = (connect(&stage), connect(&stage));
        let session = open(&mut client).await;
        assert_eq!(post(&mut client, &session, "text/plain", "use 1").await, EMPTY);
        let question = stage.question().await;
        assert_eq!(post(&mut client, &session, "text/plain", "two").await, EMPTY);
        send(&mut other, "POST", &session, "Content-Length: 5\r\n\r\nthree").await;
        while !pipe(&stage, &session).has_speakers() {
            smol::Timer::after(MOMENT).await;
        }
        question.answer(Ok(Reply::Done), Some((id, seat.clone())), 1).await;
        assert_eq!(whole(&mut other).await, EMPTY);
        for text in ["ok", "two", "three"] {
            assert_eq!(get(&mut client, &session).await, packet(text));
        }
    });
    // Where the engine takes its time, the client that waited is told to try again.
    let stage = Stage::new(Patience { poll: SHORT, ..PATIENT });
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        assert_eq!(post(&mut client, &session, "text/plain", "use 1").await, EMPTY);
        let _question = stage.question().await;
        assert_eq!(post(&mut client, &session, "text/plain", "two").await, EMPTY);
        let busy = wrong("503 Service Unavailable", 503, "try again later");
        assert_eq!(post(&mut client, &session, "text/plain", "three").await, busy);
    });
}

#[test]
fn sessions_count_as_connections_of_their_address() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let mut client = connect(&stage);
        let mut others = Vec::new();
        while let Ok(guest) = stage.guests.admit([127, 0, 0, 1].into(), Carrier::Tcp) {
            others.push(guest);
        }
        let full = wrong("503 Service Unavailable", 503, "try again later");
        assert_eq!(get(&mut client, LP).await, full);
        others.truncate(90);
        let session = open(&mut client).await;
        assert_eq!(post(&mut client, &session, "text/plain", "hi").await, EMPTY);

        let far: std::net::IpAddr = [192, 0, 2, 1].into();
        drop(others);
        let guests = Arc::new(crate::net::guest::Guests::new(Arc::default(), 100, 2));
        let (server, mut client) = pair();
        let (host, guest) = (stage.host.clone(), guests.admit(far, Carrier::Http).unwrap());
        let serving = async move {
            let _ = serve(&host, guest, server).await;
        };
        stage.executor.spawn(serving).detach();
        open(&mut client).await;
        let many = wrong("429 Too Many Requests", 429, "too many sessions");
        assert_eq!(get(&mut client, LP).await, many);
    });
}

#[test]
fn without_memory_for_a_message_its_client_tries_again() {
    let mut stage = Stage::new(PATIENT);
    stage.leave_memory(30_000);
    let busy = wrong("503 Service Unavailable", 503, "try again later");
    live(&stage, async || {
        let mut client = connect(&stage);
        let session = open(&mut client).await;
        let text = "x".repeat(5_000);
        assert_eq!(post(&mut client, &session, "text/plain", &text).await, EMPTY);
        assert_eq!(get(&mut client, &session).await, packet(&text));
        let mut said = 0;
        while post(&mut client, &session, "text/plain", &text).await == EMPTY {
            said += 1;
        }
        assert!((1..6).contains(&said), "{said}");
        assert_eq!(post(&mut client, &session, "text/plain", &text).await, busy);
        for _ in 0..said {
            assert_eq!(get(&mut client, &session).await, packet(&text));
        }
        assert_eq!(post(&mut client, &session, "text/plain", &text).await, EMPTY);
    });
}

#[test]
fn the_servers_end_is_heard_by_those_who_poll() {
    let stage = Stage::new(PATIENT);
    live(&stage, async || {
        let (mut client, mut idle) = (connect(&stage), connect(&stage));
        let session = open(&mut client).await;
        let other = open(&mut idle).await;
        // This one does not even take what it has.
        assert_eq!(post(&mut idle, &other, "text/plain", "many 100").await, EMPTY);
        send(&mut client, "GET", &session, "\r\n").await;
        parked(&stage, &session).await;
        stage.guests.send_away();
        let text = rest(&mut client).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nbye GoingAway"), "{text}");
        assert_eq!(rest(&mut idle).await, "");
        sessions(&stage, 0).await;
    });
    assert!(stage.guests.wait_empty(Duration::ZERO));
    assert_eq!(format!("{:?}", stage.host.polls), "Polls(0)");
}
