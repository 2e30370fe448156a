//! What the operator and the service manager say by signals.

use std::io;

use async_signal::{Signal, Signals as Received};
use smol::stream::StreamExt;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM, or Ctrl-C.
    Stop,
    /// SIGHUP: read configuration and certificates again.
    Reload,
}

/// Signals from the moment this exists; before that they end the process as they always do.
#[derive(Debug)]
pub struct Signals(Received);

impl Signals {
    pub fn new() -> io::Result<Signals> {
        Received::new([Signal::Term, Signal::Int, Signal::Hup]).map(Signals)
    }

    /// The next one. To wait for it on a plain thread: `async_io::block_on(signals.next())`.
    pub async fn next(&mut self) -> Wish {
        loop {
            match self.0.next().await {
                Some(Ok(Signal::Hup)) => return Wish::Reload,
                Some(Ok(Signal::Term | Signal::Int)) | None => return Wish::Stop,
                // No other was asked for, and a failed read is tried again.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    log::warn!("a signal could not be read: {error}");
                    smol::Timer::after(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;

    #[test]
    fn a_hang_up_asks_for_a_reload() {
        let mut signals = Signals::new().unwrap();
        kill_process(getpid(), Number::HUP).unwrap();
        assert_eq!(smol::block_on(signals.next()), Wish::Reload);
    }
}
