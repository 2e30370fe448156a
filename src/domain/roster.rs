//! Groups with everybody in them at one go, for protocols that name the members with the group.

use crate::domain::eyes::Eyes;
use crate::domain::group::{Group, may_know};
use crate::domain::id::{AccountNo, Address, ChatId, MessageId};
use crate::domain::name::Name;
use crate::domain::nouns::Access;
use crate::domain::words::{Act, Range, Refusal, Reply, RosterView, Take};
use crate::domain::{Fault, chat};
use crate::limits::{HISTORY_COUNT_MAX, SPACES_PARTS_MAX};
use crate::store::{Look, StoreError};

/// See `Query::Rosters`. Ends with the group that passes what one answer may read.
pub(in crate::domain) fn rosters(
    look: &impl Look,
    me: AccountNo,
    address: Option<&Address>,
    after: Option<ChatId>,
) -> Result<Reply, Fault> {
    if let Some(address) = address {
        let group = Group::at(look, me, address)?;
        if !may_know(&group) {
            return Err(Refusal::NoSuchChat.into());
        }
        let rosters = vec![roster(look, me, &group)?];
        return Ok(Reply::Rosters { rosters, more: None });
    }
    let mut rosters = Vec::new();
    let mut parts = 0;
    let mut last = after;
    for (id, part) in look.chats_of(me)? {
        if !id.is_group() || after.is_some_and(|after| id <= after) {
            continue;
        }
        if parts >= SPACES_PARTS_MAX {
            return Ok(Reply::Rosters { rosters, more: last });
        }
        last = Some(id);
        let is_invited = part.want == Access::NONE && part.given.is_member();
        if !part.mode().is_member() && !is_invited {
            continue;
        }
        let Some(chat) = look.chat(id)?.filter(|chat| !chat.removed) else { continue };
        let roster = roster(look, me, &Group { chat, part: Some(part) })?;
        // What is read for a group without anybody is something, too.
        parts += 1 + roster.members.len();
        rosters.push(roster);
    }
    Ok(Reply::Rosters { rosters, more: None })
}

fn roster(look: &impl Look, me: AccountNo, group: &Group) -> Result<RosterView, StoreError> {
    let chat = &group.chat;
    let mut eyes = Eyes::new(look, me);
    let space = match chat.space {
        Some(space) => look.chat(space)?.filter(|space| !space.removed).map(|space| space.name),
        None => None,
    };
    let is_in = group.mode().is_member();
    let mut members = Vec::new();
    for who in look.members_of(chat.id)? {
        if is_in && look.part(who, chat.id)?.unwrap_or_default().mode().is_member() {
            members.push(eyes.name(who)?);
        }
    }
    let is_invited = !is_in && group.part.is_some_and(|part| part.given.is_member());
    let invited_by = match is_invited {
        true => invited_by(look, me, chat.id)?,
        false => None,
    };
    Ok(RosterView { chat: chat.called(), name: chat.name.clone(), space, members, invited_by })
}

/// Who invited somebody last, as far as they were told of it lately.
fn invited_by(look: &impl Look, me: AccountNo, chat: ChatId) -> Result<Option<Name>, StoreError> {
    let range = Range {
        after: MessageId(0),
        before: MessageId::END,
        since: None,
        count: HISTORY_COUNT_MAX,
        take: Take::Last,
    };
    let (records, _) = look.messages(ChatId::own(me), &range)?;
    let by = records.iter().rev().find_map(|record| {
        let extra = record.extra.as_deref()?;
        let act = extra.notice.map(|notice| notice.act);
        let is_it = extra.place == Some(chat) && act == Some(Act::Invited);
        extra.person.filter(|_| is_it)
    });
    by.map(|by| chat::name(look, by)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{Me, World, address, group_draft};
    use crate::domain::words::{ChatDraft, Command, Query};

    fn rosters(world: &World, me: Me, chat: Option<&str>) -> Result<Vec<RosterView>, Refusal> {
        let query = Query::Rosters { chat: chat.map(address), after: None };
        match world.read(me, &query)? {
            Reply::Rosters { rosters, more: None } => Ok(rosters),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn groups_come_with_their_space_and_everybody_in_them() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.make(alice, ChatDraft { is_space: true, open: Some(true), ..group_draft("park") });
        let space = Some(address("park"));
        world.make(alice, ChatDraft { space, ..group_draft("pond") });
        assert!(world.ask(bob, Command::Join { chat: address("pond") }).reply.is_ok());
        let seen = rosters(&world, bob, None).unwrap();
        let [pond] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((&*pond.name, pond.space.as_deref()), ("pond", Some("park")));
        assert_eq!(pond.members, ["alice@im.test".into(), "bob@im.test".into()]);
        assert_eq!(pond.invited_by, None);
        // What is open may be looked at, and tells of nobody.
        let park = &rosters(&world, bob, Some("park")).unwrap()[0];
        assert!(park.members.is_empty() && park.invited_by.is_none());
        assert!(rosters(&world, carol, None).unwrap().is_empty());
    }

    #[test]
    fn an_invitation_says_whose_it_is() {
        let (mut world, [alice, bob, carol]) = World::of(["alice", "bob", "carol"]);
        world.group(alice, "den");
        assert_eq!(rosters(&world, bob, Some("den")).unwrap_err(), Refusal::NoSuchChat);
        let invite = |who| Command::Invite {
            chat: address("den"),
            who: address(who),
            access: None,
            note: "".into(),
        };
        assert!(world.ask(alice, invite("bob")).reply.is_ok());
        let den = &rosters(&world, bob, None).unwrap()[0];
        assert_eq!(den.invited_by, Some("alice@im.test".into()));
        assert!(den.members.is_empty());
        assert!(world.ask(bob, Command::Join { chat: address("den") }).reply.is_ok());
        assert_eq!(rosters(&world, bob, None).unwrap()[0].invited_by, None);
        // Who is shut out is shown nothing.
        let chat = address("den");
        let kick = Command::Kick { chat, who: address("bob"), ban: true };
        assert!(world.ask(alice, kick).reply.is_ok());
        assert!(rosters(&world, bob, None).unwrap().is_empty());
        let _ = carol;
    }
}
