//! The people of a bench: pairs of accounts, one that sends and one that receives, and how many
//! things are done at once.

use std::future::Future;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smol::{Async, LocalExecutor, Timer, future};

use super::frame;
use super::link::{self, Link};

/// Connections made at once while a row prepares: a server may give up TLS handshakes when there
/// are more than it has room for.
const WIDTH: usize = 64;
/// Connections that register accounts.
const REGISTRARS: usize = 32;

/// Accounts `…s0`, `…r0`, `…s1`, `…r1` and so on. The part before is new in every run, so that a
/// server that runs already knows none of them.
#[derive(Debug)]
pub(super) struct Crowd {
    prefix: String,
    registered: usize,
}

impl Crowd {
    pub(super) fn new() -> Crowd {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Crowd { prefix: format!("bench{:x}", now.as_micros()), registered: 0 }
    }

    pub(super) fn sender(&self, pair: usize) -> String {
        format!("{}s{pair}", self.prefix)
    }

    pub(super) fn receiver(&self, pair: usize) -> String {
        format!("{}r{pair}", self.prefix)
    }

    /// Whom every sender writes to where a history is filled in: somebody with many chats.
    pub(super) fn hub(&self) -> String {
        self.receiver(0)
    }

    /// The address of a group of theirs.
    pub(super) fn group(&self) -> String {
        format!("{}g", self.prefix)
    }

    /// Sees to it that the first `pairs` pairs have accounts.
    pub(super) async fn register(
        &mut self,
        executor: &LocalExecutor<'static>,
        door: SocketAddr,
        pairs: usize,
    ) -> Result<(), String> {
        let mut logins = Vec::new();
        for pair in self.registered..pairs {
            logins.extend([self.sender(pair), self.receiver(pair)]);
        }
        let share = logins.len().div_ceil(REGISTRARS).max(1);
        let shares: Vec<Vec<String>> = logins.chunks(share).map(<[String]>::to_vec).collect();
        together(executor, shares.len(), |index| {
            let logins = shares[index].clone();
            async move {
                let mut link = Link::new(link::connect(door).await?);
                for login in logins {
                    link.register(&login).await?;
                }
                Ok(())
            }
        })
        .await?;
        self.registered = self.registered.max(pairs);
        Ok(())
    }
}

/// A connection on which `login` has just logged in.
pub(super) async fn enter(
    door: SocketAddr,
    login: String,
) -> Result<Link<Async<TcpStream>>, String> {
    enter_at(frame::LAYER, door, login).await
}

/// The same, for the packets of a layer.
pub(super) async fn enter_at(
    layer: u32,
    door: SocketAddr,
    login: String,
) -> Result<Link<Async<TcpStream>>, String> {
    let mut link = Link::new(link::connect(door).await?);
    link.layer = layer;
    link.log_in(&login).await?;
    Ok(link)
}

/// Does `count` things, at most [`WIDTH`] at once; results in order. The first failure ends it.
pub(super) async fn together<T, F>(
    executor: &LocalExecutor<'static>,
    count: usize,
    thing: impl Fn(usize) -> F,
) -> Result<Vec<T>, String>
where
    T: 'static,
    F: Future<Output = Result<T, String>> + 'static,
{
    let mut results = Vec::with_capacity(count);
    for start in (0..count).step_by(WIDTH) {
        let end = count.min(start + WIDTH);
        let tasks: Vec<_> = (start..end).map(|index| executor.spawn(thing(index))).collect();
        for task in tasks {
            results.push(task.await?);
        }
    }
    Ok(results)
}

/// Runs the generator on this one thread, for at most `deadline`.
pub(super) fn run<T>(
    executor: &LocalExecutor<'static>,
    deadline: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = async {
        Timer::after(deadline).await;
        Err(format!("given up after {} s", deadline.as_secs()))
    };
    smol::block_on(executor.run(future::or(work, late)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::toy::Toy;

    #[test]
    fn every_pair_is_registered_once() {
        let toy = Toy::start();
        let executor = LocalExecutor::new();
        let mut crowd = Crowd::new();
        for pairs in [3, 40, 10] {
            let work = crowd.register(&executor, toy.door, pairs);
            run(&executor, Duration::from_secs(10), work).unwrap();
        }
        assert_eq!(toy.accounts(), 80);
        let enter = enter(toy.door, crowd.receiver(39));
        let link = run(&executor, Duration::from_secs(10), enter).unwrap();
        assert_ne!(link.session, [0; 32]);
    }

    #[test]
    fn work_that_never_ends_is_given_up() {
        let executor = LocalExecutor::new();
        let work = future::pending::<Result<(), String>>();
        let error = run(&executor, Duration::from_millis(1), work).unwrap_err();
        assert!(error.starts_with("given up"), "{error}");
    }

    #[test]
    fn the_first_failure_ends_what_is_done_together() {
        let executor = LocalExecutor::new();
        let work = together(&executor, 600, |index| async move {
            if index == 300 { Err("no".to_string()) } else { Ok(index) }
        });
        let result = run(&executor, Duration::from_secs(10), work);
        assert_eq!(result, Err("no".into()));
    }
}
