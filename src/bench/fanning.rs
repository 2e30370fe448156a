//! One message, many who hear it: a group whose members each sit on a connection of their own, and
//! one of them who waits for its 200 before it writes again.

use std::net::SocketAddr;
use std::time::Duration;

use smol::LocalExecutor;

use super::crowd::{self, Crowd};
use super::sending::{self, Letter, Sent};
use super::server::Server;

/// The layer that has groups.
const LAYER: u32 = 5;
/// Making the group, logging in, draining, beside the measured time.
const PREPARATION: Duration = Duration::from_secs(300);

/// A message to `members` others, again and again for `time`.
///
/// The group is made by a first run of the server and told by a second one: what joining makes
/// everybody hear waits in no mailbox.
pub(super) fn measure(
    server: &mut Server,
    crowd: &mut Crowd,
    members: usize,
    time: Duration,
) -> Result<Sent, String> {
    let executor = LocalExecutor::new();
    crowd::run(&executor, PREPARATION, gather(&executor, server.tcp, crowd, members))?;
    server.restart(false, false)?;
    let crowd = &*crowd;
    crowd::run(&executor, PREPARATION + time, tell(&executor, server, crowd, members, time))
}

/// Makes an open group, which all of them join.
async fn gather(
    executor: &LocalExecutor<'static>,
    door: SocketAddr,
    crowd: &mut Crowd,
    members: usize,
) -> Result<(), String> {
    crowd.register(executor, door, members).await?;
    let mut owner = crowd::enter_at(LAYER, door, crowd.sender(0)).await?;
    let group = crowd.group();
    let body =
        format!("{{\"kind\":\"group\",\"name\":\"{group}\",\"id\":\"{group}\",\"open\":true}}");
    owner.insist("CHAT-CREATE", body.as_bytes()).await?;
    drop(owner);
    crowd::together(executor, members, |index| {
        let (member, group) = (crowd.receiver(index), crowd.group());
        async move {
            let mut link = crowd::enter_at(LAYER, door, member).await?;
            let body = format!("{{\"chat_id\":\"{group}\"}}");
            link.insist("CHAT-JOIN", body.as_bytes()).await.map(|_| ())
        }
    })
    .await?;
    Ok(())
}

async fn tell(
    executor: &LocalExecutor<'static>,
    server: &Server,
    crowd: &Crowd,
    members: usize,
    time: Duration,
) -> Result<Sent, String> {
    let door = server.tcp;
    let enter = |index| crowd::enter_at(LAYER, door, crowd.receiver(index));
    let receivers = crowd::together(executor, members, enter).await?;
    let writer = crowd::enter_at(LAYER, door, crowd.sender(0)).await?;
    let letter = Letter::new(&writer.session, &crowd.group());
    let writers = vec![(writer, letter)];
    sending::converse(executor, server, writers, receivers, members as u64, time).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::toy::Toy;

    #[test]
    fn everybody_in_the_group_hears_every_message() {
        let toy = Toy::start();
        let server = Server::running(toy.door, None, None);
        let executor = LocalExecutor::new();
        let mut crowd = Crowd::new();
        let deadline = Duration::from_secs(20);
        let gathering = gather(&executor, server.tcp, &mut crowd, 5);
        crowd::run(&executor, deadline, gathering).unwrap();
        let telling = tell(&executor, &server, &crowd, 5, Duration::from_millis(100));
        let sent = crowd::run(&executor, deadline, telling).unwrap();
        assert!(sent.messages > 0 && sent.pushed > 0);
        assert_eq!((sent.unpushed, sent.resyncs), (0, 0));
    }
}
