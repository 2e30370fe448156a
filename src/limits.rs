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
/// App passwords of one account: a challenge is tried against every one, and as often where there
/// are fewer.
pub const APP_PASSWORDS_MAX: usize = 16;
/// What its owner calls one.
pub const APP_PASSWORD_NAME_BYTES_MAX: usize = 64;
/// A contact's name, note, and groups.
pub const CONTACT_NAME_BYTES_MAX: usize = 256;
pub const CONTACT_NOTE_BYTES_MAX: usize = 1024;
pub const CONTACT_GROUPS_MAX: usize = 8;
pub const CONTACT_GROUP_BYTES_MAX: usize = 64;
/// What somebody who asks to be a contact may say with it.
pub const REQUEST_NOTE_BYTES_MAX: usize = 256;
/// Requests that wait for one account's answer: strangers fill nobody's list.
pub const REQUESTS_MAX: usize = 100;
/// A profile's name, short name and full name; what people call themselves.
pub const PROFILE_NAME_BYTES_MAX: usize = 256;
pub const PROFILE_NOTE_BYTES_MAX: usize = 1024;
/// A link of a profile: as long as browsers take without a murmur.
pub const PROFILE_LINK_BYTES_MAX: usize = 1024;
/// A change of a profile counts as so many requests: every account is asked whether it has its author
/// in its contacts. With the usual rate that is eight at once, and then two a second.
pub const PROFILE_UPDATE_WEIGHT: u32 = 25;
pub const PROFILE_GALLERY_MAX: usize = 16;
pub const PROFILE_CONTACTS_MAX: usize = 16;
/// The name of a group, a channel or a space.
pub const CHAT_NAME_BYTES_MAX: usize = 256;
pub const CHAT_ABOUT_BYTES_MAX: usize = 1024;
/// Chats of one space, its general chat among them.
pub const SPACE_CHATS_MAX: usize = 128;
/// Parts that are counted for the spaces of one answer, which ends with the space that passes this:
/// one at its limits has twice as many, and takes as long as a long page of history.
pub const SPACES_PARTS_MAX: usize = 64 * 1024;
/// Spans of one text, and what one of them may carry: a link.
pub const SPANS_MAX: usize = 128;
pub const SPAN_VALUE_BYTES_MAX: usize = 1024;
/// A blob's media type (RFC 6838 §4.2: 127 for each half).
pub const MIME_BYTES_MAX: usize = 255;
/// Words to search for.
pub const SEARCH_BYTES_MAX: usize = 256;
/// Found messages in one answer.
pub const SEARCH_COUNT_MAX: u32 = 100;
/// Messages that one search looks through; it answers then with what it has, and where to go on.
pub const SEARCH_RECORDS_MAX: usize = 200_000;
/// So many bytes of a text count as one more message in a search: to fold their case takes longer
/// than to find them.
pub const SEARCH_TEXT_BYTES: usize = 512;
/// Of these at a time, each with a read transaction of its own: while one lives no page is used
/// again.
pub const SEARCH_SLICE: usize = 4096;
/// Groups up to this many members tell each other who has read how far. In larger ones that would
/// be a push for each pair of members and each message; there the least mark is told, and who wants
/// more asks for the members.
pub const READERS_TOLD_MAX: usize = 50;
/// What an application keeps about a person or a chat, as it came: a name, a line of text and a
/// small picture. Lists of chats and members hold one for each.
pub const CARD_BYTES_MAX: usize = 8 * 1024;
/// Chats in one answer by place; all the engine does meanwhile is look at them.
pub const SUBSCRIPTIONS_COUNT_MAX: u32 = 64;
/// The same for those in a chat.
pub const SUBSCRIBERS_COUNT_MAX: u32 = 64;
/// People in one page of the directory.
pub const PEOPLE_COUNT_MAX: u32 = 500;
/// What a table is called at which something is passed on.
pub const TABLE_NAME_BYTES_MAX: usize = 64;
/// Sessions at tables, over the whole server, each of them as often as it sits at one; and tables
/// that one session sits at.
pub const TABLE_SEATS_MAX: usize = 4096;
pub const TABLES_OF_SESSION_MAX: usize = 16;
/// What a file is called.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Of a file that is read at a time: with its base64 what a connection may hold without asking.
pub const FILE_SLICE_BYTES_MAX: usize = 16 * 1024;
/// Slices of files read or written at once: cards do no more at a time.
pub const FILE_SLICES_MAX: usize = 4;
/// Direct chats that somebody has taken up and in which nothing was ever said. Each stands in another
/// person's list; who writes instead is not bound by it.
pub const BEGUN_CHATS_MAX: usize = 128;
/// Those who wait to be let into one group. They take places that its members may need.
pub const ASKERS_MAX: usize = 64;
/// Those who are asked to let somebody in, the owner before the others: each gets a copy of what
/// was said with it.
pub const MANAGERS_ASKED_MAX: usize = 16;
/// Members in one answer.
pub const MEMBERS_COUNT_MAX: u32 = 500;
/// Members of all groups whose rosters the engine remembers: about a megabyte.
pub const ROSTER_PARTS_MAX: usize = 16 * 1024;
/// Parts that CHATS-GET looks at for the marks of groups, by the engine itself: its answer ends with
/// the group that passes this, as many as are remembered and so need not be read.
pub const CHATS_PARTS_MAX: usize = ROSTER_PARTS_MAX;
/// Records of what was deleted for everybody that one idle turn removes.
pub const SWEEP_RECORDS: usize = 1024;
/// That somebody is typing ends by itself after so long (mSIM 2, layer 4).
pub const TYPING_SECS: u64 = 10;
/// People who are typing at the same moment, over the whole server; more are not told of.
pub const TYPING_MAX: usize = 4096;
/// Groups that one session has open: more tabs than anybody has.
pub const WATCHES_PER_SESSION_MAX: usize = 128;
/// The same over all sessions: what is remembered of each takes up to 128 bytes.
pub const WATCHES_MAX: usize = 8192;
/// A group that nobody has open any more is told to sleep after so long: who turns a page, or whose
/// connection breaks for a moment, wakes nobody (Tinode 0.5, «{pres}»: "after some delay").
pub const AWAKE_SECS: u64 = 5;
/// What a client calls itself; longer names are cut. Browsers' are half as long.
pub const AGENT_BYTES_MAX: usize = 256;
/// That somebody goes on with another client is told at most this often (Tinode 0.5, «User Agent and
/// Presence Notifications»: once a minute).
pub const AGENT_EVERY_SECS: u64 = 60;
/// A packet's type (mSIM 2, TCP frame).
pub const TYPE_BYTES_MAX: usize = 64;
/// How deep JSON may nest: packets use three levels, free JSON of other protocols some more.
pub const JSON_DEPTH_MAX: usize = 32;
/// Pairs in one line of the line carrier: no packet has a quarter of them, and each is compared
/// with those before it.
pub const LINE_PAIRS_MAX: usize = 64;
/// What a client of the line carrier puts on a request to find its answer by.
pub const LINE_SEQ_BYTES_MAX: usize = 64;
/// A message of Tinode's clients: what the server of 2016 read at most.
pub const TINODE_PACKET_BYTES_MAX: usize = 1 << 15;
/// A message's id, and every other word in it that names something: names have 27 bytes at most,
/// the ids of known clients eight.
pub const TINODE_WORD_BYTES_MAX: usize = 128;
/// What a client says of itself. Browsers have more to say every year, so that the rest is left off.
pub const TINODE_UA_BYTES_MAX: usize = 256;
/// Topics that one session is attached to: more than a household has, and few enough to be looked
/// through for every update.
pub const TINODE_TOPICS_MAX: usize = 128;
/// Tinode over WebSocket: a ping this often, closed without a pong for so long. The server of 2016
/// pinged every 49.5 seconds.
pub const TINODE_PING_SECS: u64 = 49;
pub const TINODE_PONG_SECS: u64 = 55;
/// Messages in one answer; also the count where a packet names none.
pub const HISTORY_COUNT_MAX: u32 = 500;
/// Unread messages in one answer: clients are told not to ask where there are more.
pub const UNREAD_COUNT_MAX: u32 = 200;
/// Chats in one answer.
pub const CHATS_COUNT_MAX: u32 = 500;
/// A history page up to this long is read where it is asked for; a longer one on the blocking
/// pool, so that a cold card never stalls the carriers for long.
pub const SHORT_READ_COUNT: u32 = 100;
/// Long reads at once: as many threads of the blocking pool, as many answers in memory that nobody
/// has taken yet.
pub const LONG_READS_MAX: usize = 4;
/// An answer's body ends with the record that passes this; clients accept twice as much.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Sessions on one multiplexed connection.
pub const SEATS_PER_CONNECTION_MAX: usize = 64;
/// The request line, and all headers together, of an HTTP request.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;
pub const HTTP_HEADERS_MAX: usize = 64;
/// One value of a query or a form: a key, a secret, or what a client calls its request.
pub const FORM_VALUE_BYTES_MAX: usize = 1024;
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
/// How long Tinode's long poll is held: what its clients are used to (its server pinged as often).
pub const TINODE_POLL_MILLIS: u64 = 49_500;
/// A long-poll session of Tinode ends after so long without a request: its client polls again as
/// soon as it has an answer, and may lose a network for a moment.
pub const TINODE_SESSION_SECS: u64 = 70;
/// Packets that wait for the polls of one such session. A session with so many waits like a
/// connection whose peer reads too slowly, and its updates wait in their mailbox.
pub const TINODE_WAITING_MAX: usize = 64;
/// Their bytes, with which the same happens: what the kernel keeps for a connection.
pub const TINODE_WAITING_BYTES_MAX: usize = 128 * 1024;
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
/// Messages that lie in order of arrival before they are merged into their chats, at most: what is
/// remembered of each takes 16 bytes, and a start reads all of them.
pub const RECENT_MAX: usize = 8192;
/// So many are merged before the next turn, because that may add a whole batch.
pub const RECENT_FULL: usize = RECENT_MAX - BATCH_COMMANDS_MAX;
/// Where merges fail so many may wait; with more, nothing is written before one succeeds.
pub const RECENT_STUCK: usize = 4 * RECENT_MAX;
/// A merge that failed is tried again after this.
pub const MERGE_RETRY_SECS: u64 = 60;
/// So many are merged when nobody waits: several of each chat share a page then, and the table
/// they leave has one level fewer as long as it is no larger.
pub const RECENT_RIPE: usize = 2048;
/// A turn of more commands is part of a burst: the merge waits until it is over for so long. Where
/// turns are small, each pays for the level alone, and the merge comes as soon as nobody waits.
pub const MERGE_CALM_COMMANDS: usize = 8;
pub const MERGE_QUIET_MILLIS: u64 = 100;
/// So many are merged before an idle seal. Fewer would each cost nearly a page of their own; they
/// are read in a moment at the start.
pub const RECENT_REST: usize = 256;
/// What one commit of a merge touches and carries at most: some megabytes, which a slow card writes
/// in less than a second. Others wait for it.
pub const MERGE_CHATS_MAX: usize = 512;
pub const MERGE_BYTES_MAX: usize = 4 << 20;
/// Ids are reserved in `meta` so many at a time; a crash skips the rest of the block.
pub const ID_BLOCK: u64 = 65_536;
/// The same for the numbers of salts, so that a challenge costs no write.
pub const SALT_BLOCK: u64 = 65_536;

/// Rows that the engine remembers of accounts, of names, of sessions, of contacts and of members:
/// each kind for a few hundred people who talk at once, together some 600 KiB at most.
pub const KNOWN_ROWS_MAX: usize = 512;

/// A thread of the network does a turn of the engine's itself while turns take less than this. It
/// cannot read what comes in meanwhile: less than a hand takes to notice, and longer than the sync of
/// anything but a card.
pub const STAND_IN_MILLIS: u64 = 2;

/// Sixteen digits, a hyphen, and the largest number there could be.
pub const SALT_BYTES_MAX: usize = 16 + 1 + 20;
/// Ids are JSON numbers: beyond this a double is no longer exact.
pub const ID_MAX: u64 = 1 << 53;
/// Before this no clock was right that this program has seen: 2024-01-01, in seconds since 1970.
pub const CLOCK_LEAST_SECS: u64 = 1_704_067_200;
/// How far a clock may be ahead of what was noted last and is believed at once: a day between two
/// looks, and another that the server was off.
pub const CLOCK_LEAP_SECS: u64 = 2 * 24 * 60 * 60;
/// For how long another one has to keep step before it is believed: whoever sets a clock wrong, or a
/// time server that is, has been found out by then, and who restarts every night gets there.
pub const CLOCK_PROOF_SECS: u64 = 12 * 60 * 60;
/// How far it may drift from our own counting meanwhile: what time servers correct at once.
pub const CLOCK_DRIFT_SECS: u64 = 10 * 60;
/// What is too old is looked for so long after a start: by then a clock without a battery is set.
pub const LOOK_FIRST_SECS: u64 = 10 * 60;
/// Then once a day,
pub const LOOK_EVERY_SECS: u64 = 24 * 60 * 60;
/// and while the clock is not believed so often at it.
pub const LOOK_AGAIN_SECS: u64 = 60 * 60;
/// A server that never rests looks after so long all the same, a slice between two turns.
pub const LOOK_REST_SECS: u64 = 60 * 60;
/// Chats that one idle turn looks at for messages that are too old, and for how many of them one
/// counts from which some went: the records are read that its members' marks follow from.
pub const LOOK_CHATS: usize = 64;
pub const LOOK_WEIGHT: usize = 16;
/// A hundred years, in days.
pub const RETENTION_DAYS_MAX: u32 = 36_500;
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

/// A turn that takes longer than this means that the disk or the engine is stuck: cards stall for
/// seconds, not for so many.
pub const ENGINE_STUCK_SECS: u64 = 15;
/// How long /healthz waits for the carriers' sign of life.
pub const PROBE_MILLIS: u64 = 1000;
/// Requests on the management socket at work at once; each has a thread.
pub const ADMIN_REQUESTS_MAX: usize = 4;
/// The body of a request on the management socket: a login and a password with room to spare.
pub const ADMIN_BODY_BYTES_MAX: usize = 16 * 1024;
/// The same of a batch of messages that are imported: some dozen of the longest.
pub const IMPORT_BODY_BYTES_MAX: usize = 1 << 20;
/// So many bytes of lines, or so many lines, go into one batch; a line more may make it twice as
/// much.
pub const IMPORT_BATCH_BYTES: usize = 256 * 1024;
pub const IMPORT_BATCH_COUNT: usize = 200;
/// A line of an export: a text, its spans and their values, all of it escaped.
pub const IMPORT_LINE_BYTES_MAX: u64 = 512 * 1024;
/// Messages in a page of an export.
pub const EXPORT_PAGE_COUNT: u32 = 500;
/// The first and the last file of a backup: a few lines, and a line for each file.
pub const BACKUP_MANIFEST_BYTES_MAX: u64 = 64 * 1024;
pub const BACKUP_SUMS_BYTES_MAX: u64 = 64 << 20;
/// The answer to one: some hundred thousand accounts.
pub const ADMIN_ANSWER_BYTES_MAX: u64 = 64 << 20;
/// What a connection to the metrics port may take to ask and to hear.
pub const WATCH_SECS: u64 = 2;
/// File descriptors that are no client's: database, listeners, management, the runtime's own.
pub const OPEN_FILES_BESIDE_CONNECTIONS: u64 = 64;
/// The configuration file: a hundred times what every key with its comment needs.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// REGISTER-INSTRUCTIONS: a page of text.
pub const INSTRUCTIONS_BYTES_MAX: usize = 4096;

/// What the process takes before anything is asked of it: its own pages, libraries, the threads'
/// stacks, the TLS configuration.
const PROCESS_BYTES: u64 = 8 << 20;
/// The pages of one turn's transaction and the words it carries, what is noted and in no table yet,
/// with room for redb's bookkeeping.
const TURN_BYTES: u64 = 8 * BATCH_BYTES_MAX as u64;
/// The remembered rates and failed logins, who is typing, what is open, and the rosters.
const TABLES_BYTES: u64 = 128
    * (RATES_KEPT + LOGIN_FAILURES_KEPT + TYPING_MAX + WATCHES_MAX) as u64
    + 64 * ROSTER_PARTS_MAX as u64;
/// An idle connection with its session: 1 KiB plain, 9 KiB with TLS.
const CONNECTION_BYTES: u64 = 16 * 1024;
/// One connection at its limits: a packet in, an answer out, twice for the copy being made.
const BUFFERS_BYTES_MIN: u64 = 2 * (ANSWER_BYTES_MAX as u64);
/// Fewer connections are no server.
const CONNECTIONS_MIN: u64 = 16;
/// `memory = "auto"` is a quarter of the machine's memory, within these.
const AUTO_BYTES_MIN: u64 = 48 << 20;
const AUTO_BYTES_MAX: u64 = 256 << 20;
/// redb's page cache is a sixteenth of the ceiling: 8 MiB on a machine with 512 MB, 16 MiB with
/// 1 GB, 3 MiB on a router. With less than this a commit reads its own pages again.
const CACHE_BYTES_MIN: u64 = 2 << 20;

/// What the memory ceiling is spent on. The parts add up to no more than the ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub ceiling: u64,
    /// The process itself, one turn of the engine, the tables of rates.
    pub fixed: u64,
    /// All password hashes that may run at once.
    pub hashes: u64,
    /// redb's page cache.
    pub cache: u64,
    /// Everything that waits in mailboxes, over all sessions.
    pub mail: u64,
    /// Everything half read or half written, over all connections.
    pub buffers: u64,
    /// Open connections.
    pub connections: usize,
}

impl Budget {
    /// The ceiling for `memory = "auto"` on a machine, or in a control group, with so much.
    pub fn auto(total: Option<u64>) -> u64 {
        total.map_or(AUTO_BYTES_MIN, |t| t / 4).clamp(AUTO_BYTES_MIN, AUTO_BYTES_MAX)
    }

    /// Shares the ceiling out, or says in a sentence what does not fit. `hash`: bytes of one
    /// password hash.
    pub fn share(ceiling: u64, limits: &Limits, hash: u64) -> Result<Budget, String> {
        let fixed = PROCESS_BYTES + TURN_BYTES + TABLES_BYTES;
        let hashes = hash * limits.auth_concurrency as u64;
        let cache = (ceiling / 16).max(CACHE_BYTES_MIN);
        let before = fixed + hashes + cache;
        // One mailbox and one connection may always fill up to their own limits.
        let mail_min = limits.mailbox_bytes as u64;
        let buffers_min = BUFFERS_BYTES_MIN + 2 * limits.max_packet_bytes as u64;
        let wanted = match limits.connections {
            0 => CONNECTIONS_MIN,
            n => n as u64,
        };
        let least = before + mail_min + buffers_min + wanted * CONNECTION_BYTES;
        if least > ceiling {
            return Err(format!(
                "{} is too little: the process takes {}, its cache {}, {} at once {}, mailboxes \
                 and buffers at least {}, {wanted} connections {}; raise memory to {} or lower \
                 password.memory_kib or limits.connections",
                mib(ceiling),
                mib(fixed),
                mib(cache),
                match limits.auth_concurrency {
                    1 => "one password hash".to_owned(),
                    n => format!("{n} password hashes"),
                },
                mib(hashes),
                mib(mail_min + buffers_min),
                mib(wanted * CONNECTION_BYTES),
                // The cache grows with the ceiling.
                mib(least + least / 15),
            ));
        }
        let rest = ceiling - before;
        let connections = match limits.connections {
            0 => (rest / 2).min(rest - mail_min - buffers_min) / CONNECTION_BYTES,
            n => n as u64,
        };
        let rest = rest - connections * CONNECTION_BYTES;
        let mail = (rest / 2).clamp(mail_min, rest - buffers_min);
        let buffers = rest - mail;
        let connections = connections as usize;
        Ok(Budget { ceiling, fixed, hashes, cache, mail, buffers, connections })
    }
}

/// Whole mebibytes, rounded up; below one, kibibytes.
fn mib(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{}K", bytes.div_ceil(1 << 10)),
        _ => format!("{}M", bytes.div_ceil(1 << 20)),
    }
}

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
    /// A blob within a message, decoded.
    pub max_blob_bytes: usize,
    /// Members of a group or a channel.
    pub members: usize,
    /// Groups and channels that one account is in.
    pub chats_per_account: usize,
    /// Spaces that one account may own.
    pub spaces_per_account: usize,
    /// Seconds after which somebody whose last connection went counts as gone.
    pub presence_grace: u64,
    /// Of one file.
    pub max_file_bytes: u64,
    /// Of all files that one account has sent and that are still here.
    pub file_quota: u64,
    /// Days that a file stays.
    pub file_ttl: u64,
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
            max_blob_bytes: 16_384,
            members: 1000,
            chats_per_account: 500,
            spaces_per_account: 20,
            presence_grace: 10,
            max_file_bytes: 64 << 20,
            file_quota: 256 << 20,
            file_ttl: 7,
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

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: u64 = 19_456 * 1024;

    #[test]
    fn the_parts_of_a_budget_add_up_to_the_ceiling() {
        for mib in [40, 48, 64, 100, 128, 256, 1024, 8192] {
            for connections in [0, 16, 200] {
                let limits = Limits { connections, ..Limits::default() };
                let Ok(b) = Budget::share(mib << 20, &limits, HASH) else {
                    assert!(mib < 48, "{mib} MiB suffice");
                    continue;
                };
                let sum = b.fixed
                    + b.hashes
                    + b.cache
                    + b.mail
                    + b.buffers
                    + b.connections as u64 * CONNECTION_BYTES;
                assert!(sum <= b.ceiling, "{b:?}");
                assert!(b.ceiling - sum < CONNECTION_BYTES, "{b:?} leaves something over");
                assert!(b.mail >= limits.mailbox_bytes as u64, "{b:?}");
                assert!(b.buffers >= BUFFERS_BYTES_MIN, "{b:?}");
                assert!(b.connections >= 16, "{b:?}");
            }
        }
    }

    #[test]
    fn the_cache_follows_the_machine() {
        let cache = |ram: u64| {
            let ceiling = Budget::auto(Some(ram << 20));
            Budget::share(ceiling, &Limits::default(), HASH).map(|b| b.cache >> 20)
        };
        assert_eq!(cache(512), Ok(8));
        assert_eq!(cache(1024), Ok(16));
        assert_eq!(cache(32_768), Ok(16));
        assert_eq!(cache(64), Ok(3));
    }

    #[test]
    fn two_thousand_connections_fit_a_pi() {
        let ceiling = Budget::auto(Some(512 << 20));
        let budget = Budget::share(ceiling, &Limits::default(), HASH).unwrap();
        assert!(budget.connections > 2000, "{budget:?}");
    }

    #[test]
    fn what_does_not_fit_is_said_with_what_would() {
        let error = Budget::share(16 << 20, &Limits::default(), HASH).unwrap_err();
        assert!(error.starts_with("16M is too little"), "{error}");
        assert!(error.contains("one password hash at once 19M"), "{error}");
        let word = error.split("raise memory to ").nth(1).unwrap().split('M').next().unwrap();
        let enough: u64 = word.parse().unwrap();
        assert!(Budget::share(enough << 20, &Limits::default(), HASH).is_ok(), "{error}");
        let limits = Limits { connections: 100_000, ..Limits::default() };
        assert!(Budget::share(64 << 20, &limits, HASH).is_err());
        // A router without the memory for the usual hash.
        assert!(Budget::share(24 << 20, &Limits::default(), 4 << 20).is_ok());
    }
}
