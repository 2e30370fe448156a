//! `msimd config …`: what the configuration may say, and whether it does.

use serde_json::json;

use super::args::{ConfigAction, ConfigCheck, Configuration};
use super::table::Table;
use super::{Done, say};
use crate::config::{Config, DEFAULTS};

pub(super) fn run(args: &Configuration) -> Done {
    match &args.action {
        ConfigAction::Print(_) => {
            say(DEFAULTS.trim_end());
            Ok(())
        }
        ConfigAction::Check(check) => self::check(args, check),
    }
}

fn check(args: &Configuration, check: &ConfigCheck) -> Done {
    let path = Config::find(args.config.as_deref());
    let config = Config::load(path.as_deref(), args.data.as_deref())?;
    let budget = config.budget()?;
    if check.json {
        say(&json!({
            "file": path,
            "valid": true,
            "memory_ceiling_bytes": budget.ceiling,
            "process_bytes": budget.fixed,
            "password_hashes_bytes": budget.hashes,
            "cache_bytes": budget.cache,
            "mailboxes_bytes": budget.mail,
            "buffers_bytes": budget.buffers,
            "connections": budget.connections,
            "retention_days": config.history.days(),
        })
        .to_string());
        return Ok(());
    }
    match &path {
        Some(path) => say(&format!("{} is valid.", path.display())),
        None => say("There is no configuration file; the defaults are valid here."),
    }
    let kib = |bytes: u64| format!("{} KiB", bytes / 1024);
    let mut table = Table::new(&["memory", ""]);
    table.row(["ceiling".into(), kib(budget.ceiling)]);
    table.row(["process".into(), kib(budget.fixed)]);
    table.row(["password hashes".into(), kib(budget.hashes)]);
    table.row(["database cache".into(), kib(budget.cache)]);
    table.row(["mailboxes".into(), kib(budget.mail)]);
    table.row(["buffers".into(), kib(budget.buffers)]);
    table.row(["connections".into(), budget.connections.to_string()]);
    say(&table.text());
    say(&match config.history.days() {
        Some(days) => format!("Messages are kept for {days} days."),
        None => "Messages are kept for ever.".into(),
    });
    Ok(())
}
