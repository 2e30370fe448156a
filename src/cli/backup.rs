//! `msimd backup` and `verify`: everything in one file, and whether it is whole.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Backup, Verify};
use super::desk::Desk;
use super::scratch::{Scratch, failed};
use super::{Done, Failure, complain, configuration, say};
use crate::admin::verdict_json;

/// A line to standard error now and then.
#[derive(Debug, Default)]
pub(super) struct Progress {
    told: u64,
}

impl Progress {
    const EVERY: u64 = 100_000;

    pub(super) fn hear(&mut self, done: u64) {
        if done >= self.told + Self::EVERY {
            self.told = done;
            complain(&format!("{done} records …"));
        }
    }
}

pub(super) fn back_up(args: &Backup) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    // The server has a working directory of its own.
    let path = std::path::absolute(&args.file)
        .map_err(|e| Failure::Usage(format!("{}: {e}", args.file.display())))?;
    let Some(text) = path.to_str() else {
        return Err(Failure::Usage(format!("{} is not UTF-8", path.display())));
    };
    let desk = Desk::find(&config, false)?;
    let body = json!({ "path": text, "keys": !args.without_keys });
    let verdict = desk.ask_once("POST", "/backup", &body)?;
    show(&verdict, args.json, &format!("{} is written and verified", path.display()))
}

pub(super) fn verify(args: &Verify) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let Some(file) = &args.file else {
        let verdict = Desk::find(&config, false)?.ask_once("POST", "/verify", &Value::Null)?;
        return show(&verdict, args.json, "the database is sound");
    };
    is_file(file)?;
    let scratch = Scratch::beside(file).or_else(|_| Scratch::within(&config.data_dir))?;
    let checked = scratch.check(file, &config, |_| false)?;
    show(&verdict_json(&checked.verdict), args.json, &format!("{} is sound", file.display()))
}

pub(super) fn is_file(path: &Path) -> Done {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Failure::Failed(format!("{} is no file", path.display()))),
        Err(error) => Err(failed(path, "cannot be read", &error)),
    }
}

pub(super) fn show(verdict: &Value, json: bool, good: &str) -> Done {
    let faults = verdict["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        say(&verdict.to_string());
    } else if faults.is_empty() {
        say(&format!(
            "{good}: {} accounts, {} chats, {} messages",
            verdict["accounts"], verdict["chats"], verdict["messages"]
        ));
    } else {
        for fault in faults {
            complain(&format!("msimd: {}", fault.as_str().unwrap_or_default()));
        }
        complain(&format!("msimd: {} faults were found", faults.len()));
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Told) }
}
