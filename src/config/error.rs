//! What is wrong with a configuration: the key, the line, what was expected.

use std::fmt;
use std::path::PathBuf;

/// One sentence for the person who wrote the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// `None` when no file was read.
    pub path: Option<PathBuf>,
    /// From 1.
    pub line: Option<usize>,
    /// With its table: `listen.tcp`.
    pub key: Option<String>,
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}", path.display())?;
            if let Some(line) = self.line {
                write!(f, ", line {line}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// A value that does not do, before anybody knows which file and line it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) key: &'static str,
    pub(super) problem: String,
}

/// What the parser found, in the words of this program.
pub(super) fn of_parser(error: &basic_toml::Error, text: &str) -> ConfigError {
    let mut problem = error.to_string();
    if let Some((line, column)) = error.line_col() {
        let place = format!(" at line {} column {}", line + 1, column + 1);
        problem = problem.strip_suffix(&place).map(str::to_owned).unwrap_or(problem);
    }
    let mut key = None;
    if let Some(start) = problem.rfind(" for key `") {
        key = Some(problem[start + 10..].trim_end_matches('`').to_owned());
        problem.truncate(start);
    }
    let unknown = problem.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    if let Some((name, rest)) = unknown {
        key = Some(key.map_or_else(|| name.to_owned(), |table| format!("{table}.{name}")));
        problem = format!("there is no such key{}", rest.replace(", expected", "; expected"));
    }
    // For what serde refuses the parser only guesses at the place.
    let line = key.as_deref().and_then(|key| line_of(text, key));
    let line = line.or_else(|| error.line_col().map(|(line, _)| line + 1));
    ConfigError { path: None, line, key, problem }
}

/// The line, from 1, on which a key is set; a table's own name finds its header.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut table = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let name = if let Some(header) = line.strip_prefix('[') {
            table = header.split(']').next().unwrap_or_default().trim().to_owned();
            table.clone()
        } else {
            let Some((name, _)) = line.split_once('=') else { continue };
            let name = name.trim().trim_matches('"');
            if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
        };
        if name == key {
            return Some(index + 1);
        }
    }
    None
}
