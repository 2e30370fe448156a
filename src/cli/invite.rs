//! `msimd invite`: codes for registering.

use serde_json::{Value, json};

use super::args::Invite;
use super::desk::Desk;
use super::{Done, Failure, complain, configuration, say};

pub(super) fn run(args: &Invite) -> Done {
    crate::log::set_up("warn");
    if args.uses == 0 {
        return Err(Failure::Usage("--uses has to be at least 1".into()));
    }
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let body = json!({ "uses": args.uses });
    let answer = Desk::find(&config, true)?.ask_once("POST", "/invites", &body)?;
    if args.json {
        say(&answer.to_string());
        return Ok(());
    }
    say(answer.get("code").and_then(Value::as_str).unwrap_or_default());
    complain(&format!(
        "good for {} and {} days",
        if args.uses == 1 {
            "one registration".into()
        } else {
            format!("{} registrations", args.uses)
        },
        config.limits.invite_ttl
    ));
    Ok(())
}
