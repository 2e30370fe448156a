//! `msimd export`: one account as lines of JSON, to a file or to standard output.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;

use serde_json::{Value, json};

use super::args::Export;
use super::desk::Desk;
use super::scratch::failed;
use super::{Done, Failure, complain, configuration};
use crate::admin::refusal_text;
use crate::domain::id::Login;
use crate::domain::words::Refusal;

/// What was written.
#[derive(Debug, Default)]
struct Count {
    contacts: u64,
    chats: u64,
    messages: u64,
}

pub(super) fn run(args: &Export) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let login = Login::parse(&args.account);
    let login = login.map_err(|_| Failure::Usage(refusal_text(Refusal::BadLogin)))?;
    let desk = Desk::find(&config, false)?;
    let count = match &args.file {
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            write(&desk, &login, &mut out).and_then(|count| {
                let flushed = out.flush();
                flushed.map_err(|e| Failure::Failed(format!("standard output: {e}")))?;
                Ok(count)
            })
        }
        Some(path) => {
            // Everything that somebody wrote and was written to: its owner's alone.
            let file = File::options().write(true).create_new(true).mode(0o600).open(path);
            let file = file.map_err(|e| failed(path, "cannot be made", &e))?;
            let mut out = BufWriter::new(file);
            let written = write(&desk, &login, &mut out).and_then(|count| {
                let synced = out.flush().and_then(|()| out.get_ref().sync_all());
                synced.map_err(|e| failed(path, "cannot be written", &e))?;
                Ok(count)
            });
            if written.is_err() {
                let _ = fs::remove_file(path);
            }
            written
        }
    };
    desk.close()?;
    let Count { contacts, chats, messages } = count?;
    complain(&format!(
        "{login} is exported: {contacts} contacts, {chats} chats, {messages} messages; passwords and \
         sent files stay here"
    ));
    Ok(())
}

fn write(desk: &Desk, login: &Login, out: &mut impl Write) -> Result<Count, Failure> {
    let mut count = Count::default();
    let mut from = Value::Null;
    let mut say = |line: &Value| {
        let written = serde_json::to_writer(&mut *out, line).map_err(io::Error::from);
        let written = written.and_then(|()| out.write_all(b"\n"));
        written.map_err(|e| Failure::Failed(format!("the export cannot be written: {e}")))
    };
    loop {
        let body = json!({ "login": login.as_str(), "from": from });
        let page = desk.ask("POST", "/export", &body)?;
        for line in page["lines"].as_array().into_iter().flatten() {
            count.contacts += u64::from(line.get("contact").is_some());
            count.chats += u64::from(line.get("chat").is_some());
            count.messages += u64::from(line.get("message").is_some());
            say(line)?;
        }
        match &page["next"] {
            Value::Null => break,
            next => from = next.clone(),
        }
    }
    let Count { contacts, chats, messages } = count;
    // The last line: an export without it was cut short.
    say(&json!({ "end": { "contacts": contacts, "chats": chats, "messages": messages } }))?;
    Ok(count)
}
