//! Whether the values of a configuration do. The parser has seen to their types.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use super::error::Fault;
use super::{Config, TlsMode};
use crate::domain::id::{Address, Login};
use crate::limits::{Budget, INSTRUCTIONS_BYTES_MAX, RETENTION_DAYS_MAX};

/// `sun_path` holds 108 bytes with the zero at its end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

pub(super) fn check(config: &Config) -> Result<(), Fault> {
    names(config)?;
    doors(config)?;
    tls(config)?;
    numbers(config)?;
    history(config)?;
    admin(config)?;
    budget(config).map(|_| ())
}

pub(super) fn budget(config: &Config) -> Result<Budget, Fault> {
    let ceiling = match config.memory.as_str() {
        "auto" => Budget::auto(crate::memory::total()),
        text => size(text).ok_or_else(|| {
            fault("memory", format!("{text:?} is no size; expected \"auto\" or one like \"64M\""))
        })?,
    };
    let hash = u64::from(config.password.memory_kib) * 1024;
    Budget::share(ceiling, &config.limits, hash).map_err(|problem| fault("memory", problem))
}

/// Whether a text is a host: what can stand behind the `@` of an address.
pub(super) fn is_host(text: &str) -> bool {
    Address::parse(&format!("a@{text}"), "")
        .is_ok_and(|a| a.port.is_none() && a.chat.is_none() && !a.host.is_empty())
}

fn names(config: &Config) -> Result<(), Fault> {
    if !is_host(&config.server_name) {
        return Err(fault(
            "server_name",
            format!(
                "{:?} is no host name; expected one like \"chat.example.org\" or an IP address",
                config.server_name
            ),
        ));
    }
    if config.data_dir.as_os_str().is_empty() {
        return Err(fault("data_dir", "it is empty; expected a directory".into()));
    }
    if !crate::log::LEVELS.contains(&config.log.as_str()) {
        let levels = crate::log::LEVELS.join(", ");
        return Err(fault(
            "log",
            format!("{:?} is no level; expected one of {levels}", config.log),
        ));
    }
    for (key, text) in
        [("instructions", &config.instructions), ("instructions_url", &config.instructions_url)]
    {
        if text.len() > INSTRUCTIONS_BYTES_MAX {
            let problem =
                format!("it has {} bytes; at most {INSTRUCTIONS_BYTES_MAX} are sent", text.len());
            return Err(fault(key, problem));
        }
    }
    for key in &config.tinode.keys {
        if !is_api_key(key) {
            return Err(fault(
                "tinode.keys",
                format!("{key:?} is no API key; expected 32 characters that begin with \"AQ\""),
            ));
        }
    }
    for login in &config.operators {
        if !Login::parse(login).is_ok_and(|parsed| parsed.as_str() == login) {
            let problem = format!("{login:?} is no login; expected one such as \"alice\"");
            return Err(fault("operators", problem));
        }
    }
    for origin in &config.http.origins {
        if !is_origin(origin) {
            return Err(fault(
                "http.origins",
                format!(
                    "{origin:?} is no origin; expected scheme and host without a path, such as \
                     \"https://chat.example.org\""
                ),
            ));
        }
    }
    Ok(())
}

/// Whether it looks like one: base64 of 24 bytes, of which the first is 1. Who has signed it is not
/// asked.
fn is_api_key(text: &str) -> bool {
    let mut letters = text.bytes();
    text.len() == 32
        && text.starts_with("AQ")
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        Address::parse(&format!("a@{host}"), "").is_ok_and(|a| a.chat.is_none())
    })
}

fn doors(config: &Config) -> Result<(), Fault> {
    let listen = &config.listen;
    let doors = [
        ("listen.tcp", &listen.tcp),
        ("listen.http", &listen.http),
        ("listen.line", &listen.line),
        ("listen.tags", &listen.tags),
        ("listen.files", &listen.files),
        ("listen.tinode", &listen.tinode),
    ];
    let mut taken: HashMap<SocketAddr, &str> = HashMap::new();
    for (key, text) in doors {
        if text.is_empty() {
            continue;
        }
        let address: SocketAddr = text.parse().map_err(|_| {
            let problem = format!(
                "{text:?} is no address; expected IP:PORT such as \"127.0.0.1:3217\" or \
                 \"[::]:3217\", or \"\" to turn the door off"
            );
            fault(key, problem)
        })?;
        // Port 0 is a free one each time.
        if address.port() != 0
            && let Some(other) = taken.insert(address, key)
        {
            return Err(fault(key, format!("{text} is taken by {other}; expected another port")));
        }
    }
    let served = [&listen.tcp, &listen.http, &listen.line, &listen.tags, &listen.tinode];
    if served.iter().all(|door| door.is_empty()) {
        let problem = "tcp, http, line, tags and tinode are turned off, and no other door is \
                       served yet"
            .into();
        return Err(fault("listen.tcp", problem));
    }
    Ok(())
}

fn tls(config: &Config) -> Result<(), Fault> {
    let tls = &config.tls;
    match tls.mode {
        TlsMode::Files => {
            readable("tls.cert", &tls.cert)?;
            readable("tls.key", &tls.key)
        }
        TlsMode::Auto | TlsMode::Off | TlsMode::SelfSigned => {
            for (key, path) in [("tls.cert", &tls.cert), ("tls.key", &tls.key)] {
                if !path.as_os_str().is_empty() {
                    let problem = "it is only used with tls.mode = \"files\"".into();
                    return Err(fault(key, problem));
                }
            }
            Ok(())
        }
    }
}

fn readable(key: &'static str, path: &Path) -> Result<(), Fault> {
    if path.as_os_str().is_empty() {
        let problem = "it is empty; tls.mode = \"files\" needs a PEM file here".into();
        return Err(fault(key, problem));
    }
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(fault(key, format!("{} cannot be read: {error}", path.display()))),
    }
}

fn numbers(config: &Config) -> Result<(), Fault> {
    let limits = &config.limits;
    let packet = limits.max_packet_bytes as u64;
    let bounds: [(&'static str, u64, u64, u64); 27] = [
        ("threads", config.threads as u64, 0, 256),
        ("limits.fetch_hold", limits.fetch_hold, 1, 300),
        ("limits.mailbox", limits.mailbox as u64, 1, 65_536),
        ("limits.mailbox_bytes", limits.mailbox_bytes as u64, 1024, 16 << 20),
        ("limits.mailbox_ttl", limits.mailbox_ttl, limits.fetch_hold, 86_400),
        ("limits.rate_per_second", limits.rate_per_second.into(), 1, 1_000_000),
        ("limits.rate_burst", limits.rate_burst.into(), 1, 1_000_000),
        ("limits.max_packet_bytes", packet, 1024, 16 << 20),
        ("limits.max_text_bytes", limits.max_text_bytes as u64, 1, packet),
        ("limits.connections", limits.connections as u64, 0, 1_000_000),
        ("limits.connections_per_address", limits.connections_per_address as u64, 1, 1_000_000),
        ("limits.sessions_per_account", limits.sessions_per_account.into(), 1, 65_536),
        ("limits.session_ttl", limits.session_ttl, 1, 36_500),
        ("limits.contacts", limits.contacts as u64, 1, 1_000_000),
        ("limits.auth_concurrency", limits.auth_concurrency as u64, 1, 64),
        ("limits.auth_waiting", limits.auth_waiting as u64, 1, 65_536),
        ("limits.invite_ttl", limits.invite_ttl, 1, 3650),
        // Its base64 has to fit a packet.
        ("limits.max_blob_bytes", limits.max_blob_bytes as u64, 1, packet / 4 * 3),
        ("limits.members", limits.members as u64, 1, 100_000),
        ("limits.chats_per_account", limits.chats_per_account as u64, 1, 100_000),
        ("limits.spaces_per_account", limits.spaces_per_account as u64, 1, 10_000),
        ("limits.presence_grace", limits.presence_grace, 0, 3600),
        ("limits.max_file_bytes", limits.max_file_bytes, 1, 1 << 40),
        ("limits.file_quota", limits.file_quota, 0, 1 << 50),
        ("limits.file_ttl", limits.file_ttl, 1, 36_500),
        // Below 8 KiB a lane Argon2 refuses; a hash of more than 1 GiB is a mistake.
        ("password.memory_kib", config.password.memory_kib.into(), 8, 1 << 20),
        ("password.passes", config.password.passes.into(), 1, 100),
    ];
    for (key, value, least, most) in bounds {
        if value < least || most < value {
            return Err(fault(key, format!("{value} is not from {least} to {most}")));
        }
    }
    Ok(())
}

fn history(config: &Config) -> Result<(), Fault> {
    let text = &config.history.retention;
    if retention(text).is_some() {
        return Ok(());
    }
    let problem = format!(
        "{text:?} is no time; expected \"forever\" or days, weeks or years from \"1d\" to \
         \"100y\", such as \"90d\", \"12w\" or \"2y\""
    );
    Err(fault("history.retention", problem))
}

/// Days of a text such as `90d`, `12w`, `2y` (of 365 days), or the `None` of `forever`.
pub(super) fn retention(text: &str) -> Option<Option<u32>> {
    if text == "forever" {
        return Some(None);
    }
    let days = match text.as_bytes().last()? {
        b'd' => 1,
        b'w' => 7,
        b'y' => 365,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let is_plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: u32 = is_plain.then(|| number.parse().ok()).flatten()?;
    let days = number.checked_mul(days)?;
    (1..=RETENTION_DAYS_MAX).contains(&days).then_some(Some(days))
}

fn admin(config: &Config) -> Result<(), Fault> {
    let metrics = &config.admin.metrics;
    let expected = "expected a loopback address such as \"127.0.0.1:9464\", or \"\"";
    if !metrics.is_empty() {
        let address: SocketAddr = metrics.parse().map_err(|_| {
            fault("admin.metrics", format!("{metrics:?} is no address; {expected}"))
        })?;
        if !address.ip().is_loopback() {
            let problem = format!("{metrics} can be reached from outside; {expected}");
            return Err(fault("admin.metrics", problem));
        }
    }
    let socket = config.admin_socket();
    let bytes = socket.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        let path = socket.display();
        return Err(fault(
            "admin.socket",
            format!(
                "{path} has {bytes} bytes, and a socket's path at most {SOCKET_PATH_BYTES_MAX}; \
                 expected a shorter one, such as \"/run/msimd/admin.sock\""
            ),
        ));
    }
    Ok(())
}

/// Bytes of a text such as `65536`, `64K`, `64M`, `1G` (powers of 1024).
pub(super) fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 10),
        b'M' | b'm' => (&text[..text.len() - 1], 20),
        b'G' | b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = plain.then(|| digits.parse().ok()).flatten()?;
    // A petabyte is a mistake, and sums of such numbers must not overflow.
    number.checked_shl(shift).filter(|n| n >> shift == number && *n < 1 << 50)
}

fn fault(key: &'static str, problem: String) -> Fault {
    Fault { key, problem }
}
