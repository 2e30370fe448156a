//! Notices: what happened about a chat that concerns one person, who may not be in it. They lie in
//! that person's own chain, where their devices find them.

use crate::domain::eyes::{Eyes, Window};
use crate::domain::id::{AccountNo, ChatId, MessageId};
use crate::domain::nouns::{Access, Entry, Extra, Member};
use crate::domain::session::Caller;
use crate::domain::words::{Act, Event, Kind, News, Notice};
use crate::domain::{Context, account, contact};
use crate::limits::MANAGERS_ASKED_MAX;
use crate::store::{StoreError, Tx};

/// What is to be told of somebody's part in a chat.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain) struct Matter<'m> {
    pub(in crate::domain) act: Act,
    pub(in crate::domain) chat: ChatId,
    pub(in crate::domain) part: Member,
    /// Whatever whoever caused it wants to have passed on.
    pub(in crate::domain) note: &'m str,
}

/// Leaves a notice with `to`, in the caller's name, and tells every session of theirs.
pub(in crate::domain) fn leave(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    to: AccountNo,
    matter: Matter<'_>,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let Matter { act, chat, part, note } = matter;
    let extra = Extra {
        person: Some(me.account),
        place: Some(chat),
        access: Some(part.want),
        notice: Some(Notice { act, given: part.given }),
        ..Extra::default()
    };
    let own = ChatId::own(to);
    let entry = Entry::telling(Kind::Notice, note, extra);
    let record = tx.record(own, to, context.now, entry)?;
    let window = Window { name: super::eyes::name(tx, to)?, horizon: MessageId(0) };
    let view = Eyes::new(tx, to).see(&record, &window, false)?;
    news.push(News::to_one(to, None, Event::Message(view)));
    Ok(())
}

/// Asks those who may let somebody in, who wants more than they are given: the owner, and some of the
/// others. Not across a block: what was said with it would come through.
pub(in crate::domain) fn ask_managers(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    matter: Matter<'_>,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let letters = Access::SHARE.with(Access::OWN);
    let manages = |(_, part): &&(AccountNo, Member)| part.mode().has_any(letters);
    let roster = tx.roster(matter.chat)?;
    let owner = roster.owner();
    let mut managers: Vec<AccountNo> =
        roster.members().filter(manages).map(|(who, _)| *who).collect();
    managers.sort_by_key(|who| Some(*who) != owner);
    let mine = account::row(tx, me.account)?.address;
    let mut asked = 0;
    for who in managers.into_iter().filter(|who| *who != me.account) {
        if asked == MANAGERS_ASKED_MAX {
            break;
        }
        if !contact::is_blocked(tx, who, &mine)? {
            leave(tx, context, me, who, matter, news)?;
            asked += 1;
        }
    }
    Ok(())
}

/// Whether somebody wants more than they are given, and somebody else could give it.
pub(in crate::domain) fn is_waiting(part: &Member) -> bool {
    let is_banned = part.want.is_banned() || part.given.is_banned();
    !is_banned && part.want.without(part.given) != Access::NONE
}
