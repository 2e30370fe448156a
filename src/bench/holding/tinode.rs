//! Idle sessions of Tinode over WebSocket: logged in, attached to `me`, answering pings.

use std::net::{SocketAddr, TcpStream};

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};

use super::Idler;
use crate::bench::crowd;
use crate::bench::link;

/// The key of Tinode's own demo page, which every salt of the default lets in.
const KEY: &str = "AQEAAAABAAD_rAp4DJh05a1HAwFT3A6K";
const HEAD_BYTES_MAX: usize = 16 * 1024;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// One session a login.
pub(super) async fn connect(
    executor: &LocalExecutor<'static>,
    door: SocketAddr,
    logins: &[String],
) -> Result<Vec<Idler>, String> {
    let sockets = crowd::together(executor, logins.len(), |index| {
        let login = logins[index].clone();
        async move {
            let mut socket = Socket::open(door).await?;
            let secret = format!("{login}:{}", link::PASSWORD_TEXT);
            let login = format!(r#"{{"login":{{"id":"1","secret":"{secret}","ua":"bench/1"}}}}"#);
            socket.ask(&login).await?;
            socket.ask(r#"{"sub":{"id":"2","topic":"me"}}"#).await?;
            Ok(socket)
        }
    })
    .await?;
    Ok(sockets.into_iter().map(|socket| executor.spawn(socket.idle())).collect())
}

struct Socket {
    stream: Async<TcpStream>,
    input: Vec<u8>,
}

impl Socket {
    /// Upgrades, and hears the server's greeting.
    async fn open(door: SocketAddr) -> Result<Socket, String> {
        let mut socket = Socket { stream: link::connect(door).await?, input: Vec::new() };
        let head = format!(
            "GET /v0/channels?apikey={KEY} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        socket.write(head.as_bytes()).await?;
        loop {
            if let Some(end) = socket.input.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = socket.input.drain(..end + 4).collect();
                if !head.starts_with(b"HTTP/1.1 101 ") {
                    let head = String::from_utf8_lossy(&head).into_owned();
                    return Err(format!("no upgrade to WebSocket: {head}"));
                }
                break;
            }
            socket.read().await?;
        }
        socket.code().await?;
        Ok(socket)
    }

    /// Waits for the answer, which must be a good one.
    async fn ask(&mut self, text: &str) -> Result<(), String> {
        self.frame(TEXT, text.as_bytes()).await?;
        match self.code().await? {
            200..=299 => Ok(()),
            code => Err(format!("{text} was answered {code}")),
        }
    }

    /// The code of the next {ctrl}.
    async fn code(&mut self) -> Result<u16, String> {
        loop {
            let text = self.text().await?;
            let Some((_, rest)) = text.split_once(r#""code":"#) else { continue };
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().map_err(|_| format!("a code that is none: {text}"));
        }
    }

    /// Answers pings until the connection ends, which it should not.
    async fn idle(mut self) -> Result<(), String> {
        loop {
            self.text().await?;
        }
    }

    /// The next text; pings are answered on the way.
    async fn text(&mut self) -> Result<String, String> {
        loop {
            let Some((opcode, payload)) = cut(&mut self.input)? else {
                self.read().await?;
                continue;
            };
            match opcode {
                TEXT => return Ok(String::from_utf8_lossy(&payload).into_owned()),
                PING => self.frame(PONG, &payload).await?,
                CLOSE => return Err("the server closed a WebSocket".into()),
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> Result<(), String> {
        let mut chunk = [0; 1024];
        match self.stream.read(&mut chunk).await.map_err(broken)? {
            0 => Err("the server closed a WebSocket".into()),
            n => {
                self.input.extend_from_slice(&chunk[..n]);
                Ok(())
            }
        }
    }

    async fn frame(&mut self, opcode: u8, payload: &[u8]) -> Result<(), String> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            n @ 0..126 => frame.push(0x80 | n as u8),
            n => {
                let length = u16::try_from(n).map_err(|_| "a text too long for a bench")?;
                frame.push(0x80 | 126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
        }
        // A mask of zeros is one (RFC 6455 §5.3), and costs nothing.
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        self.write(&frame).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).await.map_err(broken)
    }
}

fn broken(error: std::io::Error) -> String {
    format!("a WebSocket broke: {error}")
}

/// Takes a whole frame of the server's (RFC 6455 §5.2).
fn cut(input: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, String> {
    let [first, second, rest @ ..] = input.as_slice() else { return Ok(None) };
    let (length, header) = match (second & 0x7f, rest) {
        (126, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 4),
        (126, _) => return Ok(None),
        (127, _) => return Err("a frame too long for an idle session".into()),
        (length, _) => (usize::from(length), 2),
    };
    let opcode = first & 0x0f;
    if input.len() > HEAD_BYTES_MAX + header + length {
        return Err("more than a session is told that only just came".into());
    }
    let Some(payload) = input.get(header..header + length) else { return Ok(None) };
    let payload = payload.to_vec();
    input.drain(..header + length);
    Ok(Some((opcode, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_whole() {
        let mut input = vec![0x81, 2, b'h', b'i', 0x89, 0];
        assert_eq!(cut(&mut input), Ok(Some((TEXT, b"hi".to_vec()))));
        assert_eq!(cut(&mut input), Ok(Some((PING, Vec::new()))));
        assert_eq!(cut(&mut input), Ok(None));
        let mut long = vec![0x81, 126, 0, 200];
        assert_eq!(cut(&mut long), Ok(None));
        long.extend([b'x'; 200]);
        assert_eq!(cut(&mut long).map(|frame| frame.map(|(_, p)| p.len())), Ok(Some(200)));
        assert!(cut(&mut vec![0x81, 127]).is_err());
    }
}
