//! `msimd import`: an account that another server has exported.
//!
//! The file is read once to the end before anything is asked of the server, so that one that was
//! cut short changes nothing. An import that was cut short itself can be repeated.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use serde_json::{Value, json};

use super::args::Import;
use super::backup::{Progress, is_file};
use super::desk::Desk;
use super::scratch::failed;
use super::{Done, Failure, complain, configuration, password, say};
use crate::admin::moving::{FORMAT, Places};
use crate::limits::{IMPORT_BATCH_BYTES, IMPORT_BATCH_COUNT, IMPORT_LINE_BYTES_MAX};

pub(super) fn run(args: &Import) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    is_file(&args.file)?;
    let account = whole(&args.file)?;
    let text = |key: &str| account[key].as_str().unwrap_or_default().to_owned();
    let (login, from) = (text("login"), text("server_name"));
    let desk = Desk::find(&config, true)?;
    let mut moving = Moving {
        desk: &desk,
        login: &login,
        from: &from,
        all: args.all,
        batch: Vec::new(),
        bytes: 0,
        chat: None,
        count: Count::default(),
        progress: Progress::default(),
    };
    // Before a password is asked for in vain.
    let done = moving.begin(&args.file).and_then(|()| {
        let password = match args.no_password {
            true => None,
            false => Some(password::new_one(&login)?),
        };
        moving.rest(&args.file)?;
        if let Some(password) = password {
            let body = json!({ "login": login, "password": password });
            desk.ask("POST", "/users/password", &body)?;
            desk.ask("POST", "/users/enable", &json!({ "login": login }))?;
        }
        Ok(())
    });
    let count = moving.count;
    let home = desk.server_name();
    desk.close()?;
    done?;
    let address = format!("{login}@{}", home?);
    if args.json {
        say(&json!({
            "address": address,
            "contacts": count.contacts,
            "chats": count.chats,
            "messages": count.messages,
            "skipped_chats": count.skipped,
        })
        .to_string());
    } else {
        say(&format!(
            "{address} is imported: {} contacts, {} chats, {} messages",
            count.contacts, count.chats, count.messages
        ));
    }
    for chat in &count.skipped {
        complain(&format!("skipped: {chat}, because there is another chat of that name here"));
    }
    if args.no_password {
        complain(&format!(
            "{login} has no password and is disabled: msimd user passwd {login}; msimd user enable \
             {login}"
        ));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Count {
    contacts: u64,
    chats: u64,
    messages: u64,
    skipped: Vec<String>,
}

/// Reads all of a file; what its first line says of the account.
fn whole(path: &Path) -> Result<Value, Failure> {
    let no = |why: &str| Failure::Failed(format!("{} {why}", path.display()));
    let mut account = None;
    let mut count = (0, 0, 0);
    let mut end = None;
    lines(path, |line| {
        if end.is_some() {
            return Err(no("goes on behind its end"));
        }
        if let Some(first) = line.get("account") {
            account = Some(first.clone());
        } else if account.is_none() {
            return Err(no("is no export of an account"));
        }
        count.0 += u64::from(line.get("contact").is_some());
        count.1 += u64::from(line.get("chat").is_some());
        count.2 += u64::from(line.get("message").is_some());
        end = line.get("end").cloned();
        Ok(())
    })?;
    let account = account.ok_or_else(|| no("is no export of an account"))?;
    if !account["format"].as_u64().is_some_and(|format| (1..=FORMAT).contains(&format)) {
        return Err(no("was written by a later msimd: use that one"));
    }
    let end = end.ok_or_else(|| no("was cut short: its last line is missing"))?;
    let number = |key: &str| end[key].as_u64().unwrap_or(u64::MAX);
    if count != (number("contacts"), number("chats"), number("messages")) {
        return Err(no("is not whole: lines are missing"));
    }
    Ok(account)
}

/// Reads a file line by line.
fn lines(path: &Path, mut each: impl FnMut(Value) -> Result<(), Failure>) -> Result<(), Failure> {
    let cannot = |e: io::Error| failed(path, "cannot be read", &e);
    let mut file = BufReader::new(File::open(path).map_err(cannot)?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let most = IMPORT_LINE_BYTES_MAX + 1;
        let n = file.by_ref().take(most).read_until(b'\n', &mut line).map_err(cannot)?;
        if n == 0 {
            break;
        }
        let parsed = match n as u64 > IMPORT_LINE_BYTES_MAX {
            true => None,
            false => serde_json::from_slice(&line).ok(),
        };
        let Some(value @ Value::Object(_)) = parsed else {
            let why = format!("{}, line {number}: this is no line of an export", path.display());
            return Err(Failure::Failed(why));
        };
        each(value)?;
    }
    Ok(())
}

/// An import under way.
struct Moving<'a> {
    desk: &'a Desk,
    login: &'a str,
    from: &'a str,
    all: bool,
    /// Lines of one kind that wait for being said, and about their bytes.
    batch: Vec<Value>,
    bytes: usize,
    /// The chat whose messages are read.
    chat: Option<Open>,
    count: Count,
    progress: Progress,
}

struct Open {
    line: Value,
    places: Places,
    /// There is another one here.
    skipped: bool,
}

impl Moving<'_> {
    /// The account and its profile.
    fn begin(&mut self, path: &Path) -> Done {
        let mut first = Vec::new();
        lines(path, |line| {
            if line.get("account").or(line.get("profile")).is_some() {
                first.push(line);
            }
            Ok(())
        })?;
        self.ask(&first, None).map(drop)
    }

    fn rest(&mut self, path: &Path) -> Done {
        lines(path, |line| self.take(line))?;
        self.end_chat()
    }

    fn take(&mut self, mut line: Value) -> Done {
        if line.get("contact").is_some() {
            self.count.contacts += 1;
            return self.add(line);
        }
        if line.get("chat").is_some() {
            self.end_chat()?;
            let skipped = !self.ask(std::slice::from_ref(&line), None)?;
            self.count.chats += u64::from(!skipped);
            let line = line["chat"].clone();
            self.chat = Some(Open { line, places: Places::default(), skipped });
            return if skipped { self.skip() } else { Ok(()) };
        }
        if let Some(message) = line.get_mut("message")
            && let Some(chat) = self.chat.as_mut().filter(|chat| !chat.skipped)
        {
            chat.places.renumber(message);
            self.count.messages += 1;
            self.progress.hear(self.count.messages);
            return self.add(line);
        }
        Ok(())
    }

    fn add(&mut self, line: Value) -> Done {
        self.bytes += line.to_string().len();
        self.batch.push(line);
        if self.bytes < IMPORT_BATCH_BYTES && self.batch.len() < IMPORT_BATCH_COUNT {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> Done {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let chat = self.chat.as_ref().map(|chat| chat.line.clone());
        if !self.ask(&batch, chat.as_ref())? {
            self.count.messages -= batch.len() as u64;
            if let Some(chat) = &mut self.chat {
                chat.skipped = true;
            }
            self.skip()?;
        }
        Ok(())
    }

    fn skip(&mut self) -> Done {
        let name = self.chat.as_ref().and_then(|chat| chat.line["address"].as_str());
        self.count.skipped.extend(name.map(ToOwned::to_owned));
        Ok(())
    }

    /// What is left of a chat, and then how far everybody is in it.
    fn end_chat(&mut self) -> Done {
        self.flush()?;
        let Some(chat) = self.chat.take() else { return Ok(()) };
        let marks: Vec<Value> = chat.line["members"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|member| json!({ "mark": chat.places.mark(member) }))
            .collect();
        for marks in marks.chunks(IMPORT_BATCH_COUNT) {
            if !chat.skipped {
                self.ask(marks, Some(&chat.line))?;
            }
        }
        Ok(())
    }

    /// Says lines to the server. False: there is something else in their place.
    fn ask(&self, lines: &[Value], chat: Option<&Value>) -> Result<bool, Failure> {
        let mut body = json!({
            "owner": self.login,
            "from": self.from,
            "all": self.all,
            "lines": lines,
        });
        if let Some(chat) = chat {
            body["chat"] = chat["address"].clone();
            body["group"] = (chat["kind"] != "direct").into();
        }
        self.desk.tell("POST", "/import", &body)
    }
}
