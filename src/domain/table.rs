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
