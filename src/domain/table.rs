//! Tables: what people who sit at one pass on to each other, a game mostly. Nothing of it is kept,
//! and nobody is asked who may sit where: whoever knows a table's name does.

use std::sync::Arc;

use crate::domain::session::Caller;
use crate::domain::words::{Audience, Event, News, Refusal, Reply};
use crate::domain::{Context, Fault};
use crate::limits::TABLE_NAME_BYTES_MAX;

/// The engine seats whoever says it, before this is asked. Other sessions of the same account may
/// sit there, too.
pub(in crate::domain) fn relay(
    context: &Context<'_>,
    me: &Caller,
    table: Box<str>,
    text: Arc<str>,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    if table.is_empty() {
        return Err(Refusal::BadField.into());
    }
    if table.len() > TABLE_NAME_BYTES_MAX {
        return Err(Refusal::FieldTooLong.into());
    }
    if text.len() > context.limits.max_text_bytes {
        return Err(Refusal::TextTooLong.into());
    }
    let all = context.here.at_table(&table).into();
    let event = Event::Relayed { table, text };
    news.push(News::new(Audience::Many { all, but: None }, Some(me.key), event));
    Ok(Reply::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{World, heard_by, refused};
    use crate::domain::words::Command;
    use crate::limits::TABLE_NAME_BYTES_MAX;

    #[test]
    fn what_is_passed_on_reaches_all_at_the_table_but_the_session_that_said_it() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.here.1.extend([alice.account, bob.account]);
        let relay = |table: &str| Command::Relay { table: table.into(), text: "e4".into() };
        let outcome = world.ask(alice, relay("chess"));
        let event = Event::Relayed { table: "chess".into(), text: "e4".into() };
        assert_eq!(*heard_by(&outcome, bob.account, Some(alice.key))[0], event);
        assert!(heard_by(&outcome, alice.account, Some(alice.key)).len() == 1);
        assert!(heard_by(&outcome, carol.account, Some(alice.key)).is_empty());
        let long = "x".repeat(TABLE_NAME_BYTES_MAX + 1);
        assert_eq!(refused(&world.ask(alice, relay(&long))), Refusal::FieldTooLong);
        assert_eq!(refused(&world.ask(alice, relay(""))), Refusal::BadField);
    }
}
