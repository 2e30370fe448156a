//! A connection's bytes, plain or encrypted, and the few things done with them.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_rustls::server::TlsStream;
use smol::future::FutureExt;
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use smol::{Async, Timer};

use crate::limits::LINGER_BYTES_MAX;
use crate::net::host::SMALL_BYTES;
use crate::net::poll::pipe::Inner;
use crate::pool::Share;

/// What is read at once. It lies on the stack of whoever polls, never in a connection's memory;
/// ordinary packets are a quarter of it.
const SCRATCH_BYTES: usize = 2048;

/// A connection of any kind. All but the plain one are boxed: the state of the encrypted one is a
/// kilobyte that plain connections must not pay for.
pub(super) enum Stream {
    Plain(Plain),
    Tls(Box<TlsStream<Plain>>),
    /// Requests of HTTP instead of a socket.
    Pipe(Box<Inner>),
}

/// A TCP socket that spares a system call: after a read that did not fill its buffer, or found
/// nothing, the socket is empty, so the next one waits for readiness instead of asking in vain
/// first. Whoever is woken by something else, a thousand who are told the same, reads nothing.
#[derive(Debug)]
pub(super) struct Plain {
    socket: Async<TcpStream>,
    drained: bool,
}

impl Plain {
    pub(super) fn new(socket: Async<TcpStream>) -> Plain {
        Plain { socket, drained: false }
    }

    /// Pending while the socket is known to be empty.
    fn poll_filled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.drained {
            ready!(self.socket.poll_readable(cx))?;
            self.drained = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Resolves when there is something to read, or the end.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }
}

impl Stream {
    /// Makes the next read ask the socket itself: what the reactor knows of it may be old.
    pub(super) fn doubt(&mut self) {
        match self {
            Stream::Plain(plain) => plain.drained = false,
            Stream::Tls(tls) => tls.get_mut().0.drained = false,
            Stream::Pipe(_) => {}
        }
    }

    /// Whether its bytes travel: what goes through a pipe is counted where it comes from a socket.
    pub(super) fn is_socket(&self) -> bool {
        match self {
            Stream::Plain(_) | Stream::Tls(_) => true,
            Stream::Pipe(_) => false,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Plain(plain) => f.debug_tuple("Plain").field(plain).finish(),
            Stream::Tls(_) => f.write_str("Tls(..)"),
            Stream::Pipe(pipe) => f.debug_tuple("Pipe").field(pipe).finish(),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_filled(cx))?;
        let read = Pin::new(&mut self.socket).poll_read(cx, bytes);
        self.drained = match &read {
            Poll::Ready(Ok(n)) => 0 < *n && *n < bytes.len(),
            Poll::Ready(Err(_)) => false,
            // It has asked for readiness by now.
            Poll::Pending => true,
        };
        read
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_read(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, bytes),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_read(cx, bytes),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_close(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_close(cx),
            Stream::Pipe(pipe) => Pin::new(pipe).poll_close(cx),
        }
    }
}

/// Hands what has arrived to `take`, once. `Ok(0)` is the end of the stream.
pub(super) fn poll_fill(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    if let Stream::Plain(plain) = stream {
        // Before the scratch is cleared: mostly it was something else that woke us up.
        ready!(plain.poll_filled(cx))?;
    }
    let mut scratch = [0; SCRATCH_BYTES];
    let n = ready!(Pin::new(stream).poll_read(cx, &mut scratch))?;
    if 0 < n {
        take(&scratch[..n]);
    }
    Poll::Ready(Ok(n))
}

/// How far something has been sent.
#[derive(Debug, Default)]
pub(super) struct Sending {
    sent: usize,
    /// When the peer is given up. In a box, because nearly always there is none.
    timer: Option<Box<Timer>>,
}

/// Writes all of `out` and leaves it empty, without memory. Fails when the peer takes nothing for
/// `stuck`, or does not keep up while `share` has no room for what waits for it.
pub(super) fn poll_send(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    out: &mut Vec<u8>,
    sending: &mut Sending,
    stuck: Duration,
    share: &mut Share<'_>,
) -> Poll<io::Result<()>> {
    let Sending { sent, timer } = sending;
    // Before the write: the kernel may take a little by then although the peer took nothing,
    // which would start its time anew.
    if let Some(timer) = timer
        && Pin::new(timer).poll(cx).is_ready()
    {
        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
    }
    let mut stream = Pin::new(stream);
    loop {
        let rest = out.get(*sent..).unwrap_or_default();
        let step = match rest.is_empty() {
            false => stream.as_mut().poll_write(cx, rest)?,
            true => stream.as_mut().poll_flush(cx)?.map(|()| 0),
        };
        match step {
            Poll::Ready(0) if rest.is_empty() => {
                (*out, *sending) = (Vec::new(), Sending::default());
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            // No stream takes more than it was given.
            Poll::Ready(n) => (*sent, *timer) = (out.len().min(*sent + n), None),
            Poll::Pending => {
                // Only a peer that does not keep up costs a timer, and counts.
                if timer.is_none() && SMALL_BYTES < out.len() && !share.resize(out.capacity()) {
                    return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
                }
                let timer = timer.get_or_insert_with(|| Box::new(Timer::after(stuck)));
                ready!(Pin::new(timer).poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    }
}

/// Ends the stream so that what was written last arrives: bytes that nobody has read would make the
/// kernel answer with a reset, which destroys it on its way. mSIM 2, decision 15.
pub(super) async fn part(stream: &mut Stream, linger: Duration) {
    let discard = async {
        if stream.close().await.is_err() {
            return;
        }
        let mut left = LINGER_BYTES_MAX;
        while 0 < left {
            let read = poll_fn(|cx| {
                let mut scratch = [0; SCRATCH_BYTES];
                Pin::new(&mut *stream).poll_read(cx, &mut scratch)
            });
            match read.await {
                Ok(n) if 0 < n => left = left.saturating_sub(n),
                Ok(_) | Err(_) => return,
            }
        }
    };
    let late = async {
        Timer::after(linger).await;
    };
    discard.or(late).await;
}
