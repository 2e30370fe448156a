//! Every bound of the server with its reason. A number that limits anything stands here or is a
//! key of `[limits]` whose default stands here.
//!
//! Times are seconds, sizes bytes, unless the name says otherwise.

use serde::Deserialize;

/// A login after preparation (mSIM 2, layer 1).
pub const LOGIN_BYTES_MAX: usize = 64;
/// A DNS name (RFC 1035 §2.3.4).
pub const HOST_BYTES_MAX: usize = 253;
/// A password after base64 (mSIM 2, layer 1): long enough for any phrase, short enough to hash.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// A cookie: room for any UUID or hash its client likes.
pub const COOKIE_BYTES_MAX: usize = 128;
/// A contact's name, note, and groups.
pub const CONTACT_NAME_BYTES_MAX: usize = 256;
pub const CONTACT_NOTE_BYTES_MAX: usize = 1024;
pub const CONTACT_GROUPS_MAX: usize = 8;
pub const CONTACT_GROUP_BYTES_MAX: usize = 64;
/// A packet's type (mSIM 2, TCP frame).
pub const TYPE_BYTES_MAX: usize = 64;
/// How deep JSON may nest: packets use three levels, free JSON of other protocols some more.
pub const JSON_DEPTH_MAX: usize = 32;
/// Messages in one answer; also the count where a packet names none.
pub const HISTORY_COUNT_MAX: u32 = 500;
/// Unread messages in one answer: clients are told not to ask where there are more.
pub const UNREAD_COUNT_MAX: u32 = 200;
/// Chats in one answer.
pub const CHATS_COUNT_MAX: u32 = 500;
/// A history page up to this long is read where it is asked for; a longer one on the blocking
/// pool, so that a cold card never stalls the carriers for long.
pub const SHORT_READ_COUNT: u32 = 100;
/// An answer's body ends with the record that passes this; clients accept twice as much.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Sessions on one multiplexed connection.
pub const SEATS_PER_CONNECTION_MAX: usize = 64;
/// The request line, and all headers together, of an HTTP request.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;
pub const HTTP_HEADERS_MAX: usize = 64;
/// What is still read and thrown away after the last packet of a broken connection, so that the
/// kernel does not answer unread bytes with a reset that destroys that packet on its way.
pub const LINGER_BYTES_MAX: usize = 64 * 1024;
pub const LINGER_SECS: u64 = 1;
/// An unfinished frame, request, line or TLS handshake.
pub const UNFINISHED_SECS: u64 = 30;
/// A connection that never named a session.
pub const NAMELESS_SECS: u64 = 60;
/// A peer that takes nothing of what is written to it.
pub const STUCK_WRITE_SECS: u64 = 30;
/// WebSocket: a ping this often, closed without a pong for twice as long.
pub const PING_SECS: u64 = 30;
/// Commands in one turn of the engine: past this a batch saves nothing more and only adds delay.
pub const BATCH_COMMANDS_MAX: usize = 1024;
/// Bytes of text in one turn: what one commit writes stays small enough to finish promptly.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Commands that wait for the engine; a carrier with one more waits itself.
pub const INBOX_COMMANDS_MAX: usize = 2048;
/// How many of a chat's last messages answer a repeated cookie (mSIM 2, layer 3: at least 1,000).
pub const COOKIE_WINDOW: u32 = 1000;
/// Ids are reserved in `meta` so many at a time; a crash skips the rest of the block.
pub const ID_BLOCK: u64 = 65_536;
/// Ids are JSON numbers: beyond this a double is no longer exact.
pub const ID_MAX: u64 = 1 << 53;
/// Marks are on the disk after at most this (mSIM 2, decision 3).
pub const MARK_FLUSH_SECS: u64 = 2;
/// The idle seal: an empty commit that makes the next start quick.
pub const SEAL_IDLE_SECS: u64 = 10;
pub const SEAL_EVERY_SECS: u64 = 300;
/// Failed commits in a row after which the process ends and leaves it to the service manager.
pub const REOPEN_MAX: u32 = 3;
/// Deleted to make room for a deletion: freeing pages needs pages.
pub const BALLAST_BYTES: u64 = 8 << 20;
/// A drain on SIGTERM takes at most this.
pub const DRAIN_SECS: u64 = 5;
/// After so many failures of one (account, address) within the window, delays begin.
pub const LOGIN_FREE_FAILURES: u32 = 5;
/// The same for one address over all accounts.
pub const LOGIN_FREE_FAILURES_ADDRESS: u32 = 50;
pub const LOGIN_WINDOW_SECS: u64 = 600;
pub const LOGIN_DELAY_MAX_SECS: u32 = 60;
/// (account, address) pairs remembered for the above; the oldest are forgotten first.
pub const LOGIN_FAILURES_KEPT: usize = 4096;
/// Addresses and accounts whose request rate is remembered.
pub const RATES_KEPT: usize = 4096;

/// The limits that a configuration may change: the `[limits]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Seconds a long poll is held: below the 30 s after which proxies lose patience.
    pub fetch_hold: u64,
    /// Updates that wait for a session.
    pub mailbox: usize,
    /// Their bytes.
    pub mailbox_bytes: usize,
    /// Seconds without use after which a waiting mailbox is dropped.
    pub mailbox_ttl: u64,
    /// "on" or "off": requests per second of one account and of one address.
    pub rate: Switch,
    /// Requests per second that an account, or an address without one, may keep up.
    pub rate_per_second: u32,
    /// Requests above that which it may save up.
    pub rate_burst: u32,
    /// "on" or "off": delays after failed logins.
    pub login_delay: Switch,
    /// A packet's body.
    pub max_packet_bytes: usize,
    /// A message's text.
    pub max_text_bytes: usize,
    /// Open connections in all; 0: derived from `memory`.
    pub connections: usize,
    /// Open connections of one address (loopback excepted).
    pub connections_per_address: usize,
    /// Sessions of one account.
    pub sessions_per_account: u32,
    /// Days without use after which a session ends.
    pub session_ttl: u64,
    /// Contacts of one account.
    pub contacts: usize,
    /// Passwords hashed at once: each takes `password.memory_kib`.
    pub auth_concurrency: usize,
    /// Passwords that wait for their turn; one more is told to come back.
    pub auth_waiting: usize,
    /// Bytes of free space that must stay; below it nothing is stored.
    pub free_space: u64,
    /// Days that an invitation is good for.
    pub invite_ttl: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            fetch_hold: 25,
            mailbox: 256,
            mailbox_bytes: 256 * 1024,
            mailbox_ttl: 600,
            rate: Switch::On,
            rate_per_second: 50,
            rate_burst: 200,
            login_delay: Switch::On,
            max_packet_bytes: 65_536,
            max_text_bytes: 16_384,
            connections: 0,
            connections_per_address: 256,
            sessions_per_account: 64,
            session_ttl: 365,
            contacts: 5000,
            auth_concurrency: 1,
            auth_waiting: 64,
            free_space: 64 << 20,
            invite_ttl: 7,
        }
    }
}

/// `"on"` or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    On,
    Off,
}

const _: () = assert!(MARK_FLUSH_SECS < SEAL_IDLE_SECS);
const _: () = assert!(SHORT_READ_COUNT <= HISTORY_COUNT_MAX);
const _: () = assert!(INBOX_COMMANDS_MAX >= BATCH_COMMANDS_MAX);
const _: () = assert!(BATCH_COMMANDS_MAX as u64 <= ID_BLOCK);
