//! Backups that come back, and bad ones that change nothing.

use serde_json::Value;

use super::*;
use crate::cli::desk::Desk;

fn config(directory: &Path) -> Config {
    Config { data_dir: directory.join("data"), ..Config::for_tests() }
}

fn add(config: &Config, login: &str) {
    let body = json!({ "login": login, "password": "secret" });
    Desk::find(config, true).unwrap().ask_once("POST", "/users", &body).unwrap();
}

fn logins(config: &Config) -> Vec<String> {
    let answer = Desk::find(config, false).unwrap().ask_once("GET", "/users", &Value::Null);
    let users = answer.unwrap()["users"].as_array().unwrap().clone();
    users.iter().map(|u| u["login"].as_str().unwrap().to_owned()).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A database with alice in it, and a backup of it.
fn backed_up(directory: &Path) -> (Config, PathBuf) {
    let config = config(directory);
    add(&config, "alice");
    let file = directory.join("copy.tar");
    let desk = Desk::find(&config, false).unwrap();
    let verdict = desk.ask_once("POST", "/backup", &json!({ "path": file })).unwrap();
    assert_eq!((&verdict["sound"], &verdict["accounts"]), (&json!(true), &json!(1)));
    (config, file)
}

#[test]
fn a_backup_comes_back_and_what_it_replaces_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = backed_up(directory.path());
    add(&config, "bob");
    let backup = fs::read(&file).unwrap();
    let Restored { checked, kept, .. } = put_in_place(&file, &config).unwrap();
    assert_eq!((checked.verdict.accounts, checked.verdict.faults.len()), (1, 0));
    assert_eq!(checked.manifest.map(|m| m.server_name).as_deref(), Some("im.test"));
    assert_eq!(logins(&config), ["alice"]);
    assert_eq!(fs::read(&file).unwrap(), backup, "the backup was written to");
    // And back again, from what was kept: a database alone, as earlier versions backed it up.
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    put_in_place(kept, &config).unwrap();
    assert_eq!(logins(&config), ["alice", "bob"]);
}

#[test]
fn a_bad_backup_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = backed_up(directory.path());
    let before = names(&config.data_dir);
    let whole = fs::read(&file).unwrap();
    let database = fs::read(config.data_dir.join(DATABASE)).unwrap();
    let torn = directory.path().join("torn.tar");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let end = whole.len() - 2 * 512;
    for bytes in [
        b"".to_vec(),
        b"hello".to_vec(),
        whole[..20_000].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        // Its sums, and only they, are missing.
        whole[..end - 1024].to_vec(),
        flipped(600),
        flipped(30_000),
        flipped(end - 500),
    ] {
        fs::write(&torn, bytes).unwrap();
        let failure = put_in_place(&torn, &config).map(|_| ()).unwrap_err();
        let Failure::Failed(why) = failure else { panic!("{failure:?}") };
        assert!(why.contains("torn.tar"), "{why}");
    }
    let missing = directory.path().join("missing.redb");
    assert!(put_in_place(&missing, &config).is_err());
    assert!(put_in_place(directory.path(), &config).is_err());
    assert_eq!(names(&config.data_dir), before);
    assert_eq!(fs::read(config.data_dir.join(DATABASE)).unwrap(), database);
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = backed_up(directory.path());
    let held = Desk::find(&config, false).unwrap();
    let failure = put_in_place(&file, &config).map(|_| ()).unwrap_err();
    assert!(matches!(failure, Failure::Failed(why) if why.contains("in use")));
    drop(held);
    put_in_place(&file, &config).unwrap();
}

#[test]
fn a_backup_goes_into_a_place_without_a_database() {
    let directory = tempfile::tempdir().unwrap();
    let (_, file) = backed_up(directory.path());
    let fresh = Config { data_dir: directory.path().join("fresh"), ..Config::for_tests() };
    let restored = put_in_place(&file, &fresh).unwrap();
    assert!(restored.kept.is_empty(), "{restored:?}");
    assert_eq!(logins(&fresh), ["alice"]);
}

#[test]
fn keys_files_and_configuration_come_along() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    add(&config, "alice");
    let data = config.data_dir.clone();
    let source = directory.path().join("etc.toml");
    fs::write(&source, "server_name = \"im.test\"\n").unwrap();
    config.source = Some(source.clone());
    fs::create_dir_all(data.join("files/ab")).unwrap();
    for (name, text) in [
        ("secrets.key", "secret"),
        ("cert.pem", "certificate"),
        ("key.pem", "key"),
        ("files/ab/picture", "picture"),
        ("files/ab/half.tmp", "half"),
        ("somebody's notes", "no part of it"),
    ] {
        fs::write(data.join(name), text).unwrap();
    }
    let back_up = |name: &str, keys: bool| {
        let file = directory.path().join(name);
        let body = json!({ "path": file, "keys": keys });
        Desk::find(&config, false).unwrap().ask_once("POST", "/backup", &body).unwrap();
        file
    };
    let (all, bare) = (back_up("all.tar", true), back_up("bare.tar", false));
    let read = |directory: &Path, name: &str| fs::read_to_string(directory.join(name)).ok();

    // Onto a card with nothing on it.
    let fresh = Config { data_dir: directory.path().join("fresh"), ..Config::for_tests() };
    let restored = put_in_place(&all, &fresh).unwrap();
    assert_eq!(logins(&fresh), ["alice"]);
    for (name, text) in [
        ("secrets.key", Some("secret")),
        ("cert.pem", Some("certificate")),
        ("key.pem", Some("key")),
        ("files/ab/picture", Some("picture")),
        ("files/ab/half.tmp", None),
        ("somebody's notes", None),
        ("msimd.toml.restored", Some("server_name = \"im.test\"\n")),
    ] {
        assert_eq!(read(&fresh.data_dir, name).as_deref(), text, "{name}");
    }
    assert_eq!(restored.config, Some(fresh.data_dir.join("msimd.toml.restored")));
    let bare_place = Config { data_dir: directory.path().join("bare"), ..Config::for_tests() };
    put_in_place(&bare, &bare_place).unwrap();
    assert_eq!(names(&bare_place.data_dir)[0], "files", "and no key");

    // Where there are others, they are kept; what is the same stays.
    fs::write(data.join("key.pem"), "another key").unwrap();
    fs::write(data.join("files/ab/new"), "another picture").unwrap();
    let restored = put_in_place(&all, &config).unwrap();
    let aside: Vec<String> = restored
        .kept
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .map(|name| name.split(".before-").next().unwrap().to_owned())
        .collect();
    assert_eq!(
        (aside, restored.config),
        (vec!["files".into(), "key.pem".into(), "msimd.redb".into()], None)
    );
    assert_eq!(read(&data, "key.pem").as_deref(), Some("key"));
    assert_eq!(read(&data, "files/ab/new"), None);
    assert_eq!(read(&restored.kept[0], "ab/new").as_deref(), Some("another picture"));
}

#[test]
fn a_restore_that_fails_half_way_takes_everything_back() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    for (name, text) in [("old", "old"), ("new", "new")] {
        fs::write(place(name), text).unwrap();
    }
    {
        let mut swap = Swap { begun: "now".into(), moves: Vec::new() };
        swap.one(&place("new"), place("old")).unwrap();
        assert_eq!(fs::read(place("old")).unwrap(), b"new");
        assert!(swap.one(&place("nothing"), place("never")).is_err());
    }
    assert_eq!(fs::read(place("old")).unwrap(), b"old");
    assert_eq!(names(directory.path()), ["old"]);
}
