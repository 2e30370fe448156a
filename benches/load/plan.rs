//! What to measure, and how much of it.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::bare::Bare;
use crate::peer::Peer;
use crate::rows::history::Amount;
use crate::rows::{fanout, history, send};

/// Measure msimd beside other servers.
#[derive(Clone, Debug, FromArgs)]
pub(crate) struct Options {
    /// little of each kind, in less than a minute: proves that it works, judges no figure
    #[argh(switch)]
    quick: bool,
    /// a row to measure; may be given several times
    #[argh(option)]
    only: Vec<String>,
    /// a server to measure, by its directory's name; may be given several times
    #[argh(option)]
    peer: Vec<String>,
    /// measured seconds of a row that runs for a time (5)
    #[argh(option)]
    seconds: Option<u64>,
    /// pairs that talk at once (1, 16, 50, 256); may be given several times
    #[argh(option)]
    pairs: Vec<usize>,
    /// members of a room (200, 1000); may be given several times
    #[argh(option)]
    members: Vec<usize>,
    /// idle connections held at once (1000)
    #[argh(option)]
    connections: Option<usize>,
    /// messages of the history (1000000)
    #[argh(option)]
    messages: Option<u64>,
    /// seconds after which filling a history ends, however little there is (120)
    #[argh(option)]
    filling: Option<u64>,
    /// the commit that msimd was built from, for the table
    #[argh(option)]
    pub(crate) commit: Option<String>,
    /// the msimd binary
    #[argh(option, default = "PathBuf::from(\"target/release/msimd\")")]
    msimd: PathBuf,
    /// where the servers are described
    #[argh(option, default = "PathBuf::from(\"benches/peers\")")]
    peers: PathBuf,
    /// where servers keep their data while they are measured; not a tmpfs
    #[argh(option)]
    dir: Option<PathBuf>,
    /// a file for the table
    #[argh(option)]
    pub(crate) markdown: Option<PathBuf>,
    /// a file for the same as JSON
    #[argh(option)]
    pub(crate) json: Option<PathBuf>,
    /// a page whose table of the last run is replaced
    #[argh(option)]
    pub(crate) publish: Option<PathBuf>,
    #[argh(subcommand)]
    pub(crate) bare: Option<Sub>,
}

/// What else this program can be.
#[derive(Clone, Debug, FromArgs)]
#[argh(subcommand)]
pub(crate) enum Sub {
    Bare(Bare),
}

/// A row, or several lines of one measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Size,
    Idle,
    Wakes,
    Start,
    Held,
    HeldTls,
    Send,
    Syncs,
    FanOut,
    Rate,
    History,
    Behind,
    Lost,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rows: Vec<Row>,
    /// What `rows` comes down to for a server that takes seconds to start.
    slow_rows: Vec<Row>,
    /// The same for a variant.
    variant_rows: Vec<Row>,
    /// What of a full run is not measured, in words for the head of the table.
    pub(crate) left_out: Option<String>,
    /// The most that a row of one server may take, whatever it does.
    pub(crate) row_max: Duration,
    pub(crate) peers: Vec<Peer>,
    pub(crate) own: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) time: Duration,
    /// How long wake-ups are counted.
    pub(crate) idling: Duration,
    pub(crate) connections: usize,
    pub(crate) pairs: Vec<usize>,
    pub(crate) members: Vec<usize>,
    pub(crate) amount: Amount,
    /// How often in a row memory must read the same to be at rest.
    pub(crate) looks: usize,
}

impl Row {
    /// In the order of measuring: from the quiet to the loud.
    const ALL: [Row; 13] = [
        Row::Size,
        Row::Idle,
        Row::Wakes,
        Row::Start,
        Row::Held,
        Row::HeldTls,
        Row::Send,
        Row::Syncs,
        Row::FanOut,
        Row::Rate,
        Row::History,
        Row::Behind,
        Row::Lost,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Row::Size => "size",
            Row::Idle => "idle",
            Row::Wakes => "wakes",
            Row::Start => "start",
            Row::Held => "held",
            Row::HeldTls => "held-tls",
            Row::Send => "send",
            Row::Syncs => "syncs",
            Row::FanOut => "fanout",
            Row::Rate => "rate",
            Row::History => "history",
            Row::Behind => "behind",
            Row::Lost => "lost",
        }
    }

    fn named(name: &str) -> Result<Row, String> {
        Row::ALL.into_iter().find(|row| row.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Row::ALL.into_iter().map(Row::name).collect();
            format!("no row is named {name}; there are {}", names.join(", "))
        })
    }
}

impl Plan {
    pub(crate) fn from(options: &Options) -> Result<Plan, String> {
        let mut plan = if options.quick { Plan::quick() } else { Plan::full() };
        if options.quick && options.publish.is_some() {
            return Err("the figures of --quick mean nothing and are not published".into());
        }
        if !options.only.is_empty() {
            let rows: Result<Vec<Row>, String> =
                options.only.iter().map(|name| Row::named(name)).collect();
            plan.rows = rows?;
            plan.slow_rows.clone_from(&plan.rows);
            plan.variant_rows.clone_from(&plan.rows);
        }
        plan.peers = Peer::all(&options.peers)?;
        for name in &options.peer {
            if !plan.peers.iter().any(|peer| peer.name == *name) {
                let names: Vec<&str> = plan.peers.iter().map(|peer| peer.name.as_str()).collect();
                return Err(format!("no server is named {name}; there are {}", names.join(", ")));
            }
        }
        if !options.peer.is_empty() {
            plan.peers.retain(|peer| options.peer.contains(&peer.name));
        }
        if let Some(seconds) = options.seconds {
            plan.time = Duration::from_secs(seconds);
        }
        if !options.pairs.is_empty() {
            plan.pairs.clone_from(&options.pairs);
        }
        if !options.members.is_empty() {
            plan.members.clone_from(&options.members);
        }
        plan.connections = options.connections.unwrap_or(plan.connections);
        plan.amount.messages = options.messages.unwrap_or(plan.amount.messages);
        if let Some(seconds) = options.filling {
            plan.amount.filling = Duration::from_secs(seconds);
        }
        plan.own = options
            .msimd
            .canonicalize()
            .map_err(|e| format!("no msimd at {}: {e}", options.msimd.display()))?;
        if let Some(dir) = &options.dir {
            plan.dir.clone_from(dir);
        }
        plan.left_out = options.quick.then(|| plan.leaves_out());
        Ok(plan)
    }

    pub(crate) fn rows(&self, peer: &Peer) -> &[Row] {
        match (peer.variant, peer.slow) {
            (true, _) => &self.variant_rows,
            (false, true) => &self.slow_rows,
            (false, false) => &self.rows,
        }
    }

    /// What a full run has and this one has not.
    fn leaves_out(&self) -> String {
        let others = |rows: &[Row]| -> String {
            let left = Row::ALL.into_iter().filter(|row| !rows.contains(row));
            left.map(Row::name).collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("a trial, no figure means anything; without {}", others(&self.rows));
        for peer in &self.peers {
            let rows = self.rows(peer);
            if rows != self.rows {
                let names: Vec<&str> = rows.iter().map(|row| row.name()).collect();
                text.push_str(&format!("; of {} only {}", peer.title, names.join(", ")));
            }
        }
        text
    }

    fn full() -> Plan {
        Plan {
            rows: Row::ALL.to_vec(),
            slow_rows: Row::ALL.to_vec(),
            variant_rows: Row::ALL.to_vec(),
            left_out: None,
            row_max: Duration::from_secs(900),
            peers: Vec::new(),
            own: PathBuf::new(),
            dir: std::env::temp_dir(),
            time: Duration::from_secs(5),
            idling: Duration::from_secs(20),
            connections: 1000,
            pairs: send::PAIRS.to_vec(),
            members: fanout::MEMBERS.to_vec(),
            amount: Amount {
                messages: history::MESSAGES,
                filling: Duration::from_secs(120),
                behind: 10_000,
                chats: 64,
            },
            looks: 4,
        }
    }

    /// Less than a minute for all servers together: one row of each kind.
    fn quick() -> Plan {
        let rows =
            [Row::Size, Row::HeldTls, Row::Send, Row::Syncs, Row::FanOut, Row::History, Row::Lost];
        let plan = Plan::full();
        Plan {
            rows: rows.to_vec(),
            slow_rows: vec![Row::Size, Row::Send],
            variant_rows: vec![Row::Send],
            row_max: Duration::from_secs(120),
            time: Duration::from_millis(200),
            idling: Duration::from_millis(300),
            connections: 10,
            pairs: vec![4],
            members: vec![5],
            amount: Amount {
                messages: 200,
                filling: Duration::from_millis(300),
                behind: 100,
                chats: 4,
            },
            looks: 1,
            ..plan
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        let line = format!("{line} --msimd Cargo.toml");
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        Plan::from(&Options::from_args(&["load"], &words).map_err(|e| e.output)?)
    }

    #[test]
    fn options_become_a_plan() {
        let all = plan("").unwrap();
        assert_eq!(all.rows, Row::ALL);
        assert_eq!(all.peers[0].name, "msimd");
        let some = plan("--quick --only lost --only held --peer ngircd --seconds 2").unwrap();
        assert_eq!(some.rows, [Row::Lost, Row::Held]);
        assert_eq!((some.peers.len(), some.time), (1, Duration::from_secs(2)));
        assert_eq!(all.left_out, None);
    }

    #[test]
    fn a_quick_run_says_what_it_leaves_out() {
        let quick = plan("--quick --peer msimd --peer ejabberd").unwrap();
        let text = quick.left_out.as_deref().unwrap();
        assert!(text.contains("without idle, wakes, start"), "{text}");
        assert!(text.contains("of ejabberd, Mnesia only size, send"), "{text}");
        assert!(quick.rows(&quick.peers[1]).len() < quick.rows(&quick.peers[0]).len());
    }

    #[test]
    fn wrong_options_are_explained() {
        assert!(plan("--only nothing").unwrap_err().contains("there are size, idle"));
        assert!(plan("--quick --publish page.md").unwrap_err().contains("not published"));
        assert!(plan("--peer nobody").unwrap_err().contains("there are msimd, "));
    }
}
