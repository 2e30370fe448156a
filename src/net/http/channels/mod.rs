//! Tinode's paths: the way to its WebSocket, and its long polls.
//!
//! A request is looked at in this order: its API key, then what it is. What a long poll answers is
//! one packet of its session, never two, and nothing when there was none in time.
//!
//! Our reading: whatever begins like JSON is a message and no form, so that what curl sends by
//! itself is understood. A body that came in chunks is a body. Where a value stands in both, the
//! URL's counts.

mod voice;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Asked, Task, Upgrade, Visit};
use crate::limits::TINODE_PACKET_BYTES_MAX;
use crate::net::converse::{self, converse};
use crate::net::guest::{Full, Guest};
use crate::net::host::{Core, Host};
use crate::net::poll::pipe::{Pipe, Said};
use crate::net::poll::{self, NotOpened};
use crate::net::stream::Stream;
use crate::net::tinode::{Opening, Tongue};
use crate::wire::Buffer;
use crate::wire::http::{Manner, Method, Request, form};
use crate::wire::msim2::http::accept;
use voice::{NO_SESSION, TOO_LARGE, TOO_MANY, UNAVAILABLE, Voice};

/// What a path of Tinode is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Socket,
    Poll,
}

/// What a long poll needs beyond what can be said at once.
pub(super) enum Errand {
    Open { id: Option<Box<str>> },
    Say { pipe: Arc<Pipe>, packet: Vec<u8> },
    Hear { pipe: Arc<Pipe> },
}

/// What comes of waiting for something while the client is to stay.
enum Here<T> {
    Gone,
    Late,
    Done(T),
}

impl Channel {
    pub(super) fn at(path: &str) -> Option<Channel> {
        match path {
            "/v0/channels" => Some(Channel::Socket),
            // The second is how the document spells it.
            "/v0/channels/lp" | "/v0/v0/channels/lp" => Some(Channel::Poll),
            _ => None,
        }
    }
}

impl<X: Core> Visit<'_, X> {
    /// Says what can be said at once.
    pub(super) fn sort_channel(
        &mut self,
        channel: Channel,
        request: Request,
        asked: Asked,
    ) -> Task {
        let is_known = key(&request).is_some_and(|key| X::Tinode::is_key(&self.house, &key));
        match channel {
            Channel::Socket if !is_known => self.say(asked).socket_needs_key(),
            Channel::Socket if request.method != Method::Get => self.say(asked).wrong_method(),
            Channel::Socket => match accept(&request) {
                Ok(accept) => {
                    self.say(asked).upgraded(&accept);
                    let id = field(&request, "id");
                    return Task::Upgrade(Box::new(Upgrade::Tinode { id }));
                }
                Err(_) => self.say(asked).no_upgrade(),
            },
            Channel::Poll if !is_known => self.say(asked).poll_needs_key(),
            Channel::Poll => match self.errand(request) {
                Ok(errand) => return Task::Errand(Box::new(errand)),
                Err(wrong) => self.say(asked).wrong(wrong),
            },
        }
        Task::Said
    }

    fn errand(&self, request: Request) -> Result<Errand, voice::Wrong> {
        let Some(sid) = field(&request, "sid") else {
            return Ok(Errand::Open { id: field(&request, "id") });
        };
        let pipe = self.host.polls.find(&sid).ok_or(NO_SESSION)?;
        if request.body.is_empty() || form_of(&request).is_some() {
            return Ok(Errand::Hear { pipe });
        }
        if TINODE_PACKET_BYTES_MAX < request.body.len() {
            return Err(TOO_LARGE);
        }
        Ok(Errand::Say { pipe, packet: request.body })
    }

    /// True: the connection is kept. `None`: its client has gone.
    pub(super) async fn run_errand(
        &mut self,
        errand: Errand,
        asked: Asked,
    ) -> io::Result<Option<bool>> {
        let end = match errand {
            Errand::Open { id } => match poll::open(self.host, &self.guest, id) {
                Ok(pipe) => match self.hear(&pipe, self.host.patience.unfinished).await? {
                    Here::Gone => return Ok(None),
                    Here::Done(Some(packet)) => {
                        let voice = self.say(asked);
                        let keep_alive = voice.manner.keep_alive;
                        voice.created(packet);
                        return Ok(Some(keep_alive));
                    }
                    Here::Done(None) | Here::Late => Err(UNAVAILABLE),
                },
                Err(NotOpened::Full(Full::ForAddress)) => Err(TOO_MANY),
                Err(NotOpened::Full(Full::Everywhere | Full::Leaving) | NotOpened::Broken) => {
                    Err(UNAVAILABLE)
                }
            },
            Errand::Hear { pipe } => match self.hear(&pipe, self.host.patience.poll).await? {
                Here::Gone => return Ok(None),
                Here::Done(packet) => Ok(packet),
                Here::Late => Ok(None),
            },
            Errand::Say { pipe, packet } => {
                self.alarm.set(Some(Instant::now() + self.host.patience.poll));
                let say = |cx: &Context<'_>| pipe.poll_say(cx, &packet);
                match poll_fn(|cx| self.poll_here(cx, &say)).await? {
                    Here::Gone => return Ok(None),
                    Here::Done(Said::Yes) => Ok(None),
                    Here::Done(Said::Over) => Err(NO_SESSION),
                    Here::Done(Said::NoRoom) | Here::Late => Err(UNAVAILABLE),
                }
            }
        };
        let voice = self.say(asked);
        let keep_alive = voice.manner.keep_alive;
        match end {
            Ok(packet) => voice.packet(&packet.unwrap_or_default()),
            Err(wrong) => voice.wrong(wrong),
        }
        Ok(Some(keep_alive))
    }

    /// The session's next packet; `None` where another poll takes it or there is none any more.
    async fn hear(
        &mut self,
        pipe: &Arc<Pipe>,
        patience: Duration,
    ) -> io::Result<Here<Option<Vec<u8>>>> {
        let parked = pipe.park();
        self.alarm.set(Some(Instant::now() + patience));
        // The server's stopping is no reason to go: the session hears of it, too, and has a last
        // word for its client.
        poll_fn(|cx| self.poll_here(cx, &|cx| parked.poll_next(cx))).await
    }

    fn poll_here<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: &impl Fn(&Context<'_>) -> Poll<T>,
    ) -> Poll<io::Result<Here<T>>> {
        // First of all: a client that is gone takes nothing.
        if self.poll_gone(cx)?.is_ready() {
            return Poll::Ready(Ok(Here::Gone));
        }
        if let Poll::Ready(done) = poll(cx) {
            return Poll::Ready(Ok(Here::Done(done)));
        }
        self.alarm.poll(cx).map(|()| Ok(Here::Late))
    }

    fn say(&mut self, asked: Asked) -> Voice<'_> {
        let keep_alive = asked.manner.keep_alive && !self.guest.is_leaving();
        Voice { manner: Manner { keep_alive, ..asked.manner }, out: &mut self.out }
    }
}

/// After the upgrade.
pub(super) async fn talk<X: Core>(
    host: &Host<X>,
    guest: Guest,
    stream: Stream,
    input: Buffer,
    id: Option<Box<str>>,
) -> io::Result<()> {
    let house = host.house();
    let codec = X::Tinode::socket(&house);
    let dialogue = X::Tinode::dialogue(house, Opening { id, sid: None });
    let opening = converse::Opening { input, session: None };
    converse(host, guest, stream, codec, dialogue, opening).await
}

/// A value of the URL, or of the body where that is a form.
fn field(request: &Request, name: &str) -> Option<Box<str>> {
    let query = form::value(request.query.as_bytes(), name);
    query.or_else(|| form::value(form_of(request)?, name))
}

fn key(request: &Request) -> Option<Box<str>> {
    field(request, "apikey").or_else(|| Some(request.field("x-tinode-apikey")?.into()))
}

/// The body, where it is a form.
fn form_of(request: &Request) -> Option<&[u8]> {
    let kind = request.field("content-type")?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let is_json = matches!(request.body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    (is_form && !is_json).then_some(&request.body)
}

#[cfg(test)]
mod tests;
