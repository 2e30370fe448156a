//! HTTP/1.1 as a codec: heads by httparse, bodies by our own framing (RFC 9112).
