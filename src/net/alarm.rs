//! One timer for all the deadlines of one connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use smol::Timer;

/// A deadline that may move often and costs nothing while there is none.
///
/// Deadlines mostly move away (a packet was finished, a request was answered), so the timer behind
/// it is left where it is and set anew only when it fires early or must fire earlier: one
/// registration a minute instead of one a packet.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    at: Option<Instant>,
    /// Boxed: most connections have none most of the time.
    armed: Option<Box<(Instant, Timer)>>,
}

impl Alarm {
    pub(super) fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    /// Whether there is neither a deadline nor a timer left of one.
    pub(super) fn is_off(&self) -> bool {
        self.at.is_none() && self.armed.is_none()
    }

    /// Ready once the deadline has passed; it is over then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            // An armed timer fires into nothing once, which is cheaper than taking it back now. A
            // connection that then stays idle has none.
            if let Some(armed) = &mut self.armed
                && Pin::new(&mut armed.1).poll(cx).is_ready()
            {
                self.armed = None;
            }
            return Poll::Pending;
        };
        loop {
            let armed = self.armed.get_or_insert_with(|| Box::new((at, Timer::at(at))));
            let (when, timer) = &mut **armed;
            if at < *when {
                *when = at;
                timer.set_at(at);
            }
            if Pin::new(timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            let fired = *when;
            self.armed = None;
            if at <= fired {
                self.at = None;
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_rings_at_the_last_deadline_that_was_set() {
        smol::block_on(async {
            let mut alarm = Alarm::default();
            let mut soon = Duration::from_millis(5);
            let start = loop {
                let start = Instant::now();
                alarm.set(Some(start + soon));
                if poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending() {
                    break start;
                }
                // A machine that took longer to get here than that.
                soon *= 4;
            };
            // Later: the timer fires early and is set anew by itself.
            alarm.set(Some(start + 6 * soon));
            poll_fn(|cx| alarm.poll(cx)).await;
            assert!(start.elapsed() >= 6 * soon);
            // Earlier than the timer stands.
            alarm.set(Some(Instant::now() + Duration::from_secs(100)));
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
            alarm.set(Some(Instant::now() + Duration::from_millis(1)));
            poll_fn(|cx| alarm.poll(cx)).await;
            assert!(start.elapsed() < Duration::from_secs(50));
            // None: never, and no timer stays behind once it has fired.
            alarm.set(None);
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
            assert!(alarm.is_off());
        });
    }
}
