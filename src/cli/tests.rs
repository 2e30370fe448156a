use super::*;
use args::{ConfigAction, UserAction};

fn check(line: &str) -> Result<Command, Stop> {
    parse(&line.split_whitespace().collect::<Vec<_>>())
}

#[test]
fn the_commands_have_their_fixed_names() {
    for line in [
        "serve",
        "serve --config a.toml --data d --memory-only",
        "user add alice",
        "user list --json",
        "user passwd alice",
        "user disable alice",
        "user enable alice",
        "user remove alice",
        "user app-password alice",
        "user app-password alice --name phone --json",
        "user app-password alice --revoke phone --data d",
        "user app-passwords alice --json",
        "user --data d list",
        "user list --json --data d --config a.toml",
        "user add alice --data d",
        "config check --config a.toml",
        "invite",
        "invite --uses 5 --json",
        "status --json",
        "backup a.redb --json",
        "restore a.redb",
        "verify",
        "verify a.redb",
        "config check --json",
        "doctor --json --strict",
        "export alice",
        "export alice a.jsonl --data d",
        "import a.jsonl --all --no-password --json",
        "config print",
        "bench",
    ] {
        assert!(check(line).is_ok(), "{line}: {:?}", check(line));
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for line in [
        "",
        "sevre",
        "serve now",
        "user",
        "user add",
        "invite --uses many",
        "backup",
        "config",
        "user list --data",
    ] {
        let stop = check(line).map(|_| ()).expect_err(line);
        assert_eq!(stop.code, 2, "{line}: {}", stop.output);
        assert!(!stop.output.is_empty(), "{line}");
    }
}

#[test]
fn a_password_is_no_argument() {
    assert_eq!(check("user add alice secret").map(|_| ()).map_err(|s| s.code), Err(2));
    assert_eq!(check("user add alice --password secret").map(|_| ()).map_err(|s| s.code), Err(2));
}

#[test]
fn help_and_version_are_no_errors() {
    for line in ["--help", "serve --help", "--version"] {
        let stop = check(line).map(|_| ()).expect_err(line);
        assert_eq!(stop.code, 0, "{line}");
    }
}

#[test]
fn values_arrive_where_they_belong() {
    let Ok(Command::Serve(serve)) = check("serve --config a.toml --data d") else { panic!() };
    assert_eq!(serve.config.as_deref(), Some(Path::new("a.toml")));
    assert_eq!(serve.data.as_deref(), Some(Path::new("d")));
    assert!(!serve.memory_only);
    let Ok(Command::User(user)) = check("user add алиса") else { panic!() };
    assert!(matches!(user.action, UserAction::Add(add) if add.login == "алиса"));
    let Ok(Command::Invite(invite)) = check("invite") else { panic!() };
    assert_eq!(invite.uses, 1);
    let Ok(Command::Config(config)) = check("config check") else { panic!() };
    assert!(matches!(config.action, ConfigAction::Check(_)));
}
