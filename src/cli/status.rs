//! `msimd status`: what the running server does.

use serde_json::{Value, json};

use super::args::Status;
use super::desk::{Desk, server_answers};
use super::table::Table;
use super::{Done, Failure, configuration, qr, say};

pub(super) fn run(args: &Status) -> Done {
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let socket = config.admin_socket();
    if !server_answers(&socket)? {
        if args.json {
            say(&json!({ "running": false }).to_string());
            return Err(Failure::Told);
        }
        return Err(Failure::Failed(format!(
            "no server answers at {}; start one with `msimd serve`, or name its directory with \
             --data",
            socket.display()
        )));
    }
    let status = Desk::Server(socket).ask_once("GET", "/status", &Value::Null)?;
    if args.json {
        say(&status.to_string());
        return Ok(());
    }
    let mut table = Table::new(&["", ""]);
    flatten("", &status, &mut table);
    say(&table.text());
    let address = status["addresses"]["http"].as_str().or(status["addresses"]["tcp"].as_str());
    // On the loopback there is nothing that a phone could reach.
    let useful = args.qr || !status["doors"]["end_cert"].is_null();
    if let Some(code) = address.filter(|_| useful).and_then(|text| qr::shown(text, args.qr)) {
        say(&format!("\n{code}"));
    }
    Ok(())
}

/// One row for each number and text, nested names joined by dots.
fn flatten(name: &str, value: &Value, table: &mut Table<2>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, table);
            }
        }
        Value::Null => table.row([name.to_owned(), "-".to_owned()]),
        Value::String(text) => table.row([name.to_owned(), text.clone()]),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            table.row([name.to_owned(), value.to_string()]);
        }
    }
}
