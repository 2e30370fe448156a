//! The words of Tinode's HTTP that no packet of a session says.

use crate::wire::http::{Manner, Response};

const TEXT: &str = "text/plain";

/// What of a long poll is refused, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrong {
    status: u16,
    text: &'static str,
}

pub(super) const NO_SESSION: Wrong = Wrong { status: 403, text: "Invalid or expired session id" };
pub(super) const TOO_LARGE: Wrong = Wrong { status: 413, text: "message too large" };
pub(super) const TOO_MANY: Wrong = Wrong { status: 429, text: "too many sessions" };
pub(super) const UNAVAILABLE: Wrong = Wrong { status: 503, text: "try again later" };
const NO_KEY: Wrong = Wrong { status: 403, text: "Valid API key is required" };

/// Writes responses to one request.
pub(super) struct Voice<'a> {
    pub(super) manner: Manner,
    pub(super) out: &'a mut Vec<u8>,
}

impl<'a> Voice<'a> {
    /// A packet, or nothing. No line end: clients take the body as it is.
    pub(super) fn packet(self, packet: &[u8]) {
        self.poll(200, packet);
    }

    /// A session's first packet: the one that does have a line end.
    pub(super) fn created(self, mut packet: Vec<u8>) {
        packet.push(b'\n');
        self.poll(201, &packet);
    }

    pub(super) fn wrong(self, wrong: Wrong) {
        self.poll(wrong.status, wrong.body().as_bytes());
    }

    /// Pages of every origin may read answers, but not this one.
    pub(super) fn poll_needs_key(self) {
        let manner = self.manner;
        let response = Response::write(NO_KEY.status, manner, self.out);
        unkept(response, manner).body(TEXT, NO_KEY.body().as_bytes());
    }

    pub(super) fn socket_needs_key(self) {
        let response = Response::write(403, self.manner, self.out);
        response.body(TEXT, b"Missing, invalid or expired API key\n");
    }

    pub(super) fn wrong_method(self) {
        let response = Response::write(405, self.manner, self.out).field("Allow", "GET");
        response.body(TEXT, b"Method not allowed\n");
    }

    pub(super) fn no_upgrade(self) {
        Response::write(400, self.manner, self.out).body(TEXT, b"Bad Request");
    }

    pub(super) fn upgraded(self, accept: &str) {
        Response::write(101, self.manner, self.out).upgrade(accept);
    }

    fn poll(self, status: u16, body: &[u8]) {
        let manner = self.manner;
        let response = Response::write(status, manner, self.out);
        let response = unkept(response.field("Access-Control-Allow-Origin", "*"), manner);
        match body {
            // Its kind goes with every answer.
            [] => response.field("Content-Type", TEXT).body(TEXT, body),
            _ => response.body(TEXT, body),
        }
    }
}

impl Wrong {
    /// As a packet; it has no time, as those of the old server.
    fn body(self) -> String {
        let Wrong { status, text } = self;
        format!(
            "{{\"ctrl\":{{\"code\":{status},\"text\":\"{text}\",\"ts\":\"0001-01-01T00:00:00Z\"}}}}"
        )
    }
}

/// Nobody on the way keeps it for the next one who asks.
fn unkept(response: Response<'_>, manner: Manner) -> Response<'_> {
    let response = match manner.is_1_0 {
        true => response.field("Pragma", "no-cache"),
        false => response.field("Cache-Control", "no-cache, no-store, must-revalidate"),
    };
    response.field("Expires", "0")
}
