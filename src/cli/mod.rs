//! The command line: one file a family of commands.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage (the configuration counts as usage). Results go to
//! standard output, everything else to standard error. **Nothing secret on the command line:**
//! passwords come from the terminal or from standard input.

mod args;
mod backup;
pub mod bench;
mod client;
mod configuration;
mod desk;
mod doctor;
mod export;
mod import;
mod invite;
mod password;
mod qr;
mod restore;
mod scratch;
mod serve;
mod status;
mod table;
mod user;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use argh::FromArgs as _;

use crate::config::{Config, ConfigError};
use args::{Args, Command};

/// Why a command did not do what it should.
#[derive(Debug)]
enum Failure {
    /// One sentence with what to do. Exit code 1.
    Failed(String),
    /// The same about the command line or the configuration. Exit code 2.
    Usage(String),
    /// The reason has been printed already. Exit code 1.
    Told,
}

type Done = Result<(), Failure>;

/// What `main` runs.
pub fn main() -> ExitCode {
    // Before anything allocates or starts a thread.
    crate::memory::set_up();
    let mut words = Vec::new();
    for word in std::env::args_os().skip(1) {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => {
                complain(&format!("{word:?} is not UTF-8"));
                return ExitCode::from(2);
            }
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match parse(&words) {
        Ok(command) => run(command),
        Err(Stop { output, code }) => {
            if code == 0 {
                say(&output);
            } else {
                complain(&output);
            }
            ExitCode::from(code)
        }
    }
}

/// Parsing that ends here: help was asked for, or the words make no command.
#[derive(Debug)]
struct Stop {
    output: String,
    code: u8,
}

fn parse(words: &[&str]) -> Result<Command, Stop> {
    let stop = |exit: argh::EarlyExit| {
        let output = exit.output.trim_end();
        match exit.status {
            Ok(()) => Stop { output: output.to_owned(), code: 0 },
            Err(()) => Stop { output: format!("{output}\nmsimd --help shows the usage"), code: 2 },
        }
    };
    let args = Args::from_args(&["msimd"], &hoisted(words)).map_err(stop)?;
    if args.version {
        let output = format!("msimd {}", env!("CARGO_PKG_VERSION"));
        return Err(Stop { output, code: 0 });
    }
    args.command.ok_or_else(|| match Args::from_args(&["msimd"], &["--help"]) {
        Ok(_) => Stop { output: "a command is missing".into(), code: 2 },
        Err(help) => Stop { code: 2, ..stop(help) },
    })
}

/// `--config` and `--data` of `user` and `config` where they are looked for: argh wants the options
/// of a command before its action, people write them at the end.
fn hoisted<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let Some((&command, rest)) = words.split_first() else { return Vec::new() };
    if command != "user" && command != "config" {
        return words.to_vec();
    }
    let (mut front, mut back) = (vec![command], Vec::new());
    let mut rest = rest.iter();
    while let Some(&word) = rest.next() {
        if word == "--config" || word == "--data" {
            front.push(word);
            front.extend(rest.next());
        } else {
            back.push(word);
        }
    }
    front.extend(back);
    front
}

fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Serve(args) => serve::run(&args),
        Command::User(args) => user::run(&args),
        Command::Invite(args) => invite::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Backup(args) => backup::back_up(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Verify(args) => backup::verify(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Config(args) => configuration::run(&args),
        Command::Bench(args) => args.run().map_err(Failure::Failed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => {
            complain(&format!("msimd: {why}"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(why)) => {
            complain(&format!("msimd: {why}"));
            ExitCode::from(2)
        }
        Err(Failure::Told) => ExitCode::FAILURE,
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

/// The configuration that a command is meant for.
fn configuration(file: Option<&Path>, data: Option<&Path>) -> Result<Config, Failure> {
    Ok(Config::load(Config::find(file).as_deref(), data)?)
}

/// A line to standard output. A reader that has gone (`| head`) is no reason to fail.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A line to standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests;
