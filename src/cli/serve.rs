//! `msimd serve`: the server from its start to its orderly end.

use std::net::SocketAddr;
use std::process;
use std::thread;

use async_signal::{Signal, Signals};
use log::{error, info, warn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smol::channel::Receiver;
use smol::stream::StreamExt as _;

use super::args::Serve;
use super::{Done, Failure, qr, say};
use crate::admin::addresses::{Addresses, shown};
use crate::config::{Config, TlsMode};
use crate::inherited;
use crate::limits::OPEN_FILES_BESIDE_CONNECTIONS;
use crate::memory;
use crate::notify::Supervisor;
use crate::server::{Doors, Server};
use crate::store::Place;
use crate::wire::msim2::LAYER_MAX;

pub(super) fn run(args: &Serve) -> Done {
    // Before anything else has a descriptor.
    let given = inherited::take().map_err(Failure::Failed)?;
    let path = Config::find(args.config.as_deref());
    let mut config = Config::load(path.as_deref(), args.data.as_deref())?;
    crate::log::set_up(&config.log);
    for strange in inherited::assign(given, &mut config.listen) {
        warn!("{strange}");
    }
    warn_of(&config);
    raise_open_files(config.budget()?.connections);
    // Before the start, so that a signal in its midst is kept and not deadly.
    let mut signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup])
        .map_err(|e| Failure::Failed(format!("signals cannot be heard: {e}")))?;

    let place =
        if args.memory_only { Place::Memory } else { Place::Directory(config.data_dir.clone()) };
    let start = if args.sample_data { Server::start_filled } else { Server::start };
    let server = start(config.clone(), place).map_err(|e| Failure::Failed(e.0))?;
    for door in inherited::unclaimed() {
        warn!("a socket for {door} was handed over, and that door is not served");
    }
    say(&greeting(&config, server.doors(), args.memory_only));
    show_code(&config, server.doors(), args.qr);
    memory::forget_start();
    let supervisor = Supervisor::of_this_process();
    let status = format!("serves {}", config.server_name);
    supervisor.ready(&status);
    let feeder = supervisor.watch(status.clone(), server.vital_signs());
    let (failed, asked) = (server.failed(), server.asked_to_stop());
    let end = loop {
        match wait(&mut signals, &failed, &asked) {
            Woken::Signal(Signal::Hup) => {
                supervisor.reloading();
                reload(&server, &config, args);
                supervisor.ready(&status);
            }
            Woken::Signal(signal) => {
                info!("stopping on {signal:?}");
                break Ok(());
            }
            Woken::Asked => {
                info!("stopping because an operator wants it");
                break Ok(());
            }
            Woken::Failed => {
                let why = "the server cannot go on and has stopped; the log says why";
                break Err(Failure::Failed(why.into()));
            }
        }
    };
    end_on_another(signals);
    supervisor.stopping();
    drop(feeder);
    if !server.stop() {
        return Err(Failure::Failed("not everything stopped in order; see the log".into()));
    }
    info!("stopped");
    end
}

/// What the main thread waits for.
enum Woken {
    Signal(Signal),
    Asked,
    Failed,
}

/// Without a part in the reactor: it belongs to the carriers' threads, which would otherwise be
/// woken by way of this one.
fn wait(signals: &mut Signals, failed: &Receiver<()>, asked: &Receiver<()>) -> Woken {
    let signal = async {
        loop {
            match signals.next().await {
                Some(Ok(signal)) => return Woken::Signal(signal),
                Some(Err(error)) => warn!("a signal was not understood: {error}"),
                // Does not happen while `signals` lives; waiting for the other one is all there is.
                None => smol::future::pending().await,
            }
        }
    };
    let failure = async {
        let _ = failed.recv().await;
        Woken::Failed
    };
    let asking = async {
        match asked.recv().await {
            Ok(()) => Woken::Asked,
            // Whoever could ask is gone, which is told in another way.
            Err(_) => smol::future::pending().await,
        }
    };
    smol::future::block_on(smol::future::or(signal, smol::future::or(asking, failure)))
}

/// Whoever asks twice does not want to wait.
fn end_on_another(mut signals: Signals) {
    let impatience = thread::Builder::new().name("impatience".into()).spawn(move || {
        while let Some(signal) = smol::future::block_on(signals.next()) {
            if matches!(signal, Ok(Signal::Int | Signal::Term)) {
                process::exit(1);
            }
        }
    });
    if let Err(error) = impatience {
        warn!("a second signal will not be heard: {error}");
    }
}

/// Reads the configuration again. What is wrong with it is said, and nothing changes then.
/// `started`: what the server was started with.
fn reload(server: &Server, started: &Config, args: &Serve) {
    let path = Config::find(args.config.as_deref());
    let mut new = match Config::load(path.as_deref(), args.data.as_deref()) {
        Ok(new) => new,
        Err(problem) => {
            error!("the configuration was not read again: {problem}");
            return;
        }
    };
    inherited::stand(&mut new.listen);
    let (new, waiting) = started.reloaded(new);
    let level = new.log.clone();
    if let Err(problem) = server.reload(new) {
        error!("the configuration was not taken over: {problem}");
        return;
    }
    crate::log::set_level(&level);
    if waiting.is_empty() {
        info!("the configuration was read again");
    } else {
        warn!("the configuration was read again; only a restart changes {}", waiting.join(", "));
    }
}

fn warn_of(config: &Config) {
    let listen = &config.listen;
    let open = [&listen.tcp, &listen.http, &listen.line, &listen.tags]
        .into_iter()
        .filter_map(|text| text.parse::<SocketAddr>().ok())
        .find(|address| !address.ip().is_loopback());
    if let (Some(address), "localhost") = (open, config.server_name.as_str()) {
        warn!(
            "server_name is \"localhost\" and {address} can be reached from outside: people are \
             called alice@localhost; choose a name before the first account"
        );
    }
    if let (Some(address), TlsMode::Off) = (open, config.tls.mode) {
        warn!(
            "tls.mode is \"off\" and {address} can be reached from outside: passwords travel bare"
        );
    }
}

/// Each connection is a file descriptor; the usual soft limit of 1,024 is for programs that use
/// select(2).
fn raise_open_files(connections: usize) {
    let wanted = connections as u64 + OPEN_FILES_BESIDE_CONNECTIONS;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let possible = now.maximum.map_or(wanted, |most| most.min(wanted));
    let raised =
        setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: now.maximum });
    if raised.is_err() || possible < wanted {
        warn!(
            "{wanted} open files are wanted for {connections} connections and {possible} allowed; \
             raise the limit (LimitNOFILE=) or lower limits.connections"
        );
    }
}

/// The address for a phone's camera, where it is one that others can use.
fn show_code(config: &Config, doors: &Doors, asked: bool) {
    if doors.pin.is_none() && !asked {
        return;
    }
    let addresses = Addresses::of(doors, &config.server_name);
    if let Some(code) = addresses.first().and_then(|address| qr::shown(address, asked)) {
        say(&format!("\n{code}"));
    }
}

/// What a person reads after the start: where the doors are, and what to type next.
fn greeting(config: &Config, doors: &Doors, memory_only: bool) -> String {
    let mut text = format!("msimd {} serves {}", env!("CARGO_PKG_VERSION"), config.server_name);
    if memory_only {
        text.push_str(" from memory: everything is gone when it ends.\n\n");
    } else {
        text.push_str(&format!(" from {}.\n\n", config.data_dir.display()));
    }
    let addresses = Addresses::of(doors, &config.server_name);
    let plain = doors.pin.is_none();
    if let Some(tcp) = doors.tcp {
        let at = shown(tcp, &config.server_name);
        let address = addresses.tcp.filter(|_| !plain).unwrap_or(at);
        text.push_str(&format!("  TCP        {address}\n"));
    }
    if let Some(http) = doors.http {
        let at = shown(http, &config.server_name);
        let address = addresses.http.filter(|_| !plain).unwrap_or(format!("http://{at}"));
        text.push_str(&format!("  HTTP       {address}\n"));
        let scheme = if doors.pin.is_some() { "wss" } else { "ws" };
        text.push_str(&format!("  WebSocket  {scheme}://{at}/v{LAYER_MAX}/ws\n"));
    }
    if let Some(line) = doors.line {
        let at = shown(line, &config.server_name);
        let tls = if doors.pin.is_some() { " (TLS)" } else { "" };
        text.push_str(&format!("  line       {at}{tls}\n"));
    }
    if let Some(tags) = doors.tags {
        let at = shown(tags, &config.server_name);
        let tls = if doors.pin.is_some() { " (TLS)" } else { "" };
        text.push_str(&format!("  tags       {at}{tls}\n"));
    }
    if let Some(tinode) = doors.tinode {
        let at = shown(tinode, &config.server_name);
        let scheme = if doors.pin.is_some() { "https" } else { "http" };
        text.push_str(&format!("  Tinode     {scheme}://{at}\n"));
    }
    if config.has_admin() {
        text.push_str(&format!("  admin      {}\n", config.admin_socket().display()));
    }
    if let Some(http) = doors.http {
        let at = shown(http, &config.server_name);
        let url = if doors.pin.is_some() { "-k https://" } else { "http://" };
        text.push_str(&format!(
            "\nTry it from another terminal:\n\n  curl -d '{{}}' {url}{at}/v{LAYER_MAX}/HELLO\n  \
             msimd user add alice\n"
        ));
    }
    text.push_str("\nCtrl-C stops it.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(tcp: &str, http: &str, pin: Option<&str>) -> Doors {
        Doors {
            tcp: tcp.parse().ok(),
            http: http.parse().ok(),
            line: "127.0.0.1:3216".parse().ok(),
            tags: "127.0.0.1:3219".parse().ok(),
            tinode: "127.0.0.1:6060".parse().ok(),
            pin: pin.map(str::to_owned),
        }
    }

    #[test]
    fn the_greeting_names_every_door() {
        let config = Config::default();
        let text = greeting(&config, &doors("127.0.0.1:3217", "127.0.0.1:3218", None), false);
        for part in [
            "serves localhost from ./msimd-data.",
            "  TCP        127.0.0.1:3217\n",
            "  HTTP       http://127.0.0.1:3218\n",
            "ws://127.0.0.1:3218/v5/ws",
            "  line       127.0.0.1:3216\n",
            "  tags       127.0.0.1:3219\n",
            "  Tinode     http://127.0.0.1:6060\n",
            "curl -d '{}' http://127.0.0.1:3218/v5/HELLO\n",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let text = greeting(&config, &doors("", "127.0.0.1:3218", None), true);
        assert!(!text.contains("TCP") && text.contains("from memory"), "{text}");
    }

    #[test]
    fn with_tls_the_addresses_are_pinned() {
        let config = Config { server_name: "im.test".into(), ..Config::default() };
        let text = greeting(&config, &doors("0.0.0.0:3217", "[::]:3218", Some("abc=")), false);
        assert!(text.contains("msim-tcp://im.test:3217?end-cert=abc=\n"), "{text}");
        assert!(text.contains("msim-http://im.test:3218/?end-cert=abc=\n"), "{text}");
        assert!(text.contains("  line       127.0.0.1:3216 (TLS)\n"), "{text}");
        assert!(text.contains("curl -d '{}' -k https://im.test:3218/v5/HELLO"), "{text}");
    }
}
