//! `msimd user app-password` and `app-passwords`: passwords for devices and scripts.

use serde_json::{Value, json};

use super::parsed;
use crate::admin::when;
use crate::cli::args::{UserAppPassword, UserAppPasswords};
use crate::cli::desk::Desk;
use crate::cli::table::Table;
use crate::cli::{Done, Failure, complain, say};
use crate::config::Config;

/// Makes one and shows it, or takes one back.
pub(super) fn one(args: &UserAppPassword, config: &Config) -> Done {
    let login = parsed(&args.login)?;
    let mut body = json!({ "login": login.as_str() });
    // With the address, as the server has it.
    let asked = |path: &str, body: &Value| {
        let desk = Desk::find(config, false)?;
        let address = format!("{login}@{}", desk.server_name()?);
        Ok::<_, Failure>((desk.ask_once("POST", path, body)?, address))
    };
    match (&args.revoke, &args.name) {
        (Some(_), Some(_)) => {
            Err(Failure::Usage("--name is for a new one, --revoke for an old one".into()))
        }
        (Some(name), None) => {
            body["name"] = name.as_str().into();
            let (answer, address) = asked("/users/app-passwords/revoke", &body)?;
            if args.json {
                say(&answer.to_string());
            } else {
                say(&format!("{name} of {address} is revoked"));
            }
            Ok(())
        }
        (None, name) => {
            if let Some(name) = name {
                body["name"] = name.as_str().into();
            }
            let (answer, address) = asked("/users/app-passwords/add", &body)?;
            if args.json {
                say(&answer.to_string());
                return Ok(());
            }
            let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
            say(text("password"));
            complain(&format!(
                "an app password for {address}, named {}; it is not shown again",
                text("name")
            ));
            Ok(())
        }
    }
}

pub(super) fn list(args: &UserAppPasswords, config: &Config) -> Done {
    let body = json!({ "login": parsed(&args.login)?.as_str() });
    let answer = Desk::find(config, false)?.ask_once("POST", "/users/app-passwords", &body)?;
    if args.json {
        say(&answer.to_string());
        return Ok(());
    }
    let mut table = Table::new(&["name", "created (UTC)", "answers challenges"]);
    let list = answer.get("app_passwords").and_then(Value::as_array).map(Vec::as_slice);
    for one in list.unwrap_or_default() {
        table.row([
            one["name"].as_str().unwrap_or_default().to_owned(),
            one["created"].as_u64().map_or("-".into(), when::minute),
            if one["readable"].as_bool() == Some(true) { "yes".into() } else { "no".into() },
        ]);
    }
    say(&table.text());
    if let Some(trouble) = answer.get("trouble").and_then(Value::as_str) {
        complain(&format!("msimd: {trouble}"));
    }
    Ok(())
}
