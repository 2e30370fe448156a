//! `msimd invite`: codes for registering, alone and in an address that a client opens.

use serde_json::json;

use super::args::Invite;
use super::desk::Desk;
use super::{Done, Failure, complain, configuration, qr, say};

pub(super) fn run(args: &Invite) -> Done {
    crate::log::set_up("warn");
    if args.uses == 0 {
        return Err(Failure::Usage("--uses has to be at least 1".into()));
    }
    let config = configuration(args.config.as_deref(), args.data.as_deref())?;
    let desk = Desk::find(&config, true)?;
    // First: a code that nobody gets to see would be good for a week.
    let addresses = desk.addresses()?;
    let mut answer = desk.ask_once("POST", "/invites", &json!({ "uses": args.uses }))?;
    let code = answer["code"].as_str().unwrap_or_default().to_owned();
    let addresses = addresses.inviting(&code);
    if args.json {
        answer["addresses"] = addresses.json();
        say(&answer.to_string());
        return Ok(());
    }
    // The code stands alone on the first line, for scripts.
    say(&code);
    for address in [&addresses.http, &addresses.tcp].into_iter().flatten() {
        say(address);
    }
    if let Some(code) = addresses.first().and_then(|address| qr::shown(address, args.qr)) {
        say(&format!("\n{code}"));
    }
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
