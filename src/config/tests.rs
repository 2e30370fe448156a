use super::*;

/// What a text comes to, through a file as the operator writes it.
fn load(text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("msimd.toml");
    std::fs::write(&path, text).unwrap();
    // Where it lay is gone with it.
    let loaded = Config::load(Some(&path), None).map(|config| Config { source: None, ..config });
    loaded.map_err(|error| {
        let text = error.to_string();
        text.replace(&format!("{}/", directory.path().display()), "")
    })
}

fn refused(text: &str) -> String {
    load(text).map(|_| ()).expect_err(text)
}

#[test]
fn the_printed_defaults_are_the_defaults() {
    let printed = load(DEFAULTS).unwrap();
    assert_eq!(format!("{printed:#?}"), format!("{:#?}", Config::default()));
    // Which shows itself to nobody.
    assert!(printed.tinode.key_salt == Salt::default());
}

#[test]
fn every_key_is_printed() {
    // The parser's own complaint lists every key that a table may have.
    let keys = |text: &str| -> Vec<String> {
        let error = basic_toml::from_str::<Config>(text).map(|_| ()).unwrap_err().to_string();
        let Some((_, list)) = error.split_once("expected ") else { return Vec::new() };
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut seen = 0;
    for table in ["", "listen", "http", "tinode", "tls", "limits", "password", "history", "admin"] {
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        for key in keys(&format!("{header}no_such_key = 1\n")) {
            if key == table {
                continue;
            }
            let name = if table.is_empty() { key } else { format!("{table}.{key}") };
            assert!(error::line_of(DEFAULTS, &name).is_some(), "{name} is not printed");
            seen += 1;
        }
    }
    assert!(seen > 45, "only {seen} keys were found");
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(format!("{:?}", load("").unwrap()), format!("{:?}", Config::default()));
}

#[test]
fn the_tests_own_configuration_is_valid() {
    assert_eq!(Config::for_tests().check(""), Ok(()));
}

#[test]
fn an_error_names_file_line_key_and_what_was_expected() {
    assert_eq!(
        refused("server_name = \"a.test\"\n\n[listen]\nhttp = \"\"\ntcp = \"localhost\"\n"),
        "msimd.toml, line 5: listen.tcp: \"localhost\" is no address; expected IP:PORT such as \
         \"127.0.0.1:3217\" or \"[::]:3217\", or \"\" to turn the door off"
    );
    assert_eq!(
        refused("# hello\nthreads = \"two\"\n"),
        "msimd.toml, line 2: threads: invalid type: string \"two\", expected usize"
    );
    assert_eq!(
        refused("[tls]\nmode = \"on\"\n"),
        "msimd.toml, line 2: tls.mode: unknown variant `on`, expected one of `auto`, `off`, \
         `files`, `self-signed`"
    );
    assert_eq!(
        refused("[password]\nmemory_kib = 19456\npases = 3\n"),
        "msimd.toml, line 3: password.pases: there is no such key; expected `memory_kib` or \
         `passes`"
    );
    let error = refused("log = \"info\"\nlog = \"warn\"\n");
    assert_eq!(error, "msimd.toml, line 2: duplicate key: `log`");
    let error = refused("\n\nlog = info\n");
    assert!(error.starts_with("msimd.toml, line 3: "), "{error}");
}

#[test]
fn values_that_cannot_work_are_refused() {
    for (text, part) in [
        ("server_name = \"a b\"", "line 1: server_name: \"a b\" is no host name"),
        ("server_name = \"\"", "server_name: \"\" is no host name"),
        ("server_name = \"im.test:3217\"", "is no host name"),
        ("server_name = \"im.test/x\"", "is no host name"),
        ("data_dir = \"\"", "data_dir: it is empty"),
        ("log = \"loud\"", "expected one of error, warn, info, debug"),
        ("memory = \"lots\"", "memory: \"lots\" is no size"),
        ("memory = \"-1M\"", "is no size"),
        ("memory = \"M\"", "is no size"),
        ("memory = \"16M\"", "16M is too little"),
        ("[listen]\ntcp = \"127.0.0.1:4000\"\nhttp = \"127.0.0.1:4000\"", "line 3: listen.http: "),
        (
            "[listen]\ntcp = \"\"\nhttp = \"\"\nline = \"\"\ntags = \"\"",
            "line, tags and tinode are turned off",
        ),
        ("[tls]\nmode = \"files\"", "tls.cert: it is empty"),
        ("[tls]\nmode = \"files\"\ncert = \"/no/such\"", "line 3: tls.cert: /no/such cannot be"),
        ("[tls]\ncert = \"a.pem\"", "only used with tls.mode = \"files\""),
        ("[limits]\nfetch_hold = 0", "line 2: limits.fetch_hold: 0 is not from 1 to 300"),
        ("[limits]\nmax_text_bytes = 70000", "70000 is not from 1 to 65536"),
        ("[limits]\nconnections = 999999", "memory: "),
        ("[limits]\nrate = \"yes\"", "limits.rate: unknown variant `yes`, expected `on` or `off`"),
        ("[password]\nmemory_kib = 1", "1 is not from 8 to 1048576"),
        ("[admin]\nmetrics = \"0.0.0.0:9464\"", "can be reached from outside"),
        ("[admin]\nmetrics = \"9464\"", "is no address"),
        ("[http]\norigins = [\"chat.example.org\"]", "line 2: http.origins: "),
        ("[http]\norigins = [\"https://a.test/path\"]", "is no origin"),
        ("[tinode]\nkeys = [\"secret\"]", "line 2: tinode.keys: \"secret\" is no API key; "),
        ("[tinode]\nkeys = [\"AAAAAAABAAD_rAp4DJh05a1HAwFT3A6K\"]", "is no API key"),
        ("[tinode]\nkeys = [\"AQEAAAABAAD/rAp4DJh05a1HAwFT3A6K\"]", "is no API key"),
        (
            "[history]\nretention = \"90\"",
            "line 2: history.retention: \"90\" is no time; expected ",
        ),
        ("[history]\nretention = \"0d\"", "\"0d\" is no time"),
        ("[history]\nretention = \"d\"", "is no time"),
        ("[history]\nretention = \"1.5y\"", "is no time"),
        ("[history]\nretention = \"-3w\"", "is no time"),
        ("[history]\nretention = \"101y\"", "from \"1d\" to \"100y\""),
        ("[history]\nretention = \"99999999999999999999y\"", "is no time"),
        ("[history]\nretention = \"12m\"", "is no time"),
        ("[nothing]\na = 1", "nothing: there is no such key"),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "{text:?} gave: {error}");
    }
    let long = format!("data_dir = \"/{}\"", "x".repeat(100));
    assert!(refused(&long).contains("admin.socket: "));
}

#[test]
fn a_salt_is_hexadecimal_and_never_shown() {
    let salt = "0123456789abcdefABCDEF0123456789";
    let config = load(&format!("[tinode]\nkey_salt = \"{salt}\"\n")).unwrap();
    assert_eq!(config.tinode.key_salt.bytes()[..3], [0x01, 0x23, 0x45]);
    assert_eq!(format!("{:?}", config.tinode), "Tinode { key_salt: Salt(..), keys: [] }");
    let long = "0".repeat(258);
    for bad in ["", "00", "topsecret", &salt[1..], &salt[2..], &format!("{salt}0"), &long] {
        assert_eq!(
            refused(&format!("[tinode]\nkey_salt = \"{bad}\"\n")),
            "msimd.toml, line 2: tinode.key_salt: it is no salt; expected 32 to 256 hexadecimal \
             digits"
        );
    }
    for bad in ["12345", "+123456789abcdef0123456789abcdef0", "[\"a\"]", "true"] {
        let error = refused(&format!("[tinode]\nkey_salt = {bad}\n"));
        assert!(!error.contains(bad), "{error}");
    }
    assert!(Salt::from_hex(&"0".repeat(256)).is_some());
}

#[test]
fn a_missing_file_is_no_default() {
    let error = Config::load(Some(Path::new("/no/such/msimd.toml")), None).unwrap_err();
    assert!(error.to_string().starts_with("/no/such/msimd.toml: cannot be read: "), "{error}");
}

#[test]
fn good_values_are_taken() {
    let text = "server_name = \"IM.Test\"\nmemory = \"64M\"\n[listen]\ntcp = \"[::]:0\"\n\
                http = \"0.0.0.0:0\"\n[http]\norigins = [\"http://localhost:8080\"]\n\
                [admin]\nmetrics = \"[::1]:9464\"\n";
    let config = load(text).unwrap();
    assert_eq!(config.server_name, "im.test");
    assert_eq!(config.budget().unwrap().ceiling, 64 << 20);
    assert_eq!(config.metrics_address().map(|a| a.port()), Some(9464));
    assert_eq!(config.admin_socket(), Path::new("./msimd-data/admin.sock"));
}

#[test]
fn sizes_have_units() {
    assert_eq!(check::size("65536"), Some(65_536));
    assert_eq!(check::size("64K"), Some(65_536));
    assert_eq!(check::size("1g"), Some(1 << 30));
    for bad in ["", "G", "1.5M", "+1M", "64MB", "99999999999999999999", "18014398509481984K"] {
        assert_eq!(check::size(bad), None, "{bad}");
    }
}

#[test]
fn a_reload_takes_what_it_can_and_names_what_waits_for_a_restart() {
    let old = Config::default();
    let mut new = old.clone();
    new.log = "debug".into();
    new.instructions = "ask alice".into();
    new.limits.rate_burst = 1;
    let (merged, waiting) = old.reloaded(new.clone());
    assert_eq!(waiting, Vec::<&str>::new());
    assert_eq!(format!("{merged:?}"), format!("{new:?}"));
    new.server_name = "other.test".into();
    new.listen.tcp = "127.0.0.1:4000".into();
    new.limits.connections = 20;
    let (merged, waiting) = old.reloaded(new);
    assert_eq!(waiting, ["[listen]", "limits.connections", "server_name"]);
    assert_eq!((merged.server_name.as_str(), merged.limits.connections), ("localhost", 0));
    assert_eq!((merged.log.as_str(), merged.limits.rate_burst), ("debug", 1));
}

#[test]
fn how_long_messages_are_kept_is_days_weeks_or_years() {
    let days = |text: &str| {
        load(&format!("[history]\nretention = {text:?}")).map(|config| config.history.days())
    };
    for (text, expected) in [
        ("forever", None),
        ("1d", Some(1)),
        ("12w", Some(84)),
        ("2y", Some(730)),
        ("100y", Some(36_500)),
    ] {
        assert_eq!(days(text), Ok(expected), "{text}");
    }
    assert_eq!(Config::default().history.days(), None);
    // A running server takes it over.
    let new = load("[history]\nretention = \"30d\"").unwrap();
    let (merged, waiting) = Config::default().reloaded(new);
    assert_eq!((merged.history.days(), waiting), (Some(30), vec![]));
}
