-- Debian's own configuration without its comments, with these differences: the archive is on for
-- everybody and keeps everything; no rate limits and no stanza-size limits that a test would meet;
-- accounts are made in the stream; passwords may pass in clear on the loopback; nothing federates.
daemonize = false
run_as_root = true
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
log = { warn = "{dir}/prosody.log" }
plugin_paths = { }

modules_enabled = {
	"disco"; "roster"; "saslauth"; "tls";
	"blocklist"; "bookmarks"; "carbons"; "pep"; "private"; "smacks"; "vcard4"; "vcard_legacy";
	"csi_simple"; "ping"; "register"; "time"; "uptime"; "version";
	"mam"; "posix";
}
modules_disabled = { "s2s"; "s2s_auth_certs" }

interfaces = { "127.0.0.1" }
c2s_ports = { {port} }
c2s_direct_tls_ports = { {tls} }
c2s_direct_tls_ssl = { certificate = "{cert}"; key = "{key}" }
ssl = { certificate = "{cert}"; key = "{key}" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
allow_registration = true
authentication = "internal_hashed"
storage = "sql"
sql = { driver = "SQLite3"; database = "{dir}/prosody.sqlite" }
unlimited_jids = { }
c2s_timeout = 600

default_archive_policy = true
archive_expires_after = "never"
max_archive_query_results = 250

VirtualHost "localhost"

Component "conference.localhost" "muc"
	modules_enabled = { "muc_mam" }
	muc_room_locking = false
	-- Who comes and goes is not what a row is about, and 1,000 who are told of 1,000 take minutes.
	muc_room_default_presence_broadcast = { visitor = false; participant = false; moderator = true }
	muc_room_default_history_length = 0
