//! `msimd bench`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use super::say;
use crate::bench::{self, Plan, Row};

/// The longest time a row may be measured, seconds.
const SECONDS_MAX: u64 = 600;
/// What the bench's own servers accept is 4,096; some come and go beside the idle ones.
const CONNECTIONS_MAX: usize = 4000;
/// Messages take some 200 bytes of disk each.
const MESSAGES_MAX: u64 = 10_000_000;

/// Measure speed and size of a server on this machine.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand, name = "bench")]
pub struct Bench {
    /// everything small, in less than a minute
    #[argh(switch)]
    quick: bool,
    /// print JSON instead of a table
    #[argh(switch)]
    json: bool,
    /// measure this row only; may be given several times
    #[argh(option)]
    only: Vec<String>,
    /// measure the server whose TCP door this is (on the loopback) instead of one of its own
    #[argh(option)]
    address: Option<SocketAddr>,
    /// the process of that server, for its processor time and bytes written
    #[argh(option)]
    pid: Option<u32>,
    /// the management socket of that server, for its counters
    #[argh(option)]
    admin: Option<PathBuf>,
    /// where a server of its own keeps its data (default: the directory for temporary files)
    #[argh(option)]
    dir: Option<PathBuf>,
    /// seconds that a row is measured (default 5)
    #[argh(option)]
    seconds: Option<u64>,
    /// idle connections to hold (default 2000)
    #[argh(option)]
    connections: Option<usize>,
    /// messages in the history that is read (default 1000000)
    #[argh(option)]
    messages: Option<u64>,
}

impl Bench {
    /// Measures and prints. An error when a row could not be measured, not when one falls short.
    pub fn run(&self) -> Result<(), String> {
        let report = bench::run(&self.plan()?)?;
        say(&if self.json { report.json() } else { report.markdown() });
        let failed = report.failed();
        if failed.is_empty() {
            return Ok(());
        }
        Err(format!("could not be measured: {}", failed.join(", ")))
    }

    fn plan(&self) -> Result<Plan, String> {
        let mut plan = if self.quick { Plan::quick() } else { Plan::full() };
        if !self.only.is_empty() {
            plan.rows = self.only.iter().map(|name| Row::named(name)).collect::<Result<_, _>>()?;
        } else if self.address.is_some() {
            plan.rows.retain(|row| matches!(row, Row::Send(_)));
        }
        if let Some(dir) = &self.dir {
            plan.dir.clone_from(dir);
        }
        if let Some(seconds) = self.seconds {
            plan.time = Duration::from_secs(within("seconds", seconds, 1, SECONDS_MAX)?);
        }
        if let Some(count) = self.connections {
            plan.connections = within("connections", count, 1, CONNECTIONS_MAX)?;
        }
        if let Some(messages) = self.messages {
            plan.messages = within("messages", messages, 1000, MESSAGES_MAX)?;
        }
        plan.address = self.address;
        plan.pid = self.pid;
        plan.admin.clone_from(&self.admin);
        Ok(plan)
    }
}

fn within<T: Copy + PartialOrd + std::fmt::Display>(
    name: &str,
    value: T,
    least: T,
    most: T,
) -> Result<T, String> {
    if value < least || most < value {
        return Err(format!("--{name} {value} is not between {least} and {most}"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        Bench::from_args(&["bench"], &words).map_err(|e| e.output)?.plan()
    }

    #[test]
    fn options_become_a_plan() {
        let all = plan("").unwrap();
        assert_eq!(all.rows, Row::ALL);
        assert_eq!((all.connections, all.messages), (2000, 1_000_000));
        let some = plan("--quick --only send-16 --only idle --seconds 3 --messages 5000").unwrap();
        assert_eq!(some.rows, [Row::Send(16), Row::Idle]);
        assert_eq!((some.time, some.messages), (Duration::from_secs(3), 5000));
        let running = plan("--address 127.0.0.1:3217 --pid 7").unwrap();
        assert_eq!(running.rows, [1, 16, 64, 256].map(Row::Send));
        assert_eq!(running.pid, Some(7));
    }

    #[test]
    fn wrong_options_are_explained() {
        assert!(plan("--only nothing").unwrap_err().contains("no row is named nothing"));
        assert!(plan("--seconds 0").unwrap_err().contains("between 1 and 600"));
        assert!(plan("--connections 90000").unwrap_err().contains("90000"));
    }
}
