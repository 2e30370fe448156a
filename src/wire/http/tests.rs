use super::*;

const BODY_MAX: usize = 100;

/// All requests of a stream, or what is wrong with it after so many.
fn decode(bytes: &[u8], step: usize) -> (Vec<Request>, Option<Bad>) {
    let mut codec = Codec::new(BODY_MAX);
    let mut input = Buffer::default();
    let mut requests = Vec::new();
    for part in bytes.chunks(step) {
        input.extend(part);
        loop {
            match codec.decode(&mut input) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(bad) => return (requests, Some(bad)),
            }
        }
    }
    (requests, None)
}

/// The same, whole and byte by byte, with the same result.
fn both(bytes: impl AsRef<[u8]>) -> (Vec<Request>, Option<Bad>) {
    let bytes = bytes.as_ref();
    let (whole, bad) = decode(bytes, bytes.len().max(1));
    let (pieces, bad_piece) = decode(bytes, 1);
    let shown = |requests: &[Request]| {
        requests.iter().map(|r| (r.method, r.path.clone(), r.body.clone())).collect::<Vec<_>>()
    };
    assert_eq!(shown(&whole), shown(&pieces), "{}", String::from_utf8_lossy(bytes));
    assert_eq!(bad, bad_piece, "{}", String::from_utf8_lossy(bytes));
    (whole, bad)
}

#[track_caller]
fn one(bytes: impl AsRef<[u8]>) -> Request {
    let (mut requests, bad) = both(bytes);
    assert_eq!((requests.len(), bad), (1, None));
    requests.remove(0)
}

#[track_caller]
fn fault(bytes: impl AsRef<[u8]>) -> Fault {
    let (requests, bad) = both(&bytes);
    assert!(requests.is_empty(), "{}", String::from_utf8_lossy(bytes.as_ref()));
    bad.unwrap_or_else(|| panic!("waits: {}", String::from_utf8_lossy(bytes.as_ref()))).fault
}

#[test]
fn a_request_is_read_with_its_length_its_chunks_or_without_either() {
    let r = one("POST /v1/HELLO?x=1 HTTP/1.1\r\nhost: x\r\ncontent-LENGTH: 2\r\n\r\n{}");
    assert_eq!((r.method, &*r.path, &*r.body), (Method::Post, "/v1/HELLO", &b"{}"[..]));
    assert_eq!(&*r.query, "x=1");
    let r = one("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
         3\r\nabc\r\n0A ;x=\"y\"\r\n0123456789\r\n000\r\nTrailer: ignored\r\n\r\n");
    assert_eq!(&*r.body, b"abc0123456789");
    let r = one("POST /v1/HELLO HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(r.body.is_empty());
    let r = one("\r\n\r\nGET http://im.test:80/v1/fetch?q#f HTTP/1.1\r\n\r\n");
    assert_eq!((&*r.path, &*r.query), ("/v1/fetch", "q"));
    let r = one("GET /a#b?c HTTP/1.1\r\n\r\n");
    assert_eq!((&*r.path, &*r.query), ("/a", ""));
    let r = one("GET /a?b?c=%3F&sid=secret HTTP/1.1\r\n\r\n");
    assert_eq!((&*r.path, &*r.query), ("/a", "b?c=%3F&sid=secret"));
    assert!(!format!("{r:?}").contains("secret"));
    assert_eq!(&*one("OPTIONS * HTTP/1.1\r\n\r\n").path, "*");
    assert_eq!(&*one("GET HTTP://im.test HTTP/1.1\r\n\r\n").path, "/");
}

#[test]
fn requests_in_a_row_come_one_after_the_other() {
    let (requests, bad) = both(
        "POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nA\
         POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nB\r\n0\r\n\r\n\r\n\
         GET /c HTTP/1.1\r\n\r\nGET /d HTTP/9\r\n\r\n",
    );
    let seen: Vec<_> = requests.iter().map(|r| (&*r.path, &*r.body)).collect();
    assert_eq!(seen, [("/a", &b"A"[..]), ("/b", b"B"), ("/c", b"")]);
    assert_eq!(bad.map(|b| b.fault), Some(Fault::Malformed));
}

#[test]
fn where_a_request_ends_is_not_a_matter_of_opinion() {
    let post = |headers: &str| format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n");
    let chunked = |body: &str| format!("{}{body}", post("Transfer-Encoding: chunked"));
    for bad in [
        // Two ways to find the end.
        post("Content-Length: 3\r\nTransfer-Encoding: chunked") + "0\r\n\r\n",
        post("Transfer-Encoding: chunked\r\nContent-Length: 3") + "0\r\n\r\n",
        post("Content-Length: 1\r\nContent-Length: 2") + "ab",
        // Lengths that only some would read.
        post("Content-Length: 1, 1") + "a",
        post("Content-Length: +1") + "a",
        post("Content-Length: -1") + "a",
        post("Content-Length: 0x1") + "a",
        post("Content-Length: 1 1") + "a",
        post("Content-Length: 1.0") + "a",
        post("Content-Length: ") + "a",
        post("Content-Length: \u{664}") + "a",
        // Codings that only some would understand.
        post("Transfer-Encoding: identity"),
        post("Transfer-Encoding: gzip, chunked"),
        post("Transfer-Encoding: chunked, chunked"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        post("Transfer-Encoding: \"chunked\""),
        post("Transfer-Encoding: \u{b}chunked"),
        post("Transfer-Encoding: xchunked"),
        post("Transfer-Encoding:"),
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        // Headers that only some would see.
        post("Content-Length : 1") + "a",
        post("X: a\r\n Content-Length: 1") + "a",
        post("X: a\r\n\tContent-Length: 1") + "a",
        post(" Content-Length: 1") + "a",
        post("X: a\nContent-Length: 1") + "a",
        post("X: a\rContent-Length: 1") + "a",
        post("X: a\0b"),
        post("X\0: a"),
        post("X Y: a"),
        post(": a"),
        post("no colon"),
        // Chunks.
        chunked("1\nA\r\n0\r\n\r\n"),
        chunked("1\r\nAB\r\n0\r\n\r\n"),
        chunked("1\r\nA\n0\r\n\r\n"),
        chunked("+1\r\nA\r\n0\r\n\r\n"),
        chunked("-1\r\nA\r\n0\r\n\r\n"),
        chunked("0x1\r\nA\r\n0\r\n\r\n"),
        chunked(" 1\r\nA\r\n0\r\n\r\n"),
        chunked("1 \r\nA\r\n0\r\n\r\n"),
        chunked("1 1\r\nA\r\n0\r\n\r\n"),
        chunked("g\r\nA\r\n0\r\n\r\n"),
        chunked("\r\nA\r\n0\r\n\r\n"),
        chunked(";x\r\nA\r\n0\r\n\r\n"),
        chunked("1;\u{1}\r\nA\r\n0\r\n\r\n"),
        chunked(&format!("1;{}\r\nA\r\n0\r\n\r\n", "x".repeat(300))),
        chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(2000))),
        // Request lines.
        "GET / HTTP/1.1\nHost: x\r\n\r\n".into(),
        "GET  / HTTP/1.1\r\n\r\n".into(),
        "GET / x HTTP/1.1\r\n\r\n".into(),
        "GET /\r\n\r\n".into(),
        "GET / HTTP/2.0\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "GET\0/ HTTP/1.1\r\n\r\n".into(),
        " GET / HTTP/1.1\r\n\r\n".into(),
        "\u{16}\u{3}\u{1} hello\r\n\r\n".into(),
    ] {
        assert_eq!(fault(&bad), Fault::Malformed, "{bad:?}");
    }
    // Said twice and the same is said once (RFC 9110 §8.6).
    assert_eq!(&*one(post("Content-Length: 1\r\nContent-Length: 1") + "a").body, b"a");
    assert_eq!(&*one(post("Content-Length: 0001") + "a").body, b"a");
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let post = |headers: &str| format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n");
    let huge = "9".repeat(40);
    for bad in [
        post("Content-Length: 101"),
        post(&format!("Content-Length: {huge}")),
        post("Transfer-Encoding: chunked") + "65\r\n",
        post("Transfer-Encoding: chunked") + "fffffffffffffffff\r\n",
        post("Transfer-Encoding: chunked") + "64\r\n" + &"x".repeat(100) + "\r\n1\r\n",
    ] {
        assert_eq!(fault(&bad), Fault::BodyTooLarge, "{bad}");
    }
    assert_eq!(one(post("Content-Length: 100") + &"x".repeat(100)).body.len(), 100);
}

#[test]
fn heads_have_8_kib_for_the_line_and_8_kib_for_the_headers() {
    let line = |n: usize| {
        let target = "x".repeat(n - "GET / HTTP/1.1".len());
        format!("GET /{target} HTTP/1.1\r\n")
    };
    let header = |n: usize| format!("A: {}\r\n", "x".repeat(n - "A: \r\n".len()));
    one(line(8192) + "\r\n");
    assert_eq!(fault(line(8193)), Fault::HeadTooLarge);
    one(line(8192) + &header(8192) + "\r\n");
    assert_eq!(fault(line(20) + &header(8193) + "\r\n"), Fault::HeadTooLarge);
    // Also when no end is in sight.
    assert_eq!(fault("x".repeat(8195)), Fault::HeadTooLarge);
    assert_eq!(fault(line(20) + &"x".repeat(8195)), Fault::HeadTooLarge);
    one(line(20) + &"A: b\r\n".repeat(64) + "\r\n");
    assert_eq!(fault(line(20) + &"A: b\r\n".repeat(65) + "\r\n"), Fault::HeadTooLarge);
}

#[test]
fn a_connection_is_kept_as_its_version_says() {
    let keeps = |version, header| {
        one(format!("GET / HTTP/{version}\r\n{header}\r\n\r\n")).manner.keep_alive
    };
    assert!(keeps("1.1", "A: b"));
    assert!(!keeps("1.1", "CONNECTION: Close"));
    assert!(!keeps("1.1", "Connection: upgrade, close"));
    assert!(!keeps("1.0", "A: b"));
    assert!(keeps("1.0", "Connection: Keep-Alive"));
    assert!(!keeps("1.0", "Connection: keep-alive, close"));
}

#[test]
fn a_client_that_waits_for_100_is_told_once() {
    let mut codec = Codec::new(BODY_MAX);
    let mut input = Buffer::default();
    input.extend(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
    assert!(matches!(codec.decode(&mut input), Ok(None)));
    assert!(codec.is_unfinished(&input));
    assert!(codec.takes_continue());
    assert!(!codec.takes_continue());
    input.extend(b"{}");
    assert!(matches!(codec.decode(&mut input), Ok(Some(r)) if r.body == b"{}"));
    assert!(!codec.is_unfinished(&input));
    // HTTP/1.0 has no such thing.
    input.extend(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(matches!(codec.decode(&mut input), Ok(None)));
    assert!(!codec.takes_continue());
}

#[test]
fn headers_are_found_in_any_case_and_joined() {
    let r =
        one("GET / HTTP/1.1\r\nX-session:  ab \r\nX-SESSION: cd\r\nEmpty:\r\nB: \u{e9}\r\n\r\n");
    assert_eq!(r.field("x-session").as_deref(), Some("ab, cd"));
    assert_eq!(r.field("EMPTY").as_deref(), Some(""));
    assert_eq!(r.field("b").as_deref(), Some("\u{e9}"));
    assert_eq!(r.field("absent"), None);
    assert!(!format!("{r:?}").contains("ab"), "headers are secrets");
}

#[test]
fn responses_say_how_long_they_are_unless_they_cannot_have_a_body() {
    let write = |status, manner| {
        let mut out = Vec::new();
        let response = Response::write(status, manner, &mut out).field("X-Type", "HELLO");
        match status {
            204 => response.end(),
            _ => response.body("application/json", b"{}"),
        }
        String::from_utf8(out).unwrap()
    };
    let keep = Manner { keep_alive: true, ..Manner::LAST };
    assert_eq!(
        write(200, keep),
        "HTTP/1.1 200 OK\r\nX-Type: HELLO\r\nContent-Length: 2\r\n\
         Content-Type: application/json\r\n\r\n{}"
    );
    assert_eq!(
        write(204, Manner::LAST),
        "HTTP/1.1 204 No Content\r\nConnection: close\r\nX-Type: HELLO\r\n\r\n"
    );
    let old = write(200, Manner { is_1_0: true, ..keep });
    assert!(old.contains("\r\nConnection: keep-alive\r\n"), "{old}");
    let head = write(200, Manner { without_body: true, ..keep });
    assert!(head.contains("Content-Length: 2\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn noise_is_the_same_whole_and_in_pieces_and_never_panics() {
    let seeds: [&[u8]; 3] = [
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n",
        b"GET /v1/fetch HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    const PIECES: &[&[u8]] =
        &[b"\r\n", b"\n", b"\r", b":", b" ", b"0", b"Content-Length: 3\r\n", b"\0", b"\xff", b";"];
    for _ in 0..3000 {
        let mut bytes = seeds[random(seeds.len())].to_vec();
        for _ in 0..1 + random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = random(256) as u8,
                1 => bytes.truncate(at.max(1)),
                _ => drop(bytes.splice(at..at, PIECES[random(PIECES.len())].iter().copied())),
            }
        }
        both(&bytes);
    }
}
