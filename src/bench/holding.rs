//! Memory of idle connections: many sessions, each on a connection of its own, none of them doing
//! anything.
//!
//! The sessions are made by a first run of the server and found again by a second one, so that what
//! logging in leaves behind (database pages, freed hash memory) is not counted as a connection's.

mod tinode;

use std::cell::Cell;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_rustls::TlsConnector;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Task, Timer};

use super::crowd::{self, Crowd};
use super::link::{self, Link, Stream};
use super::server::Server;
use super::tls;
use super::usage::Memory;

/// Sessions that log in over one connection: the most that a connection may carry.
const SESSIONS_PER_LINK: usize = 64;
/// Connections that come and go before the first measurement.
const VISITORS: usize = 64;
/// Nothing has been answered for so long: every poll is parked.
const QUIET: Duration = Duration::from_secs(1);
/// Between two looks at memory, and how many equal ones in a row count as rest.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS: usize = 4;
const LOOKS_MAX: usize = 60;
const DEADLINE: Duration = Duration::from_secs(180);
/// The head of a long poll's answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How the idle ones are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Tcp,
    Tls,
    /// mSIM 2 in lines.
    Line,
    /// A parked `GET /v3/fetch`.
    Poll,
    /// Tinode over WebSocket, attached to `me`.
    Tinode,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) before: Memory,
    pub(super) holding: Memory,
    pub(super) after: Memory,
}

/// An idle connection: dropping it closes it.
type Idler = Task<Result<(), String>>;

/// Holds `count` connections on a server of its own.
pub(super) fn measure(parent: &Path, carrier: Carrier, count: usize) -> Result<Held, String> {
    let tls = carrier == Carrier::Tls;
    let connector = tls.then(tls::connector).transpose()?;
    let (mut server, _) = Server::start(parent, tls)?;
    let executor = LocalExecutor::new();
    let crowd = Crowd::new();
    let making = sessions(&executor, &crowd, server.tcp, connector.clone(), count + VISITORS);
    let mut people = crowd::run(&executor, DEADLINE, making)?;
    server.restart(false, tls)?;
    let visitors = people.split_off(count);
    let holding = hold(&executor, &server, carrier, connector, people, visitors);
    crowd::run(&executor, DEADLINE, holding)
}

/// A login, and a session of its account.
type Person = (String, [u8; 32]);

async fn hold(
    executor: &LocalExecutor<'static>,
    server: &Server,
    carrier: Carrier,
    connector: Option<TlsConnector>,
    people: Vec<Person>,
    visitors: Vec<Person>,
) -> Result<Held, String> {
    drop(connect(executor, server, carrier, connector.clone(), visitors).await?);
    let before = rest(server).await?;
    let idlers = connect(executor, server, carrier, connector, people).await?;
    let holding = rest(server).await?;
    for idler in &idlers {
        if idler.is_finished() {
            return Err("the server closed an idle connection".into());
        }
    }
    drop(idlers);
    let after = rest(server).await?;
    Ok(Held { before, holding, after })
}

/// Makes sessions of a few accounts.
async fn sessions(
    executor: &LocalExecutor<'static>,
    crowd: &Crowd,
    door: SocketAddr,
    connector: Option<TlsConnector>,
    count: usize,
) -> Result<Vec<Person>, String> {
    let links = count.div_ceil(SESSIONS_PER_LINK);
    let made = crowd::together(executor, links, |index| {
        let (connector, login) = (connector.clone(), crowd.sender(index));
        async move {
            let mut link = Link::new(dial(door, connector).await?);
            link.register(&login).await?;
            let mut made = Vec::with_capacity(SESSIONS_PER_LINK);
            for _ in 0..SESSIONS_PER_LINK {
                link.log_in(&login).await?;
                made.push((login.clone(), link.session));
            }
            Ok(made)
        }
    })
    .await?;
    Ok(made.into_iter().flatten().take(count).collect())
}

/// One idle connection a session, each of them known to the server as that session's.
async fn connect(
    executor: &LocalExecutor<'static>,
    server: &Server,
    carrier: Carrier,
    connector: Option<TlsConnector>,
    people: Vec<Person>,
) -> Result<Vec<Idler>, String> {
    if carrier == Carrier::Tinode {
        let door = server.http.ok_or("the server has no HTTP door")?;
        let logins: Vec<String> = people.into_iter().map(|(login, _)| login).collect();
        return tinode::connect(executor, door, &logins).await;
    }
    let sessions: Vec<[u8; 32]> = people.into_iter().map(|(_, session)| session).collect();
    if carrier == Carrier::Poll {
        let door = server.http.ok_or("the server has no HTTP door")?;
        return park(executor, door, sessions).await;
    }
    if carrier == Carrier::Line {
        let door = server.line.ok_or("the server has no line door")?;
        return write_lines(executor, door, sessions).await;
    }
    let door = server.tcp;
    let links = crowd::together(executor, sessions.len(), |index| {
        let (connector, session) = (connector.clone(), sessions[index]);
        async move {
            let mut link = Link::new(dial(door, connector).await?);
            link.session = session;
            // Any packet attaches the session it names; this one is answered from memory and disk.
            link.insist("CHATS-GET", b"{\"count\":1}").await?;
            Ok(link)
        }
    })
    .await?;
    Ok(links.into_iter().map(|link| executor.spawn(idle(link))).collect())
}

/// Listens until the connection ends, which it should not.
async fn idle(mut link: Link<Box<dyn Stream>>) -> Result<(), String> {
    loop {
        link.next().await?;
    }
}

/// One idle connection a session, on the line door.
async fn write_lines(
    executor: &LocalExecutor<'static>,
    door: SocketAddr,
    sessions: Vec<[u8; 32]>,
) -> Result<Vec<Idler>, String> {
    let streams = crowd::together(executor, sessions.len(), |index| {
        let session = hex(&sessions[index]);
        async move {
            let mut stream = link::connect(door).await?;
            let lines = format!("HELLO session={session}\nCHATS-GET count=1\n");
            let broken = |e: std::io::Error| format!("a line connection broke: {e}");
            stream.write_all(lines.as_bytes()).await.map_err(broken)?;
            for answer in answers(&mut stream, 2).await? {
                if !answer.starts_with("200 ") {
                    return Err(format!("a line was answered {answer:?}"));
                }
            }
            Ok(stream)
        }
    })
    .await?;
    Ok(streams.into_iter().map(|stream| executor.spawn(listen(stream))).collect())
}

/// So many lines that are no pushes.
async fn answers(stream: &mut Async<TcpStream>, count: usize) -> Result<Vec<String>, String> {
    let mut answers = Vec::new();
    let mut input = Vec::new();
    while answers.len() < count {
        let mut chunk = [0; 512];
        match stream.read(&mut chunk).await.map_err(|e| format!("no answer to a line: {e}"))? {
            0 => return Err("the server closed a line connection".into()),
            n => input.extend_from_slice(&chunk[..n]),
        }
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = input.drain(..=end).collect();
            if !line.starts_with(b"PUSH ") {
                answers.push(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
        }
        if input.len() > HEAD_BYTES_MAX {
            return Err("a line without end".into());
        }
    }
    Ok(answers)
}

/// Reads until the connection ends, which it should not.
async fn listen(mut stream: Async<TcpStream>) -> Result<(), String> {
    loop {
        answers(&mut stream, 1).await?;
    }
}

fn hex(session: &[u8; 32]) -> String {
    session.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn dial(
    door: SocketAddr,
    connector: Option<TlsConnector>,
) -> Result<Box<dyn Stream>, String> {
    Ok(match connector {
        Some(connector) => Box::new(tls::connect(&connector, door).await?),
        None => Box::new(link::connect(door).await?),
    })
}

/// What the polls of one run share.
#[derive(Debug)]
struct Polls {
    started: Cell<usize>,
    last_answer: Cell<Instant>,
}

/// Long polls that have taken whatever waited for them and are now held.
async fn park(
    executor: &LocalExecutor<'static>,
    door: SocketAddr,
    sessions: Vec<[u8; 32]>,
) -> Result<Vec<Idler>, String> {
    let count = sessions.len();
    let polls = Rc::new(Polls { started: Cell::new(0), last_answer: Cell::new(Instant::now()) });
    let streams =
        crowd::together(executor, count, |_| async move { link::connect(door).await }).await?;
    let mut idlers = Vec::with_capacity(count);
    for (stream, session) in streams.into_iter().zip(sessions) {
        idlers.push(executor.spawn(poll(stream, session, polls.clone())));
    }
    while polls.started.get() < count || polls.last_answer.get().elapsed() < QUIET {
        Timer::after(LOOK).await;
        if let Some(index) = idlers.iter().position(Task::is_finished) {
            return Err(match idlers.swap_remove(index).await {
                Err(why) => why,
                Ok(()) => "a long poll ended".into(),
            });
        }
    }
    Ok(idlers)
}

/// Fetches for ever on one connection.
async fn poll(
    mut stream: Async<TcpStream>,
    session: [u8; 32],
    polls: Rc<Polls>,
) -> Result<(), String> {
    let session = hex(&session);
    let request =
        format!("GET /v3/fetch HTTP/1.1\r\nHost: localhost\r\nX-Session: {session}\r\n\r\n");
    let broken = |e: std::io::Error| format!("a long poll broke: {e}");
    let mut input = Vec::new();
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    polls.started.set(polls.started.get() + 1);
    loop {
        let mut chunk = [0; 512];
        match stream.read(&mut chunk).await.map_err(broken)? {
            0 => return Err("the server closed a long poll".into()),
            n => input.extend_from_slice(&chunk[..n]),
        }
        while let Some((status, end)) = answer(&input)? {
            if status != 200 && status != 204 {
                return Err(format!("a long poll was answered {status}"));
            }
            input.drain(..end);
            polls.last_answer.set(Instant::now());
            stream.write_all(request.as_bytes()).await.map_err(broken)?;
        }
    }
}

/// The status and the length of the HTTP answer that `input` begins with.
fn answer(input: &[u8]) -> Result<Option<(u16, usize)>, String> {
    let Some(head) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        let is_endless = input.len() > HEAD_BYTES_MAX;
        return if is_endless { Err("an HTTP answer without end".into()) } else { Ok(None) };
    };
    let text = String::from_utf8_lossy(&input[..head]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("not an HTTP answer: {text}"))?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(Ok(0), |length| length.trim().parse::<usize>());
    let length = length.map_err(|_| format!("a length that is no number: {text}"))?;
    let end = (head + 4).saturating_add(length);
    Ok((input.len() >= end).then_some((status, end)))
}

/// Memory once it has stopped changing by more than a page or two.
async fn rest(server: &Server) -> Result<Memory, String> {
    let mut memory = server.memory()?;
    let mut equal = 0;
    for _ in 0..LOOKS_MAX {
        Timer::after(LOOK).await;
        let now = server.memory()?;
        equal = if now.resident.abs_diff(memory.resident) <= 16 * 1024 { equal + 1 } else { 0 };
        memory = now;
        if equal == LOOKS {
            break;
        }
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_answers_are_cut_with_and_without_a_body() {
        let with = b"HTTP/1.1 200 OK\r\nX-Type: RESYNC\r\nContent-Length: 2\r\n\r\n{}rest";
        assert_eq!(answer(with), Ok(Some((200, with.len() - 4))));
        assert_eq!(answer(&with[..with.len() - 5]), Ok(None));
        let without = b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n";
        assert_eq!(answer(without), Ok(Some((204, without.len()))));
        for end in 0..without.len() {
            assert_eq!(answer(&without[..end]), Ok(None), "{end}");
        }
        assert!(answer(b"garbage\r\n\r\n").is_err());
        assert!(answer(&[b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn lines_are_awaited_whole_and_the_end_is_an_error() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let door = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for part in ["PUSH RESYNC\n200 HEL", "LO\n40", "1 CHATS-GET\n"] {
                std::io::Write::write_all(&mut stream, part.as_bytes()).unwrap();
            }
        });
        smol::block_on(async {
            let mut stream = link::connect(door).await.unwrap();
            assert_eq!(answers(&mut stream, 2).await.unwrap(), ["200 HELLO", "401 CHATS-GET"]);
            assert!(answers(&mut stream, 1).await.unwrap_err().contains("closed"));
        });
        server.join().unwrap();
    }

    #[test]
    fn sessions_are_made_and_held_on_idle_connections() {
        let toy = crate::bench::toy::Toy::start();
        let server = Server::running(toy.door, Some(std::process::id()), None);
        let executor = LocalExecutor::new();
        let crowd = Crowd::new();
        let making = sessions(&executor, &crowd, toy.door, None, 70);
        let sessions = crowd::run(&executor, DEADLINE, making).unwrap();
        assert_eq!(sessions.len(), 70);
        let connecting = connect(&executor, &server, Carrier::Tcp, None, sessions);
        let idlers = crowd::run(&executor, DEADLINE, connecting).unwrap();
        assert_eq!(idlers.len(), 70);
        assert!(idlers.iter().all(|idler| !idler.is_finished()));
    }
}
