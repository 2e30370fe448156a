//! mSIM 2.0 over HTTP: which request is which packet, and how packets and errors are responses.
//!
//! Our reading: `X-Session` may hold anything; what is no session is an unknown one. The parts of
//! an upgrade to WebSocket are looked for in this order: `Upgrade` and version 13 (426), then the
//! key (400). Errors that have no packet type have no `X-Type`.

use super::refusal::{self, Wrong};
use super::{Packet, Type, named_session};
use crate::domain::id::SessionId;
use crate::domain::words::Refusal;
use crate::wire::http::{Bad, Fault, Manner, Method, Request, Response};

const JSON: &str = "application/json; charset=utf-8";

pub const NO_SUCH_PATH: Wrong =
    Wrong { status: 404, reason: "no-such-path", message: "there is nothing at that path" };
pub const METHOD_NOT_ALLOWED: Wrong = Wrong {
    status: 405,
    reason: "method-not-allowed",
    message: "that path has another method, see Allow",
};
pub const HEAD_TOO_LARGE: Wrong = Wrong {
    status: 431,
    reason: "head-too-large",
    message: "the request line or the headers are larger than this server accepts",
};
pub const UPGRADE_REQUIRED: Wrong = Wrong {
    status: 426,
    reason: "upgrade-required",
    message: "that path speaks WebSocket, version 13",
};
pub const ORIGIN_NOT_ALLOWED: Wrong = Wrong {
    status: 403,
    reason: "origin-not-allowed",
    message: "pages of that origin are not allowed to use this server",
};

/// What a path of mSIM 2.0 is for. Its layer is at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// `POST /v<layer>/<TYPE>`
    Packet { layer: u32, kind: Type },
    /// `GET /v<layer>/fetch`
    Fetch { layer: u32 },
    /// `GET /v<layer>/ws`
    Socket { layer: u32 },
}

impl Door {
    /// `None`: the path is not mSIM 2.0's.
    pub fn at(path: &str) -> Option<Door> {
        let (layer, name) = path.strip_prefix("/v")?.split_once('/')?;
        let plain = layer.bytes().all(|b| b.is_ascii_digit()) && !layer.starts_with('0');
        let layer = layer.parse().ok().filter(|_| plain)?;
        match name {
            "fetch" => Some(Door::Fetch { layer }),
            "ws" => Some(Door::Socket { layer }),
            _ => Type::parse(name.as_bytes()).map(|kind| Door::Packet { layer, kind }),
        }
    }

    pub fn method(&self) -> Method {
        match self {
            Door::Packet { .. } => Method::Post,
            Door::Fetch { .. } | Door::Socket { .. } => Method::Get,
        }
    }

    /// The value of `Allow`.
    pub fn allowed(&self) -> &'static str {
        match self {
            Door::Packet { .. } => "POST",
            Door::Fetch { .. } | Door::Socket { .. } => "GET",
        }
    }
}

/// The session that a request is for.
pub fn session(request: &Request) -> Option<SessionId> {
    request.field("x-session").and_then(|text| named_session(&text))
}

/// Whether the body may be read as UTF-8; `Content-Type` says nothing else.
pub fn is_utf8(request: &Request) -> bool {
    let Some(kind) = request.field("content-type") else { return true };
    kind.split(';').skip(1).all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || ["utf-8", "utf8"].iter().any(|name| value.eq_ignore_ascii_case(name))
    })
}

/// What a WebSocket's client must be given back; RFC 6455 §4.2.1.
pub fn accept(request: &Request) -> Result<String, Wrong> {
    let version = request.field("sec-websocket-version");
    if !request.lists("upgrade", "websocket")
        || !request.lists("connection", "upgrade")
        || version.as_deref() != Some("13")
    {
        return Err(UPGRADE_REQUIRED);
    }
    // 16 bytes in base64.
    let is_key = |key: &str| {
        key.len() == 24
            && key.ends_with("==")
            && key[..22].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    };
    match request.field("sec-websocket-key") {
        Some(key) if is_key(&key) => Ok(super::ws::accept_key(&key)),
        Some(_) | None => Err(refusal::MALFORMED),
    }
}

/// Writes responses to one request.
#[derive(Debug)]
pub struct Voice<'a> {
    pub manner: Manner,
    /// The page's origin, where it is one of the configuration's (CORS, decision 10).
    pub origin: Option<&'a str>,
    pub out: &'a mut Vec<u8>,
}

impl<'a> Voice<'a> {
    /// An answer or an update. `refused`: why, where it is.
    pub fn packet(self, packet: &Packet, refused: Option<Refusal>) {
        let mut response = self.start(packet.status).field("X-Type", packet.kind.as_str());
        if let Some(seconds) = refused.and_then(refusal::retry_after) {
            response = response.field("Retry-After", &seconds.to_string());
        }
        response.body(JSON, &packet.body);
    }

    /// Nothing has happened, or somebody else hears it.
    pub fn nothing(self) {
        self.start(204).end();
    }

    /// An error that is no packet's. `detail`: what exactly.
    pub fn wrong(self, wrong: &Wrong, detail: Option<&str>) {
        self.start(wrong.status).body(JSON, &wrong.body(detail, None));
    }

    /// An error of a packet that was not even looked at.
    pub fn wrong_packet(self, kind: &Type, wrong: &Wrong, detail: &str) {
        let response = self.start(wrong.status).field("X-Type", kind.as_str());
        response.body(JSON, &wrong.body(Some(detail), None));
    }

    /// The stream's last response.
    pub fn bad(self, bad: Bad) {
        let wrong = match bad.fault {
            Fault::Malformed => refusal::MALFORMED,
            Fault::HeadTooLarge => HEAD_TOO_LARGE,
            Fault::BodyTooLarge => refusal::PACKET_TOO_LARGE,
        };
        self.wrong(&wrong, Some(bad.why));
    }

    pub fn wrong_method(self, allowed: &str) {
        let body = METHOD_NOT_ALLOWED.body(None, None);
        self.start(METHOD_NOT_ALLOWED.status).field("Allow", allowed).body(JSON, &body);
    }

    /// Why there is no WebSocket.
    pub fn no_upgrade(self, wrong: &Wrong) {
        let mut response = self.start(wrong.status);
        if wrong.status == UPGRADE_REQUIRED.status {
            response = response
                .field("Connection", "Upgrade")
                .field("Upgrade", "websocket")
                .field("Sec-WebSocket-Version", "13");
        }
        response.body(JSON, &wrong.body(None, None));
    }

    pub fn upgraded(self, accept: &str) {
        Response::write(101, self.manner, self.out).upgrade(accept);
    }

    /// What a browser asks before a page of another origin may ask anything.
    pub fn preflight(self) {
        if self.origin.is_none() {
            return self.wrong(&ORIGIN_NOT_ALLOWED, None);
        }
        self.start(204)
            .field("Access-Control-Allow-Methods", "GET, POST")
            .field("Access-Control-Allow-Headers", "X-Session, Content-Type")
            .field("Access-Control-Max-Age", "86400")
            .end();
    }

    pub fn page(self, html: &str) {
        self.start(200).body("text/html; charset=utf-8", html.as_bytes());
    }

    fn start(self, status: u16) -> Response<'a> {
        let response = Response::write(status, self.manner, self.out);
        match self.origin {
            None => response,
            Some(origin) => response
                .field("Access-Control-Allow-Origin", origin)
                .field("Access-Control-Expose-Headers", "X-Type, Retry-After")
                .field("Vary", "Origin"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Buffer;
    use crate::wire::http::Codec;

    fn request(text: &str) -> Request {
        let mut input = Buffer::default();
        input.extend(text.as_bytes());
        Codec::new(1000).decode(&mut input).unwrap().unwrap()
    }

    fn said(say: impl FnOnce(Voice<'_>), origin: Option<&str>) -> String {
        let mut out = Vec::new();
        let manner = Manner { keep_alive: true, ..Manner::LAST };
        say(Voice { manner, origin, out: &mut out });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_layers_and_types() {
        let kind = |text: &str| Type::parse(text.as_bytes()).unwrap();
        let hello = Door::Packet { layer: 1, kind: kind("HELLO") };
        assert_eq!(Door::at("/v1/HELLO"), Some(hello));
        let other = Door::Packet { layer: u32::MAX, kind: kind("NO-SUCH-1") };
        assert_eq!(Door::at("/v4294967295/NO-SUCH-1"), Some(other));
        assert_eq!(Door::at("/v3/fetch"), Some(Door::Fetch { layer: 3 }));
        assert_eq!(Door::at("/v3/ws"), Some(Door::Socket { layer: 3 }));
        let long = format!("/v1/{}", "A".repeat(65));
        for nothing in [
            "/",
            "",
            "*",
            "/v1",
            "/v1/",
            "/v0/HELLO",
            "/v01/HELLO",
            "/v/HELLO",
            "/v-1/HELLO",
            "/v+1/HELLO",
            "/v4294967296/HELLO",
            "/v1/hello",
            "/v1/HELLO/",
            "/v1//HELLO",
            "v1/HELLO",
            "/v1/FETCH%20",
            "/V1/HELLO",
            "/v1/fetch/",
            "/v1x/HELLO",
            &long,
        ] {
            assert_eq!(Door::at(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn only_another_charset_is_another_charset() {
        let is =
            |kind| is_utf8(&request(&format!("POST / HTTP/1.1\r\nContent-Type: {kind}\r\n\r\n")));
        for good in [
            "application/json",
            "a/b; charset=utf-8",
            "x; y=z; CHARSET=\"UTF-8\"",
            "",
            ";;",
            "x;charset=utf8",
        ] {
            assert!(is(good), "{good}");
        }
        for bad in ["application/json; charset=latin1", "x;charset=", "x; charset = \"utf-16\""] {
            assert!(!is(bad), "{bad}");
        }
        assert!(is_utf8(&request("POST / HTTP/1.1\r\n\r\n")));
    }

    #[test]
    fn an_upgrade_has_its_words_its_version_and_its_key() {
        let ask = |headers: &str| accept(&request(&format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n")));
        let words = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let version = "Sec-WebSocket-Version: 13";
        // RFC 6455 §1.3.
        let good = ask(&format!("{words}\r\n{key}\r\n{version}"));
        assert_eq!(good.as_deref(), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(ask("X: y"), Err(UPGRADE_REQUIRED));
        assert_eq!(ask(&format!("{words}\r\n{key}")), Err(UPGRADE_REQUIRED));
        assert_eq!(
            ask(&format!("{words}\r\n{key}\r\nSec-WebSocket-Version: 8")),
            Err(UPGRADE_REQUIRED)
        );
        assert_eq!(ask(&format!("{words}\r\n{version}")), Err(refusal::MALFORMED));
        let bad = "Sec-WebSocket-Key: \u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}==";
        assert_eq!(ask(&format!("{words}\r\n{version}\r\n{bad}")), Err(refusal::MALFORMED));
    }

    #[test]
    fn a_packet_is_a_response_with_its_type() {
        let kind = Type::parse(b"HELLO").unwrap();
        let packet = Packet {
            layer: 1,
            session: None,
            seq: 0,
            kind,
            status: 200,
            body: b"{}".to_vec().into(),
        };
        assert_eq!(
            said(|voice| voice.packet(&packet, None), None),
            "HTTP/1.1 200 OK\r\nX-Type: HELLO\r\nContent-Length: 2\r\n\
             Content-Type: application/json; charset=utf-8\r\n\r\n{}"
        );
        let refusal = Refusal::TooManyAttempts { retry_after: 7 };
        let text = said(|voice| voice.packet(&packet, Some(refusal)), None);
        assert!(text.contains("\r\nRetry-After: 7\r\n"), "{text}");
        assert_eq!(said(|voice| voice.nothing(), None), "HTTP/1.1 204 No Content\r\n\r\n");
    }

    #[test]
    fn only_pages_of_named_origins_may_read_answers() {
        let text = said(|voice| voice.preflight(), Some("https://chat.test"));
        assert_eq!(
            text,
            "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://chat.test\r\n\
             Access-Control-Expose-Headers: X-Type, Retry-After\r\nVary: Origin\r\n\
             Access-Control-Allow-Methods: GET, POST\r\n\
             Access-Control-Allow-Headers: X-Session, Content-Type\r\n\
             Access-Control-Max-Age: 86400\r\n\r\n"
        );
        let text = said(|voice| voice.preflight(), None);
        assert!(text.starts_with("HTTP/1.1 403 "), "{text}");
        assert!(!text.contains("Access-Control"), "{text}");
    }

    #[test]
    fn errors_without_a_packet_have_a_body_and_no_type() {
        let texts = [
            said(|voice| voice.wrong(&NO_SUCH_PATH, None), None),
            said(|voice| voice.wrong_method("POST"), None),
            said(|voice| voice.no_upgrade(&UPGRADE_REQUIRED), None),
            said(|voice| voice.bad(Bad { fault: Fault::HeadTooLarge, why: "x" }), None),
            said(|voice| voice.bad(Bad { fault: Fault::BodyTooLarge, why: "x" }), None),
        ];
        for (text, status) in texts.iter().zip(["404", "405", "426", "431", "413"]) {
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            assert!(text.contains("\r\n\r\n{\"reason\":\""), "{text}");
            assert!(!text.contains("X-Type"), "{text}");
        }
        assert!(texts[1].contains("\r\nAllow: POST\r\n"));
        assert!(texts[2].contains("\r\nUpgrade: websocket\r\n"));
    }
}
