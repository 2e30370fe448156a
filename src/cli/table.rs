//! Columns for the eye; `--json` is for programs.

/// Rows of equally many cells.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// Empty headings leave the heading line out.
    pub(super) fn new(headings: &[&str; N]) -> Table<N> {
        let mut rows = Vec::new();
        if headings.iter().any(|h| !h.is_empty()) {
            rows.push(headings.map(str::to_owned));
        }
        Table { rows }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// The lines, without a line end after the last.
    pub(super) fn text(&self) -> String {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let lines: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let cells: Vec<String> =
                    row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
                cells.join("  ").trim_end().to_owned()
            })
            .collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["login", "state"]);
        table.row(["алиса-и-боб".into(), "active".into()]);
        table.row(["bob".into(), "disabled".into()]);
        assert_eq!(table.text(), "login        state\nалиса-и-боб  active\nbob          disabled");
        assert_eq!(Table::new(&["", ""]).text(), "");
    }
}
