//! `msimd user …`: the accounts.

use serde_json::{Value, json};

mod app;

use super::args::{User, UserAction};
use super::desk::Desk;
use super::table::Table;
use super::{Done, Failure, configuration, password, say};
use crate::admin::{refusal_text, when};
use crate::domain::id::Login;
use crate::domain::words::Refusal;

pub(super) fn run(args: &User) -> Done {
    crate::log::set_up("warn");
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let (path, login, done) = match &args.action {
        UserAction::List(list) => {
            let answer = Desk::find(&config, false)?.ask_once("GET", "/users", &Value::Null)?;
            let users = answer.get("users").and_then(Value::as_array).map(Vec::as_slice);
            show(users.unwrap_or_default(), list.json);
            return Ok(());
        }
        UserAction::AppPassword(app) => return app::one(app, &config),
        UserAction::AppPasswords(list) => return app::list(list, &config),
        UserAction::Add(add) => ("/users", &add.login, "added"),
        UserAction::Passwd(passwd) => ("/users/password", &passwd.login, "has a new password"),
        UserAction::Disable(disable) => ("/users/disable", &disable.login, "is disabled"),
        UserAction::Enable(enable) => ("/users/enable", &enable.login, "is enabled"),
        UserAction::Remove(remove) => ("/users/remove", &remove.login, "is removed"),
    };
    // Before a password is asked for in vain.
    let login = parsed(login)?;
    let adds = matches!(args.action, UserAction::Add(_));
    let desk = Desk::find(&config, adds)?;
    let mut body = json!({ "login": login.as_str() });
    if adds || matches!(args.action, UserAction::Passwd(_)) {
        body["password"] = password::new_one(login.as_str())?.into();
    }
    let home = desk.server_name()?;
    desk.ask_once("POST", path, &body)?;
    say(&format!("{login}@{home} {done}"));
    Ok(())
}

fn parsed(login: &str) -> Result<Login, Failure> {
    Login::parse(login).map_err(|_| Failure::Usage(refusal_text(Refusal::BadLogin)))
}

fn show(users: &[Value], json: bool) {
    if json {
        say(&Value::from(users).to_string());
        return;
    }
    let mut table = Table::new(&["login", "state", "sessions", "created (UTC)", "last seen (UTC)"]);
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let time = |value: &Value| value.as_u64().map_or("never".into(), when::minute);
    for user in users {
        let disabled = user["disabled"].as_bool() == Some(true);
        table.row([
            text(&user["login"]),
            if disabled { "disabled".into() } else { "active".into() },
            user["sessions"].to_string(),
            time(&user["created"]),
            time(&user["last_seen"]),
        ]);
    }
    say(&table.text());
}
