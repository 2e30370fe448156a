//! `msimd doctor`: what makes trouble one day, looked at before it does. Reads, and changes nothing.
//!
//! Something is **wrong** when the server does not do what it should, or will not after its next
//! start: exit code 1. A **warning** is worth a thought; with `--strict` it fails as well.

mod certificate;
mod checks;
mod disk;

use std::path::Path;

use serde_json::{Value, json};

use super::args::Doctor;
use super::desk::server_answers;
use super::table::Table;
use super::{Done, Failure, client, say};
use crate::config::Config;

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    name: &'static str,
    state: State,
    text: String,
    /// Numbers for programs.
    figures: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Good,
    Warning,
    Wrong,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Good => "good",
            State::Warning => "warning",
            State::Wrong => "wrong",
        }
    }
}

impl Finding {
    fn new(name: &'static str, state: State, text: impl Into<String>) -> Finding {
        Finding { name, state, text: text.into(), figures: Value::Null }
    }

    fn good(name: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(name, State::Good, text)
    }

    fn warning(name: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(name, State::Warning, text)
    }

    fn wrong(name: &'static str, text: impl Into<String>) -> Finding {
        Finding::new(name, State::Wrong, text)
    }

    fn with(self, figures: Value) -> Finding {
        Finding { figures, ..self }
    }
}

pub(super) fn run(args: &Doctor) -> Done {
    crate::log::set_up("warn");
    let path = Config::find(args.config.as_deref());
    let findings = match Config::load(path.as_deref(), args.data.as_deref()) {
        Ok(config) => examine(path.as_deref(), &config),
        Err(error) => vec![Finding::wrong("configuration", error.to_string())],
    };
    if args.json {
        let checks: Vec<Value> = findings
            .iter()
            .map(|finding| {
                json!({
                    "name": finding.name,
                    "state": finding.state.name(),
                    "text": finding.text,
                    "figures": finding.figures,
                })
            })
            .collect();
        let worst = findings.iter().map(|f| f.state).max().unwrap_or(State::Good);
        say(&json!({ "state": worst.name(), "checks": checks }).to_string());
    } else {
        let mut table = Table::new(&["", "", ""]);
        for finding in &findings {
            let state = finding.state.name().to_owned();
            table.row([state, finding.name.to_owned(), finding.text.clone()]);
        }
        say(&table.text());
    }
    let limit = if args.strict { State::Warning } else { State::Wrong };
    if findings.iter().any(|finding| finding.state >= limit) {
        return Err(Failure::Told);
    }
    Ok(())
}

fn examine(path: Option<&Path>, config: &Config) -> Vec<Finding> {
    let mut findings = vec![match path {
        Some(path) => Finding::good("configuration", format!("{} is valid", path.display())),
        None => Finding::good("configuration", "there is no file, the defaults are in force"),
    }];
    let status = match status(config) {
        Ok(status) => status,
        Err(why) => {
            findings.push(Finding::wrong("server", why));
            None
        }
    };
    let status = status.as_ref();
    findings.push(checks::server(status));
    checks::doors(config, status, &mut findings);
    findings.push(checks::certificate(config));
    findings.push(checks::clock(config));
    checks::disk(config, &mut findings);
    findings.push(checks::database(config, status));
    findings.push(checks::keys(config, status));
    findings.push(checks::last_stop(config, status));
    findings.push(checks::backup(config));
    findings.push(checks::writes(config, status));
    findings.push(checks::memory(config, status));
    findings.push(checks::open_files(config, status));
    findings
}

/// What the running server says of itself, where one runs.
fn status(config: &Config) -> Result<Option<Value>, String> {
    let socket = config.admin_socket();
    let told = |failure| match failure {
        Failure::Failed(why) | Failure::Usage(why) => why,
        Failure::Told => String::new(),
    };
    if !server_answers(&socket).map_err(told)? {
        return Ok(None);
    }
    let answer = client::ask(&socket, "GET", "/status", &Value::Null);
    let answer = answer.map_err(|e| format!("{} did not answer: {e}", socket.display()))?;
    match answer.status {
        200 => Ok(Some(answer.body)),
        _ => Err(answer.body["message"].as_str().unwrap_or("it has no status").to_owned()),
    }
}
