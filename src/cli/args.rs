//! The words of the command line.

use std::path::PathBuf;

use argh::FromArgs;

use super::bench::Bench;

/// An instant-messaging server in one binary with one database file.
#[derive(Debug, FromArgs)]
#[argh(note = "Every command takes --config FILE and --data DIR; without them ./msimd.toml and \
            /etc/msimd.toml are looked for, and the defaults serve.")]
pub(super) struct Args {
    /// show the version
    #[argh(switch)]
    pub(super) version: bool,
    #[argh(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub(super) enum Command {
    Serve(Serve),
    User(User),
    Invite(Invite),
    Status(Status),
    Backup(Backup),
    Restore(Restore),
    Verify(Verify),
    Export(Export),
    Import(Import),
    Doctor(Doctor),
    Config(Configuration),
    Bench(Bench),
}

/// Run the server until Ctrl-C or SIGTERM; SIGHUP reads configuration and certificate again.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "serve")]
pub(super) struct Serve {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// keep everything in memory and lose it at the end
    #[argh(switch)]
    pub(super) memory_only: bool,
    /// fill an empty database with the users of Tinode's documentation (alice, bob, carol, dave,
    /// eve, frank; password alice123 and so on) and two groups
    #[argh(switch)]
    pub(super) sample_data: bool,
    /// show the address as a QR code, also where standard output is no terminal
    #[argh(switch)]
    pub(super) qr: bool,
}

/// Manage accounts. Passwords come from the terminal or standard input.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "user")]
pub(super) struct User {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    #[argh(subcommand)]
    pub(super) action: UserAction,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub(super) enum UserAction {
    Add(UserAdd),
    List(UserList),
    Passwd(UserPasswd),
    Disable(UserDisable),
    Enable(UserEnable),
    Remove(UserRemove),
    AppPassword(UserAppPassword),
    AppPasswords(UserAppPasswords),
}

/// Make an account.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "add")]
pub(super) struct UserAdd {
    /// the part of the address before the @
    #[argh(positional)]
    pub(super) login: String,
}

/// List all accounts.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "list")]
pub(super) struct UserList {
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// Give an account a new password; its sessions and app passwords stay.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "passwd")]
pub(super) struct UserPasswd {
    /// the account
    #[argh(positional)]
    pub(super) login: String,
}

/// Shut an account out; it keeps everything.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "disable")]
pub(super) struct UserDisable {
    /// the account
    #[argh(positional)]
    pub(super) login: String,
}

/// Let a disabled account in again.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "enable")]
pub(super) struct UserEnable {
    /// the account
    #[argh(positional)]
    pub(super) login: String,
}

/// Remove an account for good; its login is never given again, and its messages stay with those
/// who got them.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "remove")]
pub(super) struct UserRemove {
    /// the account
    #[argh(positional)]
    pub(super) login: String,
}

/// Make a random password for one device or script, shown once; or take one back with --revoke.
/// It works wherever the account's own does, and answers challenges.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "app-password")]
pub(super) struct UserAppPassword {
    /// the account
    #[argh(positional)]
    pub(super) login: String,
    /// what to call it, app-1 or the like if not given
    #[argh(option)]
    pub(super) name: Option<String>,
    /// take the one of this name back; what was logged in with it ends
    #[argh(option)]
    pub(super) revoke: Option<String>,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// List an account's app passwords, without the passwords.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "app-passwords")]
pub(super) struct UserAppPasswords {
    /// the account
    #[argh(positional)]
    pub(super) login: String,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// Make an invitation code for registering.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "invite")]
pub(super) struct Invite {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// how many people may register with it, 1 if not given
    #[argh(option, default = "1")]
    pub(super) uses: u32,
    /// with a QR code, also where standard output is no terminal
    #[argh(switch)]
    pub(super) qr: bool,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// Show what the running server does; fails when none runs.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "status")]
pub(super) struct Status {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// with a QR code, also where standard output is no terminal
    #[argh(switch)]
    pub(super) qr: bool,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// Write everything into one verified file, keys and configuration with it; the server goes on
/// meanwhile.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "backup")]
pub(super) struct Backup {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// leave the keys out: for a copy that others might get to see
    #[argh(switch)]
    pub(super) without_keys: bool,
    /// the file to write; must not exist
    #[argh(positional)]
    pub(super) file: PathBuf,
}

/// Put a backup in the place of what is there, which is kept under other names. Stop the server
/// first.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "restore")]
pub(super) struct Restore {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// a file that `msimd backup` wrote
    #[argh(positional)]
    pub(super) file: PathBuf,
}

/// Read every record of the database, or of a backup, and check it.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "verify")]
pub(super) struct Verify {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// a backup; the database if not given
    #[argh(positional)]
    pub(super) file: Option<PathBuf>,
}

/// Write one account as lines of JSON, for moving to another server: profile, contacts, chats,
/// messages, marks.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "export")]
pub(super) struct Export {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// the account
    #[argh(positional)]
    pub(super) account: String,
    /// the file to write, which must not exist; standard output if not given
    #[argh(positional)]
    pub(super) file: Option<PathBuf>,
}

/// Take in an account that another server has exported; asks for its new password.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "import")]
pub(super) struct Import {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// everybody of the other server moves here, not this account alone
    #[argh(switch)]
    pub(super) all: bool,
    /// ask for no password; the account stays disabled until it has one
    #[argh(switch)]
    pub(super) no_password: bool,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
    /// a file that `msimd export` wrote
    #[argh(positional)]
    pub(super) file: PathBuf,
}

/// Look at everything that makes trouble one day: configuration, doors, certificate, clock, disk,
/// last stop, backups, memory. Changes nothing.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "doctor")]
pub(super) struct Doctor {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    /// fail for warnings, too
    #[argh(switch)]
    pub(super) strict: bool,
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// Check the configuration, or print every key with its default.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "config")]
pub(super) struct Configuration {
    /// the configuration file
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// the directory of the database, instead of the configuration's
    #[argh(option)]
    pub(super) data: Option<PathBuf>,
    #[argh(subcommand)]
    pub(super) action: ConfigAction,
}

#[derive(Debug, FromArgs)]
#[argh(subcommand)]
pub(super) enum ConfigAction {
    Check(ConfigCheck),
    Print(ConfigPrint),
}

/// Say whether the configuration is valid and how its memory is shared out.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "check")]
pub(super) struct ConfigCheck {
    /// as JSON
    #[argh(switch)]
    pub(super) json: bool,
}

/// Print a configuration file with every key, its default and a comment.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "print")]
pub(super) struct ConfigPrint {}
