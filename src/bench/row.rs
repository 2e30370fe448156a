//! The rows of the table by name, and what can be asked of a server that runs already.

/// A row, or several lines of one measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// What the disk itself can do: the ceiling of every durable row.
    Disk,
    /// From spawning the process to the first answered HELLO, on an empty database.
    Start,
    /// Memory after a start, with nobody connected.
    Idle,
    /// Durable messages from so many senders.
    Send(u16),
    /// One message to a group of so many others, each on a connection of its own.
    FanOut(u16),
    /// Memory of idle connections, by carrier.
    Tcp,
    Line,
    Poll,
    Tinode,
    Tls,
    /// Pages of history, and starts with that history on the disk.
    History,
    /// Words looked for in that history, and what a writer feels of it.
    Search,
    /// Backups of that history, and what those who send feel of them.
    Backup,
}

impl Row {
    /// In the order of measuring: from the quiet to the loud.
    pub const ALL: [Row; 17] = [
        Row::Disk,
        Row::Start,
        Row::Idle,
        Row::Send(1),
        Row::Send(16),
        Row::Send(64),
        Row::Send(256),
        Row::FanOut(200),
        Row::FanOut(1000),
        Row::Tcp,
        Row::Line,
        Row::Poll,
        Row::Tinode,
        Row::Tls,
        Row::History,
        Row::Search,
        Row::Backup,
    ];

    pub fn name(self) -> String {
        match self {
            Row::Disk => "disk".into(),
            Row::Start => "start".into(),
            Row::Idle => "idle".into(),
            Row::Send(senders) => format!("send-{senders}"),
            Row::FanOut(members) => format!("fanout-{members}"),
            Row::Tcp => "tcp".into(),
            Row::Line => "line".into(),
            Row::Poll => "poll".into(),
            Row::Tinode => "tinode".into(),
            Row::Tls => "tls".into(),
            Row::History => "history".into(),
            Row::Search => "search".into(),
            Row::Backup => "backup".into(),
        }
    }

    pub fn named(name: &str) -> Result<Row, String> {
        Row::ALL.into_iter().find(|row| row.name() == name).ok_or_else(|| {
            let names: Vec<String> = Row::ALL.into_iter().map(Row::name).collect();
            format!("no row is named {name}; there are {}", names.join(", "))
        })
    }

    /// Whether the row starts and stops servers of its own.
    pub fn needs_own_server(self) -> bool {
        match self {
            Row::Start
            | Row::Idle
            | Row::FanOut(_)
            | Row::Tcp
            | Row::Line
            | Row::Poll
            | Row::Tinode
            | Row::Tls
            | Row::History
            | Row::Search
            | Row::Backup => true,
            Row::Disk | Row::Send(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name() {
        for row in Row::ALL {
            assert_eq!(Row::named(&row.name()), Ok(row));
        }
        assert!(Row::named("send-3").unwrap_err().contains("send-256"));
    }
}
