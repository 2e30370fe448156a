//! The doors as a client finds them, plain and with TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use futures_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use futures_rustls::rustls::crypto::{self, ring::default_provider};
use futures_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme,
    StreamOwned, SupportedProtocolVersion, version,
};
use rcgen::{CertificateParams, KeyPair};

use super::testing::{LONG, PATIENT, SHORT, Stage};
use super::*;
use crate::config::TlsMode;

type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// Trusts one certificate: the one with this pin.
#[derive(Debug)]
struct Pinned(String);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pin = URL_SAFE.encode(ring::digest::digest(&ring::digest::SHA256, end));
        match pin == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(rustls::Error::General(format!("{pin} is not {}", self.0))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = default_provider().signature_verification_algorithms;
        crypto::verify_tls12_signature(message, end, signature, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        end: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = default_provider().signature_verification_algorithms;
        crypto::verify_tls13_signature(message, end, signature, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client(pin: &str, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned(pin.to_owned())))
        .with_no_client_auth();
    Arc::new(config)
}

fn dial(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn connect(address: SocketAddr, client: &Arc<ClientConfig>) -> TlsClient {
    let name = ServerName::try_from("im.test").unwrap();
    let connection = ClientConnection::new(client.clone(), name).unwrap();
    StreamOwned::new(connection, dial(address))
}

/// A request that needs no engine; its whole response has come when this returns.
fn ask(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    stream.write_all(b"POST /v1/NONE HTTP/1.1\r\n\r\n")?;
    let mut text = Vec::new();
    while !text.ends_with(b"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    assert!(text.starts_with(b"HTTP/1.1 501 "), "{}", String::from_utf8_lossy(&text));
    Ok(())
}

struct Running {
    net: Net,
    config: Config,
    _directory: tempfile::TempDir,
}

fn start(change: impl FnOnce(&mut Config, &Path)) -> Running {
    start_with(PATIENT, change)
}

fn start_with(patience: Patience, change: impl FnOnce(&mut Config, &Path)) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::with(patience, |config| {
        config.data_dir = directory.path().join("data");
        change(config, directory.path());
    });
    let config = (*stage.host.house().config).clone();
    let tls = Tls::start(&config).unwrap().map(Arc::new);
    let Stage { host, executor, .. } = stage;
    let guests = Guests::new(host.metrics.clone(), 1000, 1000);
    let net = Net::open(&config, host, Arc::new(guests), tls, executor, None).unwrap();
    Running { net, config, _directory: directory }
}

fn write_certificate(directory: &Path, config: &mut Config) {
    let pair = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["im.test".to_owned()]).unwrap().self_signed(&pair).unwrap();
    config.tls.mode = TlsMode::Files;
    (config.tls.cert, config.tls.key) = (directory.join("c.pem"), directory.join("k.pem"));
    fs::write(&config.tls.cert, certificate.pem()).unwrap();
    fs::write(&config.tls.key, pair.serialize_pem()).unwrap();
}

#[test]
fn doors_open_are_served_and_close_in_order() {
    let running = start(|_, _| {});
    assert_eq!(running.net.pin(), None);
    let mut web = dial(running.net.http_address().unwrap());
    ask(&mut web).unwrap();
    // An unknown type over TCP: layer 1, no session, number 7.
    let mut tcp = dial(running.net.tcp_address().unwrap());
    let mut frame = vec![0, 0, 0, 1];
    frame.extend([0; 32]);
    frame.extend([0, 0, 0, 7, 4]);
    frame.extend(b"NONE");
    frame.extend([0; 10]);
    tcp.write_all(&frame).unwrap();
    let mut head = [0; 36 + 4 + 5 + 8 + 2];
    tcp.read_exact(&mut head).unwrap();
    assert_eq!(head[36..45], *b"\0\0\0\x07\x04NONE");
    assert_eq!(head[53..], 501_u16.to_be_bytes());

    assert!(running.net.pulse().beats(LONG));
    let address = running.net.tcp_address().unwrap();
    assert!(running.net.stop(LONG), "idle connections end at once");
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).unwrap();
    assert_eq!(web.read(&mut [0]).unwrap(), 0);
    assert!(TcpStream::connect(address).is_err(), "the door is closed");
}

#[test]
fn http_has_a_second_door_where_that_is_asked_for() {
    assert_eq!(start(|_, _| {}).net.tinode_address(), None);
    let running = start(|config, _| config.listen.tinode = "127.0.0.1:0".into());
    let mut web = dial(running.net.tinode_address().unwrap());
    ask(&mut web).unwrap();
    web.write_all(b"GET /v0/channels/lp?apikey=good%2Bkey HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    web.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 201 Created\r\n"), "{text}");
    drop(web);
    // The session is still there, and no reason to wait.
    assert!(running.net.stop(LONG));
}

#[test]
fn a_door_that_is_taken_says_what_to_do() {
    let running = start(|_, _| {});
    let address = running.net.http_address().unwrap().to_string();
    let error = open("listen.http", &address).unwrap_err();
    assert!(error.contains(&address) && error.contains("choose another port"), "{error}");
    let error = open("listen.tcp", "192.0.2.1:0").unwrap_err();
    assert!(error.contains("listen.tcp") && error.contains("192.0.2.1"), "{error}");
}

#[test]
fn a_pinned_client_is_served_and_resumes() {
    let running = start(|config, _| config.tls.mode = TlsMode::SelfSigned);
    let address = running.net.http_address().unwrap();
    let pin = running.net.pin().unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let client = client(&pin, &[version]);
        let mut first = connect(address, &client);
        ask(&mut first).unwrap();
        assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
        let mut second = connect(address, &client);
        ask(&mut second).unwrap();
        assert_eq!(second.conn.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
        ask(&mut first).unwrap();
    }
    let other = client(&"A".repeat(44), &[&version::TLS13]);
    assert!(ask(&mut connect(address, &other)).is_err(), "another pin is another server");
    assert!(ask(&mut dial(address)).is_err(), "nothing is plain");
    assert!(running.net.stop(LONG));
}

#[test]
fn a_new_certificate_is_taken_over_and_nobody_dropped() {
    let running = start(|config, directory| write_certificate(directory, config));
    let address = running.net.http_address().unwrap();
    let old = client(&running.net.pin().unwrap(), rustls::ALL_VERSIONS);
    let mut before = connect(address, &old);
    ask(&mut before).unwrap();

    let mut config = running.config.clone();
    write_certificate(running._directory.path(), &mut config);
    running.net.reload_tls(&config).unwrap();
    let pin = running.net.pin().unwrap();
    let new = client(&pin, rustls::ALL_VERSIONS);
    ask(&mut connect(address, &new)).unwrap();
    ask(&mut before).unwrap();

    // Files that do not do leave everything as it is.
    fs::write(&config.tls.cert, "rubbish").unwrap();
    let error = running.net.reload_tls(&config).unwrap_err();
    assert!(error.contains("c.pem") && error.contains("stays"), "{error}");
    write_certificate(running._directory.path(), &mut config);
    fs::write(&config.tls.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = running.net.reload_tls(&config).unwrap_err();
    assert!(error.contains("the certificate and its key"), "{error}");
    config.tls.mode = TlsMode::Off;
    assert!(running.net.reload_tls(&config).unwrap_err().contains("restart"));
    assert_eq!(running.net.pin().unwrap(), pin);
    ask(&mut connect(address, &client(&pin, rustls::ALL_VERSIONS))).unwrap();
    ask(&mut before).unwrap();
}

#[test]
fn a_crowd_of_half_open_handshakes_keeps_nobody_out() {
    let running = start(|config, _| config.tls.mode = TlsMode::SelfSigned);
    let address = running.net.http_address().unwrap();
    let client = client(&running.net.pin().unwrap(), rustls::ALL_VERSIONS);
    // The first bytes of a hello, and never the rest; more of them than may be under way.
    let crowd: Vec<_> = (0..200)
        .map(|_| {
            let mut socket = dial(address);
            socket.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).unwrap();
            socket
        })
        .collect();
    ask(&mut connect(address, &client)).unwrap();
    drop(crowd);
}

#[test]
fn a_handshake_is_not_waited_for_long() {
    let patience = Patience { unfinished: SHORT, ..PATIENT };
    let running = start_with(patience, |config, _| config.tls.mode = TlsMode::SelfSigned);
    let address = running.net.tcp_address().unwrap();
    for hello in [&[][..], &[22, 3, 1, 2, 0, 1]] {
        let mut socket = dial(address);
        socket.write_all(hello).unwrap();
        // An end or a reset: what was sent is unread.
        assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)));
    }
    assert!(running.net.stop(LONG));
}

#[test]
fn tls_is_off_by_itself_only_while_nobody_else_can_listen() {
    let mut config = Config::for_tests();
    assert!(tls::is_off(&config));
    config.listen.line = "[::1]:0".into();
    assert!(tls::is_off(&config));
    config.listen.http = "0.0.0.0:0".into();
    assert!(!tls::is_off(&config));
    config.tls.mode = TlsMode::Off;
    assert!(tls::is_off(&config));
}

#[test]
fn the_tasks_of_connections_are_small() {
    let stage = Stage::new(PATIENT);
    let [guest, other, third, fourth] = [(); 4].map(|()| stage.guest());
    let host = stage.host;
    let socket = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Async::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap()).unwrap()
    };
    let arrival = |guest| {
        Box::new(accept::Arrival { host: host.clone(), guest, socket: socket(), tls: None })
    };
    let tcp = size_of_val(&accept::serve_tcp(arrival(guest)));
    let http = size_of_val(&accept::serve_http(arrival(other)));
    let line = size_of_val(&accept::serve_line(arrival(third)));
    let tags = size_of_val(&accept::serve_tags(arrival(fourth)));
    // Sixty-four more are the executor's, and the allocator counts in sixteens.
    assert!(tcp <= 248 && tags <= 248, "{tcp}, {tags} bytes");
    assert!(line <= 288 && http <= 152, "{line}, {http} bytes");
}
