//! What was measured: who the servers are, a line each, and the figures, a line each with a column a
//! server.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::goals;

/// Between these two lines a page holds a run's table, and nothing else.
const BEGIN: &str = "<!-- the last run -->";
const END: &str = "<!-- the end of the last run -->";

#[derive(Clone, Debug)]
enum Cell {
    Figure(f64),
    Words(String),
}

#[derive(Clone, Debug)]
struct Line {
    row: String,
    what: String,
    unit: &'static str,
    cells: Vec<(String, Cell)>,
}

/// A server, and what has to be known of it before its figures are read.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) version: String,
    /// What is on the disk before a message is acknowledged or, where nothing is, delivered. Begins
    /// with yes or no.
    pub(crate) synced: String,
    pub(crate) hash: String,
    pub(crate) note: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    /// Machine, versions, options: what a figure means nothing without.
    circumstances: Vec<(String, String)>,
    columns: Vec<Column>,
    lines: Vec<Line>,
    /// What could not be measured, and why.
    gaps: Vec<String>,
    /// What a reader of the figures has to know of how they came about.
    remarks: Vec<String>,
    /// Whether the figures are good for nothing but to show that there are some.
    is_trial: bool,
}

impl Sheet {
    pub(crate) fn new(is_trial: bool) -> Sheet {
        Sheet { is_trial, ..Sheet::default() }
    }

    pub(crate) fn note(&mut self, name: &str, value: impl Into<String>) {
        self.circumstances.push((name.to_owned(), value.into()));
    }

    pub(crate) fn column(&mut self, column: Column) {
        let is_synced = column.synced.split(':').next().unwrap_or_default().to_owned();
        self.say(&column.name, "server", "synced before acknowledged?", is_synced);
        self.columns.push(column);
    }

    pub(crate) fn gap(&mut self, why: String) {
        eprintln!("load: {why}");
        self.gaps.push(why);
    }

    pub(crate) fn remark(&mut self, what: String) {
        eprintln!("load: {what}");
        self.remarks.push(what);
    }

    /// A figure of a line whose name begins so, and its unit.
    pub(crate) fn figure(&self, peer: &str, row: &str, what: &str) -> Option<(f64, &'static str)> {
        let line = self.lines.iter().find(|line| line.row == row && line.what.starts_with(what))?;
        line.cells.iter().find_map(|(name, cell)| match cell {
            Cell::Figure(figure) if name == peer => Some((*figure, line.unit)),
            Cell::Figure(_) | Cell::Words(_) => None,
        })
    }

    fn goals(&self) -> Vec<goals::Goal> {
        if self.is_trial { Vec::new() } else { goals::of(self) }
    }

    pub(crate) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    pub(crate) fn add(
        &mut self,
        peer: &str,
        row: &str,
        what: &str,
        figure: f64,
        unit: &'static str,
    ) {
        self.put(peer, row, what, unit, Cell::Figure(figure));
    }

    pub(crate) fn say(&mut self, peer: &str, row: &str, what: &str, words: impl Into<String>) {
        self.put(peer, row, what, "", Cell::Words(words.into()));
    }

    fn put(&mut self, peer: &str, row: &str, what: &str, unit: &'static str, cell: Cell) {
        let is_it = |line: &&mut Line| line.row == row && line.what == what;
        let cell = (peer.to_owned(), cell);
        match self.lines.iter_mut().find(is_it) {
            Some(line) => {
                if line.unit.is_empty() {
                    line.unit = unit;
                }
                line.cells.push(cell);
            }
            None => {
                let (row, what) = (row.to_owned(), what.to_owned());
                self.lines.push(Line { row, what, unit, cells: vec![cell] });
            }
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.circumstances {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text.push_str("\n| server | version | synced before acknowledged? | password hash | |\n");
        text.push_str("|---|---|---|---|---|\n");
        for Column { title, version, synced, hash, note, .. } in &self.columns {
            let _ = writeln!(text, "| {title} | {version} | {synced} | {hash} | {note} |");
        }
        let heads: Vec<&str> = self.columns.iter().map(|column| column.title.as_str()).collect();
        let _ = writeln!(text, "\n| row | what | unit | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|---|---|{}", "---:|".repeat(heads.len()));
        for line in &self.lines {
            let cells: Vec<String> =
                self.columns.iter().map(|column| line.shown(&column.name)).collect();
            let Line { row, what, unit, .. } = line;
            let _ = writeln!(text, "| {row} | {what} | {unit} | {} |", cells.join(" | "));
        }
        let goals = self.goals();
        if !goals.is_empty() {
            text.push_str("\n| goal | wanted | this run | |\n|---|---|---|---|\n");
        }
        for goal in goals {
            let goals::Goal { what, wanted, found, .. } = &goal;
            let _ = writeln!(text, "| {what} | {wanted} | {found} | {} |", goal.verdict());
        }
        for what in &self.remarks {
            let _ = writeln!(text, "\nNote: {what}.");
        }
        for why in &self.gaps {
            let _ = writeln!(text, "\nNot measured: {why}.");
        }
        text
    }

    /// A page in which the table of the last run was replaced by this one.
    pub(crate) fn publish(&self, page: &str) -> Result<String, String> {
        let marks = || {
            let begin = page.find(BEGIN)? + BEGIN.len();
            let end = begin + page[begin..].find(END)?;
            Some((begin, end))
        };
        let (begin, end) = marks().ok_or_else(|| format!("the page has no {BEGIN} and {END}"))?;
        Ok(format!("{}\n\n{}\n{}", &page[..begin], self.markdown(), &page[end..]))
    }

    pub(crate) fn json(&self) -> String {
        let circumstances: serde_json::Map<String, Value> =
            self.circumstances.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                let cells: serde_json::Map<String, Value> = line
                    .cells
                    .iter()
                    .map(|(peer, cell)| match cell {
                        Cell::Figure(figure) => (peer.clone(), json!(figure)),
                        Cell::Words(words) => (peer.clone(), json!(words)),
                    })
                    .collect();
                json!({ "row": line.row, "what": line.what, "unit": line.unit, "peers": cells })
            })
            .collect();
        let columns: serde_json::Map<String, Value> = self
            .columns
            .iter()
            .map(|Column { name, title, version, synced, hash, note }| {
                let about = json!({ "title": title, "version": version, "synced": synced,
                    "password_hash": hash, "note": note });
                (name.clone(), about)
            })
            .collect();
        let goals: Vec<Value> = self
            .goals()
            .iter()
            .map(|goal| {
                let goals::Goal { what, wanted, found, passes } = goal;
                json!({ "goal": what, "wanted": wanted, "this_run": found, "passes": passes })
            })
            .collect();
        let all = json!({
            "circumstances": circumstances,
            "peers": columns,
            "figures": lines,
            "goals": goals,
            "notes": self.remarks,
            "not_measured": self.gaps,
        });
        format!("{all:#}\n")
    }
}

impl Line {
    fn shown(&self, peer: &str) -> String {
        match self.cells.iter().find(|(name, _)| name == peer) {
            Some((_, Cell::Figure(figure))) => number(*figure),
            Some((_, Cell::Words(words))) => words.clone(),
            None => String::new(),
        }
    }
}

/// Three digits are enough for any figure here; large ones get thousands apart.
fn number(value: f64) -> String {
    let size = value.abs();
    if size < 9.995 && size.fract() != 0.0 {
        return format!("{value:.2}");
    }
    if size < 99.95 && size.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        let left = digits.len() - index;
        if index > 0 && left % 3 == 0 && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_cell_for_every_server_measured_or_not() {
        let mut sheet = Sheet::default();
        sheet.note("machine", "2 cores");
        for (name, title) in [("msimd", "msimd"), ("ngircd", "ngIRCd")] {
            sheet.column(Column {
                name: name.into(),
                title: title.into(),
                version: "1.2".into(),
                synced: "no: keeps nothing".into(),
                hash: "none".into(),
                note: String::new(),
            });
        }
        sheet.add("msimd", "idle", "RSS", 5.9, "MiB");
        sheet.add("ngircd", "idle", "RSS", 4.96, "MiB");
        sheet.say("ngircd", "history", "pages", "keeps nothing");
        sheet.gap("prosody: the package prosody is not installed".into());
        let text = sheet.markdown();
        assert!(text.contains("| row | what | unit | msimd | ngIRCd |\n|---|---|---|---:|---:|\n"));
        assert!(text.contains("| ngIRCd | 1.2 | no: keeps nothing | none |  |"), "{text}");
        assert!(text.contains("| server | synced before acknowledged? |  | no | no |"), "{text}");
        assert!(text.contains("| idle | RSS | MiB | 5.90 | 4.96 |"), "{text}");
        assert!(text.contains("| history | pages |  |  | keeps nothing |"), "{text}");
        assert!(text.contains("Not measured: prosody: the package"), "{text}");
        let value: Value = serde_json::from_str(&sheet.json()).unwrap();
        assert_eq!(value["figures"][1]["peers"]["ngircd"], 4.96);
    }

    #[test]
    fn goals_stand_below_the_figures_unless_it_was_a_trial() {
        let mut sheet = Sheet::default();
        sheet.add("msimd", "wakes", "wake-ups with 100 idle sessions", 0.25, "/s");
        sheet.remark("ngIRCd, start: did not stop".into());
        let text = sheet.markdown();
        let table = "| goal | wanted | this run | |\n|---|---|---|---|\n\
            | wake-ups with 100 idle sessions | < 1 /s | 0.25 /s | passes |\n";
        assert!(text.contains(table), "{text}");
        assert!(text.ends_with("\nNote: ngIRCd, start: did not stop.\n"), "{text}");
        let value: Value = serde_json::from_str(&sheet.json()).unwrap();
        assert_eq!(value["goals"][0]["passes"], true);
        sheet.is_trial = true;
        assert!(!sheet.markdown().contains("goal"));
    }

    #[test]
    fn a_run_takes_the_place_of_the_one_before() {
        let page = format!("Before.\n{BEGIN}\nold\n{END}\nAfter.\n");
        let mut sheet = Sheet::default();
        sheet.note("machine", "2 cores");
        let page = sheet.publish(&page).unwrap();
        assert!(page.starts_with("Before.\n") && page.ends_with("\nAfter.\n"), "{page}");
        assert!(page.contains("- machine: 2 cores") && !page.contains("old"), "{page}");
        assert_eq!(sheet.publish(&page).unwrap(), page);
        assert!(sheet.publish("nothing").is_err());
    }

    #[test]
    fn numbers_are_short_and_readable() {
        let shown = [0.5, 9.996, 12.34, 99.96, 1234.0, 1_234_567.0, 0.0].map(number);
        assert_eq!(shown, ["0.50", "10.0", "12.3", "100", "1,234", "1,234,567", "0"]);
    }
}
