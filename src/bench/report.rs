//! What was measured, as a table for people and as JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The name that `--only` takes.
    pub(super) row: String,
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) measured: f64,
    pub(super) target: Option<Target>,
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Machine, file system, options: what a figure means nothing without.
    circumstances: Vec<(&'static str, String)>,
    lines: Vec<Line>,
    /// Rows that could not be measured, and why.
    failures: Vec<(String, String)>,
}

impl Target {
    fn is_met(self, measured: f64) -> bool {
        match self {
            Target::AtLeast(bound) => bound <= measured,
            Target::AtMost(bound) => measured <= bound,
        }
    }
}

impl Line {
    fn verdict(&self) -> &'static str {
        match self.target.map(|target| target.is_met(self.measured)) {
            Some(true) => "passes",
            Some(false) => "falls short",
            None => "",
        }
    }
}

impl Report {
    pub(super) fn note(&mut self, name: &'static str, value: impl Into<String>) {
        self.circumstances.push((name, value.into()));
    }

    /// A figure with nothing to reach.
    pub(super) fn add(&mut self, row: &str, what: &str, measured: f64, unit: &'static str) {
        let (row, what) = (row.to_owned(), what.to_owned());
        self.lines.push(Line { row, what, unit, measured, target: None });
    }

    /// A figure that is judged.
    pub(super) fn judge(
        &mut self,
        row: &str,
        what: &str,
        measured: f64,
        unit: &'static str,
        target: Target,
    ) {
        self.add(row, what, measured, unit);
        if let Some(line) = self.lines.last_mut() {
            line.target = Some(target);
        }
    }

    pub(super) fn fail(&mut self, row: &str, why: String) {
        self.failures.push((row.to_owned(), why));
    }

    /// The names of the rows that could not be measured.
    pub fn failed(&self) -> Vec<&str> {
        self.failures.iter().map(|(row, _)| row.as_str()).collect()
    }

    /// A Markdown table, and what surrounds it.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.circumstances {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text.push_str("\n| row | what | target | measured | |\n|---|---|---:|---:|---|\n");
        for line in &self.lines {
            let target = match line.target {
                Some(Target::AtLeast(bound)) => format!("≥ {} {}", number(bound), line.unit),
                Some(Target::AtMost(bound)) => format!("≤ {} {}", number(bound), line.unit),
                None => String::new(),
            };
            let measured = format!("{} {}", number(line.measured), line.unit);
            let (row, what, verdict) = (&line.row, &line.what, line.verdict());
            let _ = writeln!(text, "| {row} | {what} | {target} | {measured} | {verdict} |");
        }
        for (row, why) in &self.failures {
            let _ = writeln!(text, "\n{row} could not be measured: {why}");
        }
        text
    }

    pub fn json(&self) -> String {
        let circumstances: serde_json::Map<String, Value> = self
            .circumstances
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let lines: Vec<Value> = self.lines.iter().map(line_json).collect();
        let failures: Vec<Value> =
            self.failures.iter().map(|(row, why)| json!({ "row": row, "why": why })).collect();
        json!({ "circumstances": circumstances, "figures": lines, "failures": failures })
            .to_string()
    }
}

fn line_json(line: &Line) -> Value {
    let mut value = json!({
        "row": line.row,
        "what": line.what,
        "unit": line.unit,
        "measured": line.measured,
    });
    if let Some(target) = line.target {
        let (key, bound) = match target {
            Target::AtLeast(bound) => ("at_least", bound),
            Target::AtMost(bound) => ("at_most", bound),
        };
        value[key] = json!(bound);
        value["passes"] = json!(target.is_met(line.measured));
    }
    value
}

/// Three digits are enough for any figure here; large ones get thousands apart.
fn number(value: f64) -> String {
    let size = value.abs();
    if size < 10.0 && size.fract() != 0.0 {
        return format!("{value:.2}");
    }
    if size < 100.0 && size.fract() != 0.0 {
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

    fn report() -> Report {
        let mut report = Report::default();
        report.note("machine", "2 cores");
        report.judge("send-1", "messages/s", 2345.6, "/s", Target::AtLeast(2000.0));
        report.judge("idle", "RSS", 6.5, "MiB", Target::AtMost(6.0));
        report.add("disk", "syncs", 12.0, "/s");
        report.fail("tls", "no handshake".into());
        report
    }

    #[test]
    fn the_table_says_what_passes_and_what_falls_short() {
        let text = report().markdown();
        assert!(text.contains("- machine: 2 cores\n"), "{text}");
        assert!(text.contains("| send-1 | messages/s | ≥ 2,000 /s | 2,346 /s | passes |"));
        assert!(text.contains("| idle | RSS | ≤ 6 MiB | 6.50 MiB | falls short |"));
        assert!(text.contains("| disk | syncs |  | 12 /s |  |"));
        assert!(text.contains("tls could not be measured: no handshake"));
        assert_eq!(report().failed(), ["tls"]);
    }

    #[test]
    fn json_holds_the_same_figures() {
        let value: Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(value["circumstances"]["machine"], "2 cores");
        assert_eq!(value["figures"][0]["at_least"], 2000.0);
        assert_eq!(value["figures"][0]["passes"], true);
        assert_eq!(value["figures"][1]["passes"], false);
        assert!(value["figures"][2].get("passes").is_none());
        assert_eq!(value["failures"][0]["row"], "tls");
    }

    #[test]
    fn numbers_are_short_and_readable() {
        let shown = [0.5, 9.994, 12.34, 123.4, 1234.0, 1_234_567.0, -1234.0, 0.0].map(number);
        assert_eq!(shown, ["0.50", "9.99", "12.3", "123", "1,234", "1,234,567", "-1,234", "0"]);
    }
}
