use smol::future::zip;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::host::Patience;
use crate::net::testing::*;

/// Runs a connection beside the test's script of its client.
fn visit(stage: &Stage, script: impl AsyncFnOnce(Client)) -> io::Result<()> {
    let mut result = Ok(());
    play(async {
        let (server, client) = pair();
        let guest = stage.guest();
        let serving = async {
            guest.settle().await;
            serve(&stage.host, guest, server).await
        };
        result = zip(serving, script(client)).await.0;
    });
    result
}

fn get(path: &str, session: SessionId) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nX-Session: {}\r\n\r\n", session.to_hex()).into_bytes()
}

/// One response: its head and its body.
pub(super) async fn response(client: &mut Client) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        let read = client.read_exact(&mut byte).await;
        read.unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |n| n.parse().unwrap())];
    client.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// Waits until so many know the seat: the engine, the test, and a fetch that holds it.
async fn parked(seat: &Arc<Seat>, count: usize) {
    while Arc::strong_count(seat) < count {
        smol::Timer::after(Duration::from_millis(1)).await;
    }
}

/// The status of a request's response.
async fn status(client: &mut Client, request: &str) -> String {
    client.write_all(request.as_bytes()).await.unwrap();
    response(client).await.0[9..12].to_owned()
}

#[test]
fn paths_and_methods_are_told_apart() {
    let stage = Stage::new(PATIENT);
    visit(&stage, async |mut client| {
        for (request, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", "200"),
            ("POST / HTTP/1.1\r\n\r\n", "405"),
            ("GET /v1/HELLO HTTP/1.1\r\n\r\n", "405"),
            ("POST /v1/fetch HTTP/1.1\r\n\r\n", "405"),
            ("POST /v1/ws HTTP/1.1\r\n\r\n", "405"),
            ("DELETE /v1/HELLO HTTP/1.1\r\n\r\n", "405"),
            ("POST /v0/HELLO HTTP/1.1\r\n\r\n", "404"),
            ("POST /v1/hello HTTP/1.1\r\n\r\n", "404"),
            ("GET /nothing?v1/HELLO HTTP/1.1\r\n\r\n", "404"),
            ("GET /v1/ws HTTP/1.1\r\n\r\n", "426"),
            ("GET /v1/fetch HTTP/1.1\r\n\r\n", "401"),
            ("GET /v1/fetch HTTP/1.1\r\nX-Session: nonsense\r\n\r\n", "401"),
            ("POST /v1/NO-SUCH HTTP/1.1\r\n\r\n", "501"),
            ("POST /v1/HELLO HTTP/1.1\r\nContent-Length: 1\r\n\r\n{", "400"),
            ("POST /v1/HELLO HTTP/1.1\r\nContent-Type: a/b; charset=koi8-r\r\n\r\n", "400"),
            ("OPTIONS /v1/HELLO HTTP/1.1\r\n\r\n", "405"),
            ("OPTIONS /v1/HELLO HTTP/1.1\r\nOrigin: http://x.test\r\n\r\n", "403"),
        ] {
            assert_eq!(status(&mut client, request).await, expected, "{request}");
        }
        assert!(stage.is_asked_nothing());
        // All of that on one connection; this ends it.
        assert_eq!(status(&mut client, "GET / HTTP/1.0\r\n\r\n").await, "200");
        assert_eq!(rest(&mut client).await, "");
    })
    .unwrap();
}

#[test]
fn a_request_is_asked_and_its_answer_is_the_response() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    visit(&stage, async |mut client| {
        let request = format!(
            "POST /v2/CONTACTS-GET HTTP/1.1\r\nx-session: {}\r\nContent-Length: 2\r\n\r\n{{}}\
             POST /v9/HELLO HTTP/1.0\r\n\r\n",
            id.to_hex().to_uppercase()
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let question = stage.question().await;
        assert_eq!((question.ask.who, question.ask.layer), (Some(id), 2));
        // A POST moves nothing: the seat stays with whoever holds it.
        let elsewhere = Holder::new();
        seat.hold(elsewhere, std::task::Waker::noop());
        let refusal = Refusal::TooManyRequests { retry_after: 9 };
        question.answer(Err(refusal), Some((id, seat.clone())), 1).await;
        let (head, body) = response(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        assert!(head.contains("\r\nX-Type: CONTACTS-GET\r\n"), "{head}");
        assert!(head.contains("\r\nRetry-After: 9\r\n"), "{head}");
        assert!(body.contains("\"too-many-requests\""), "{body}");
        assert!(seat.take(elsewhere).is_none());

        let question = stage.question().await;
        assert_eq!((question.ask.who, question.ask.layer), (None, crate::wire::msim2::LAYER_MAX));
        question.answer(Ok(Reply::Done), None, 2).await;
        let text = rest(&mut client).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\n"), "{text}");
    })
    .unwrap();
}

#[test]
fn a_fetch_waits_for_the_next_update() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    post(&seat, 1, "waiting");
    visit(&stage, async |mut client| {
        client.write_all(&get("/v2/fetch", id)).await.unwrap();
        let (head, body) = response(&mut client).await;
        assert!(head.contains("\r\nX-Type: CONTACT-DELETED\r\n"), "{head}");
        assert!(body.contains("waiting"), "{body}");
        assert_eq!(seat.layer(), 2);
        client.write_all(&get("/v2/fetch", id)).await.unwrap();
        post(&seat, 2, "new");
        assert!(response(&mut client).await.1.contains("new"));
        // Between polls it waits in the mailbox, and what the layer has no word for is dropped.
        post(&seat, 3, "dropped");
        let fetches = [get("/v1/fetch", id), get("/v3/fetch", id)].concat();
        client.write_all(&fetches).await.unwrap();
        overflow(&seat);
        let (head, body) = response(&mut client).await;
        assert!(head.contains("\r\nX-Type: RESYNC\r\n"), "{head}");
        assert_eq!(body, r#"{"last_message_id":40}"#);
        post(&seat, 101, "after");
        assert!(response(&mut client).await.1.contains("after"));
        // A session that ends is told so.
        client.write_all(&get("/v3/fetch", id)).await.unwrap();
        seat.end();
        assert!(response(&mut client).await.0.starts_with("HTTP/1.1 401 "));
    })
    .unwrap();
}

#[test]
fn a_fetch_ends_empty_when_nothing_happens_or_another_takes_over() {
    let stage = Stage::new(Patience { hold: SHORT, ..PATIENT });
    let (id, _) = stage.session(1);
    visit(&stage, async |mut client| {
        client.write_all(&get("/v3/fetch", id)).await.unwrap();
        let (head, _) = response(&mut client).await;
        assert_eq!(head, "HTTP/1.1 204 No Content\r\n\r\n");
    })
    .unwrap();
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    visit(&stage, async |mut client| {
        client.write_all(&get("/v3/fetch", id)).await.unwrap();
        parked(&seat, 3).await;
        seat.hold(Holder::new(), std::task::Waker::noop());
        assert_eq!(response(&mut client).await.0, "HTTP/1.1 204 No Content\r\n\r\n");
    })
    .unwrap();
}

#[test]
fn a_fetch_whose_client_has_gone_takes_nothing() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    play(async {
        let (server, mut client) = pair();
        client.write_all(&get("/v3/fetch", id)).await.unwrap();
        // All is there before anything is read: the request, the end, and the update.
        drop(client);
        post(&seat, 1, "kept");
        serve(&stage.host, stage.guest(), server).await.unwrap();
    });
    let next = Holder::new();
    seat.hold(next, std::task::Waker::noop());
    assert!(matches!(seat.take(next), Some(Mail::Event { order: 1, .. })));
}

#[test]
fn a_parked_fetch_is_answered_when_the_server_stops() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    visit(&stage, async |mut client| {
        client.write_all(&get("/v3/fetch", id)).await.unwrap();
        parked(&seat, 3).await;
        stage.guests.send_away();
        let text = rest(&mut client).await;
        assert_eq!(text, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    })
    .unwrap();
    assert!(stage.guests.wait_empty(Duration::ZERO));
}

#[test]
fn pages_of_named_origins_may_ask() {
    let stage = Stage::with(PATIENT, |config| {
        config.http.origins = vec!["http://a.test".into(), "https://b.test".into()];
    });
    visit(&stage, async |mut client| {
        let preflight = "OPTIONS /v1/HELLO HTTP/1.1\r\nOrigin: https://b.test\r\n\r\n";
        client.write_all(preflight.as_bytes()).await.unwrap();
        let (head, _) = response(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
        assert!(head.contains("\r\nAccess-Control-Allow-Origin: https://b.test\r\n"), "{head}");
        let ask = "POST /v1/NONE HTTP/1.1\r\nOrigin: https://b.test\r\n\r\n";
        client.write_all(ask.as_bytes()).await.unwrap();
        let (head, _) = response(&mut client).await;
        assert!(head.contains("\r\nAccess-Control-Allow-Origin: https://b.test\r\n"), "{head}");
        assert!(head.contains("\r\nAccess-Control-Expose-Headers: X-Type, Retry-After\r\n"));
        let other = "POST /v1/NONE HTTP/1.1\r\nOrigin: https://c.test\r\n\r\n";
        client.write_all(other.as_bytes()).await.unwrap();
        assert!(!response(&mut client).await.0.contains("Access-Control"));
    })
    .unwrap();
}

#[test]
fn what_is_no_request_is_answered_and_the_rest_thrown_away() {
    let stage = Stage::new(PATIENT);
    for (request, expected) in [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000)), "431"),
        ("POST /v1/HELLO HTTP/1.1\r\nContent-Length: 70000\r\n\r\nxxx".to_owned(), "413"),
    ] {
        visit(&stage, async |mut client| {
            client.write_all(request.as_bytes()).await.unwrap();
            client.write_all(&[b'x'; 20_000]).await.unwrap();
            let text = rest(&mut client).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {expected} ")), "{text}");
            assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        })
        .unwrap();
    }
}

#[test]
fn a_client_that_waits_for_100_hears_it() {
    let stage = Stage::new(PATIENT);
    visit(&stage, async |mut client| {
        let head = "POST /v1/NONE HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        expect(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(status(&mut client, "{}").await, "501");
    })
    .unwrap();
}

#[test]
fn unfinished_and_idle_connections_are_not_waited_for_long() {
    let stage = Stage::new(Patience { unfinished: SHORT, ..PATIENT });
    visit(&stage, async |mut client| {
        client.write_all(b"POST /v1/HELLO HTTP/1.1\r\nContent-Length: 9\r\n\r\n{").await.unwrap();
        assert_eq!(rest(&mut client).await, "");
    })
    .unwrap();
    let stage = Stage::new(Patience { nameless: SHORT, ..PATIENT });
    visit(&stage, async |mut client| {
        assert_eq!(status(&mut client, "GET / HTTP/1.1\r\n\r\n").await, "200");
        assert_eq!(rest(&mut client).await, "");
    })
    .unwrap();
}

#[test]
fn an_upgrade_becomes_a_web_socket_for_the_named_session() {
    let stage = Stage::new(PATIENT);
    let (id, seat) = stage.session(1);
    post(&seat, 1, "waiting");
    visit(&stage, async |mut client| {
        let upgrade = format!(
            "GET /v3/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Session: {}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            id.to_hex()
        );
        // The first frame comes with the upgrade: a masked ping (RFC 6455 §5.5.2).
        let ping = [0x89, 0x82, 0, 0, 0, 0, b'h', b'i'];
        client.write_all(&[upgrade.as_bytes(), &ping].concat()).await.unwrap();
        let (head, _) = response(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        let mut pong = [0; 4];
        client.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0x8A, 2, b'h', b'i']);
        let mut start = [0; 2];
        client.read_exact(&mut start).await.unwrap();
        assert_eq!(start[0], 0x81, "a text frame follows");
        let carriers = &stage.host.metrics;
        assert_eq!(carriers.connections(Carrier::WebSocket).get(), 1);
        assert!(seat.layer() == 3);
        assert_eq!(start[1], 126, "two bytes of length follow");
        client.read_exact(&mut start).await.unwrap();
        let length = usize::from(u16::from_be_bytes(start));
        client.read_exact(&mut vec![0; length]).await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_connection_and_its_parked_fetch_are_small() {
    let stage = Stage::new(PATIENT);
    let (server, _client) = pair();
    let size = std::mem::size_of_val(&super::visit(&stage.host, stage.guest(), server));
    assert!(size <= 368, "{size} bytes");
    let (stream, _client) = pair();
    let mut visit = Visit::new(&stage.host, stage.guest(), stream);
    let asked = Asked { manner: Manner::LAST, origin: None };
    let size = std::mem::size_of_val(&visit.fetch(Box::new((3, None)), asked));
    assert!(size <= 192, "{size} bytes");
}

#[test]
fn without_memory_for_a_large_request_its_connection_ends() {
    let mut stage = Stage::new(PATIENT);
    stage.leave_memory(50_000);
    visit(&stage, async |mut client| {
        let request = "POST /v1/NONE HTTP/1.1\r\nContent-Length: 60000\r\n\r\n";
        let request = [request.as_bytes(), &[b' '; 55_000]].concat();
        assert!(client.write_all(&request).await.is_err() || rest_of(&mut client).await.is_empty());
    })
    .ok();
    visit(&stage, async |mut client| {
        assert_eq!(status(&mut client, "POST /v1/NONE HTTP/1.1\r\n\r\n").await, "501");
    })
    .unwrap();
}
