//! A server, the connections to it, and who has an account there.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use crate::peer::Peer;
use crate::report::Report;
use crate::server::{Restart, Server, Way};
use crate::talk::{Guest, Heard};
use crate::text::Clock;
use crate::yard::Yard;

/// One request and its answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Stage<'a> {
    pub(crate) server: Server<'a>,
    pub(crate) yard: Yard<'a>,
    clock: &'a Clock,
    known: HashSet<String>,
    tokens: HashMap<String, String>,
}

/// What every row needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) peer: &'a Peer,
    /// The msimd binary.
    pub(crate) own: &'a Path,
    /// Where servers keep their data.
    pub(crate) parent: &'a Path,
    pub(crate) clock: &'a Clock,
    pub(crate) report: &'a Report,
    /// How often in a row memory must read the same to be at rest.
    pub(crate) looks: usize,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(ground: Ground<'a>, way: Way) -> Result<Stage<'a>, String> {
        let (server, clock) = (Server::start(ground, way)?, ground.clock);
        let yard = Yard::new(clock)?;
        Ok(Stage { server, yard, clock, known: HashSet::new(), tokens: HashMap::new() })
    }

    /// Connections on which these are logged in, with accounts made where they have none.
    pub(crate) fn enter(&mut self, logins: &[String]) -> Result<Vec<usize>, String> {
        self.arrive(logins, false, false)
    }

    /// The same over TLS, or for clients for whom the server is to keep what they miss.
    pub(crate) fn arrive(
        &mut self,
        logins: &[String],
        tls: bool,
        lasting: bool,
    ) -> Result<Vec<usize>, String> {
        let guests: Vec<Guest> = logins.iter().map(|login| self.guest(login, lasting)).collect();
        let door = if tls { self.server.tls_door.as_ref() } else { Some(&self.server.door) };
        let door = door.ok_or("it has no door with TLS")?;
        let links = self.yard.enter(door, guests).map_err(|e| self.server.complaint(&e))?;
        for (login, link) in logins.iter().zip(&links) {
            self.known.insert(login.clone());
            if let Some(token) = self.yard.link(*link)?.talk.token() {
                self.tokens.insert(login.clone(), token);
            }
        }
        Ok(links)
    }

    fn guest(&self, login: &str, lasting: bool) -> Guest {
        let has_accounts = self.server.door.tongue.has_accounts();
        Guest {
            login: login.to_owned(),
            is_new: has_accounts && !self.known.contains(login),
            token: self.tokens.get(login).cloned(),
            lasting,
        }
    }

    /// Makes logins ask for the password again.
    pub(crate) fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Lets all connections go.
    pub(crate) fn clear(&mut self) -> Result<(), String> {
        self.yard = Yard::new(self.clock)?;
        Ok(())
    }

    /// Says something that is answered by [`Heard::Done`], on each of these connections, unless
    /// there is nothing to say.
    pub(crate) fn each(
        &mut self,
        links: &[usize],
        what: impl Fn(&mut dyn crate::talk::Talk, &mut Vec<u8>) -> bool,
    ) -> Result<(), String> {
        for some in links.chunks(64) {
            let mut waiting = 0;
            for link in some {
                waiting += usize::from(self.yard.say(*link, &what)?);
            }
            self.yard.count(waiting, ANSWER_DEADLINE, |heard| *heard == Heard::Done)?;
        }
        Ok(())
    }

    /// Ends the server, in order or not, and starts it again on what it left. Nobody is connected
    /// after that.
    pub(crate) fn restart(&mut self, kill: bool) -> Result<Restart, String> {
        if kill {
            let restart = self.server.restart(true)?;
            self.clear()?;
            return Ok(restart);
        }
        self.clear()?;
        self.server.come_to_rest();
        self.server.restart(false)
    }
}

/// `a0`, `a1`, …
pub(crate) fn logins(letter: char, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{letter}{number}")).collect()
}
