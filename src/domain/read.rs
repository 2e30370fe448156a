//! What is only read: answered from a snapshot, off the engine's thread, so that a long page never
//! holds up those who send.

use crate::domain::group::Group;
use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq};
use crate::domain::merge::{Strand, json_length, merge, weight as message_weight};
use crate::domain::nouns::{Account, AccountState, Chat};
use crate::domain::presence::Scene;
use crate::domain::search::Search;
use crate::domain::words::{
    ContactView, Handle, Kind, MessageView, Query, Range, Refusal, Reply, Take,
};
use crate::domain::{Fault, chat, contact, group, people, profile, roster, subscription};
use crate::limits::{ANSWER_BYTES_MAX, HISTORY_COUNT_MAX};
use crate::store::{Look, Reader, StoreError};

/// Contacts read at a time.
const SLICE: usize = 128;

/// Answers a question of `account`'s, whose session the caller has checked. An error is the disk's.
/// What looks through many records is not asked here but in slices, see [`Search`].
pub fn read(
    look: &impl Look,
    scene: &Scene<'_>,
    account: AccountNo,
    query: &Query,
) -> Result<Result<Reply, Refusal>, StoreError> {
    let reply = match query {
        Query::Contacts { after, count, unlisted } => {
            contacts(look, scene, account, (after.as_ref(), *count), *unlisted)
        }
        Query::History { chat, range } => history(look, account, chat, range),
        Query::Rewind { after, count, own } => rewind(look, account, *after, *count, *own),
        Query::Page { chat, since, before, count } => {
            page(look, account, chat, (*since, *before), *count)
        }
        Query::Notices { since, before, count } => {
            notices(look, account, (*since, *before), *count)
        }
        Query::Name { of } => named(look, account, *of),
        Query::Myself => subscription::myself(look, account),
        Query::People { everybody, after, count } => {
            people::people(look, scene, account, *everybody, (*after, *count))
        }
        Query::Rosters { chat, after } => roster::rosters(look, account, chat.as_ref(), *after),
        Query::Chat { chat } => group::look_up(look, scene, account, chat),
        Query::Spaces { space } => group::spaces(look, account, space.as_ref()),
        Query::Profile { who } => profile::look_up(look, scene, account, who.as_ref()),
        // One slice after the other on this one snapshot; see `search` for a server's way.
        Query::Search { text, chat, before, count } => {
            Search::new(account, text, chat.clone(), *before, *count)
                .and_then(|search| search.run(|search| search.slice(look)))
        }
    };
    match reply {
        Ok(reply) => Ok(Ok(reply)),
        Err(Fault::Refused(refusal)) => Ok(Err(refusal)),
        Err(Fault::Store(error)) => Err(error),
    }
}

/// Answers a search with a snapshot for each of its slices.
pub fn search(
    reader: &Reader,
    account: AccountNo,
    text: &str,
    chat: Option<Address>,
    before: MessageId,
    count: u32,
) -> Result<Result<Reply, Refusal>, StoreError> {
    let found = Search::new(account, text, chat, before, count).and_then(|search| {
        search.run(|search| {
            // A refusal is no reason to stop reading, so it comes through as a value.
            reader.read(|look| match search.slice(look) {
                Err(Fault::Store(error)) => Err(error),
                other => Ok(other),
            })?
        })
    });
    match found {
        Ok(reply) => Ok(Ok(reply)),
        Err(Fault::Refused(refusal)) => Ok(Err(refusal)),
        Err(Fault::Store(error)) => Err(error),
    }
}

/// In order of address. Without the unlisted ones they take no place in a page either: a client that
/// never sees them could not ask for what comes after them.
fn contacts(
    look: &impl Look,
    scene: &Scene<'_>,
    me: AccountNo,
    (after, count): (Option<&Address>, u32),
    unlisted: bool,
) -> Result<Reply, Fault> {
    let count = count as usize;
    let mut contacts: Vec<ContactView> = Vec::new();
    let mut bytes = 0;
    let mut place = after.cloned();
    loop {
        // One more than wanted tells whether there is more.
        let wanted = (count - contacts.len()).saturating_add(1).min(SLICE);
        let slice = look.contacts(me, place.as_ref(), wanted)?;
        let is_last = slice.len() < wanted;
        for contact in slice {
            if contact.unlisted && !unlisted {
                place = Some(contact.who);
                continue;
            }
            if contacts.len() == count || bytes >= ANSWER_BYTES_MAX {
                return Ok(Reply::Contacts { contacts, more: true });
            }
            place = Some(contact.who.clone());
            let view = contact::view(look, scene, me, contact)?;
            bytes += weight(&view);
            contacts.push(view);
        }
        if is_last {
            return Ok(Reply::Contacts { contacts, more: false });
        }
    }
}

/// A part of one chat. A chat appears with its first message, so one without any is not there.
fn history(
    look: &impl Look,
    me: AccountNo,
    address: &Address,
    range: &Range,
) -> Result<Reply, Fault> {
    if range.count == 0 {
        return Err(Refusal::BadRange.into());
    }
    let readable = chat::readable(look, me, address)?;
    // mSIM 2, decision 45: bounds that cross are an empty answer.
    let strands = if range.after < range.before {
        vec![readable.strand(range.after, range.before).since(range.since)]
    } else {
        Vec::new()
    };
    let count = range.count.min(HISTORY_COUNT_MAX);
    let (messages, more) = merge(look, me, strands, range.take, count)?;
    Ok(Reply::Messages { messages, more })
}

/// Messages by their places. A chat that is there with nothing in it has an empty page.
fn page(
    look: &impl Look,
    me: AccountNo,
    address: &Address,
    (since, before): (Seq, Seq),
    count: u32,
) -> Result<Reply, Fault> {
    let readable = match chat::readable(look, me, address) {
        Ok(readable) => readable,
        Err(Fault::Refused(Refusal::NoSuchChat)) if chat::is_mine(look, me, address)? => {
            return Ok(Reply::Messages { messages: Vec::new(), more: false });
        }
        Err(fault) => return Err(fault),
    };
    let end = readable.head.seq;
    if count == 0 || before <= since.max(Seq(1)) || end < since {
        return Ok(Reply::Messages { messages: Vec::new(), more: false });
    }
    let until = match before {
        before if before > end => MessageId::END,
        before => match look.message_at(readable.chat, before)? {
            Some(until) => until,
            // It is gone, and with it all that came before.
            None => return Ok(Reply::Messages { messages: Vec::new(), more: false }),
        },
    };
    let after = match look.message_at(readable.chat, since)? {
        Some(first) => MessageId(first.0.saturating_sub(1)),
        // It is gone; what is left begins later.
        None => MessageId(0),
    };
    let last = before.0.min(end.0.saturating_add(1));
    let places = last.saturating_sub(since.0.max(1));
    let strand = readable.strand(after, until).of_places(places);
    let (messages, _) = merge(look, me, vec![strand], Take::Last, count.min(HISTORY_COUNT_MAX))?;
    Ok(Reply::Messages { messages, more: false })
}

/// The reader's own chain, as far as it tells of others.
fn notices(
    look: &impl Look,
    me: AccountNo,
    (since, before): (Seq, Seq),
    count: u32,
) -> Result<Reply, Fault> {
    let own = ChatId::own(me);
    let count = count.min(HISTORY_COUNT_MAX) as usize;
    let mut notices: Vec<MessageView> = Vec::new();
    if count > 0 && before > since.max(Seq(1)) && look.head(own)?.seq >= since {
        let mut until = look.message_at(own, before)?.unwrap_or(MessageId::END);
        let horizon = chat::own_horizon(look, me)?;
        let first = look.message_at(own, since)?;
        let after = first.map_or(MessageId(0), |first| MessageId(first.0.saturating_sub(1)));
        let mut bytes = 0;
        loop {
            let strand = Strand::new(own, horizon, after, until);
            let (slice, more) = merge(look, me, vec![strand], Take::Last, HISTORY_COUNT_MAX)?;
            until = slice.first().map_or(after, |first| first.id);
            for view in slice.into_iter().rev().filter(|view| view.kind == Kind::Notice) {
                if notices.len() < count && bytes <= ANSWER_BYTES_MAX {
                    bytes += message_weight(&view);
                    notices.push(view);
                }
            }
            if !more || notices.len() == count || bytes > ANSWER_BYTES_MAX {
                break;
            }
        }
        notices.reverse();
    }
    Ok(Reply::Messages { messages: notices, more: false })
}

/// Whom or what a number is for. Everybody may know of everybody here, as of every address; groups
/// have names that tell something, and their numbers can be counted through. Whoever has a group's
/// random number has it from somebody.
fn named(look: &impl Look, me: AccountNo, of: Handle) -> Result<Reply, Fault> {
    let person = |no: Option<AccountNo>| match no {
        Some(no) => look.account(no),
        None => Ok(None),
    };
    let group = |chat: Option<ChatId>| match chat {
        Some(chat) => look.chat(chat),
        None => Ok(None),
    };
    let account = match of {
        Handle::Person(no) => person(Some(no))?,
        Handle::PublicPerson(id) => person(look.account_by_public(id)?)?,
        Handle::Chat(id) => {
            let chat = match group(Some(id))? {
                Some(chat) => Some(Group { part: look.part(me, id)?, chat }),
                None => None,
            };
            let known = chat.filter(subscription::is_known);
            return chat_name(known.map(|group| group.chat));
        }
        Handle::PublicChat(id) => return chat_name(group(look.chat_by_public(id)?)?),
    };
    let is_here =
        |row: &Account| matches!(row.state, AccountState::Active | AccountState::Disabled);
    let row = account.filter(is_here).ok_or(Refusal::NoSuchAccount)?;
    Ok(Reply::Name(row.called()))
}

fn chat_name(chat: Option<Chat>) -> Result<Reply, Fault> {
    let row = chat.filter(|chat| !chat.removed).ok_or(Refusal::NoSuchChat)?;
    Ok(Reply::Name(row.called()))
}

/// Every chat that reaches beyond `after`, as one sequence, and where it is wanted the reader's own
/// chain. My own messages are in it: another device of mine may have sent them. So is the record
/// that a chat was deleted, whether there is anything else in it or not.
fn rewind(
    look: &impl Look,
    me: AccountNo,
    after: MessageId,
    count: u32,
    own: bool,
) -> Result<Reply, Fault> {
    if count == 0 {
        return Err(Refusal::BadRange.into());
    }
    let mut strands = Vec::new();
    for (chat, part) in look.chats_of(me)? {
        // Only what has something to come: `more` is told from what is left.
        let head = look.head(chat)?.id;
        if head > after
            && let Some(horizon) = chat::horizon(look, chat, &part)?
            && head > horizon
        {
            strands.push(Strand::new(chat, horizon, after, MessageId::END));
        }
    }
    let end = if own { chat::own_end(look, me)? } else { MessageId(0) };
    if end > after {
        let horizon = chat::own_horizon(look, me)?;
        let before = MessageId(end.0.saturating_add(1));
        let strand = Strand::new(ChatId::own(me), horizon, after, before);
        strands.push(strand.without_notices());
    }
    let count = count.min(HISTORY_COUNT_MAX);
    let (messages, more) = merge(look, me, strands, Take::First, count)?;
    Ok(Reply::Messages { messages, more })
}

/// What a contact takes in an answer, at most.
fn weight(contact: &ContactView) -> usize {
    /// Field names, a time and punctuation.
    const FIXED: usize = 192;
    let groups: usize = contact.group.iter().map(|g| json_length(g) + 3).sum();
    let note = contact.note.as_deref().map_or(0, json_length);
    // What must be escaped of its text grows; its spans count as they are.
    let last = contact.last_message.as_ref().map_or(0, |last| {
        message_weight(last) + json_length(&last.text).saturating_sub(last.text.len())
    });
    FIXED + last + 2 * contact.who.len() + json_length(&contact.name) + groups + note
}

#[cfg(test)]
mod tests {
    mod places;

    use super::*;
    use crate::domain::id::Timestamp;
    use crate::domain::testing::{Me, World, contact, draft, ids, range, whole};
    use crate::domain::words::{
        Command, ContactDraft, Draft, Kind, MessageView, Span, SpanKind, Whom,
    };
    use crate::limits::SPAN_VALUE_BYTES_MAX;

    fn chat_of(count: usize) -> (World, [Me; 2], Vec<u64>) {
        let (mut world, people) = World::of(["alice", "bob"]);
        let sent =
            |n: usize| if n.is_multiple_of(2) { (people[0], "bob") } else { (people[1], "alice") };
        let ids = (0..count).map(|n| world.sent(sent(n).0, sent(n).1, "x").0).collect();
        (world, people, ids)
    }

    fn rewound(world: &World, me: Me, after: u64, count: u32) -> (Vec<MessageView>, bool) {
        match world.read(me, &Query::Rewind { after: MessageId(after), count, own: true }) {
            Ok(Reply::Messages { messages, more }) => (messages, more),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bounds_are_exclusive_and_more_is_exact() {
        let (world, [alice, _], all) = chat_of(10);
        let page = |after: u64, before: u64, count, take| {
            let answer = world.history(alice, "bob", range(after, before, count, take)).unwrap();
            (ids(&answer.0), answer.1)
        };
        let (first, last) = (all[0], all[9]);
        assert_eq!(page(0, u64::MAX, 10, Take::First), (all.clone(), false));
        assert_eq!(page(0, u64::MAX, 9, Take::First), (all[..9].to_vec(), true));
        assert_eq!(page(0, u64::MAX, 9, Take::Last), (all[1..].to_vec(), true));
        assert_eq!(page(first, last, 8, Take::First), (all[1..9].to_vec(), false));
        assert_eq!(page(first, last, 8, Take::Last), (all[1..9].to_vec(), false));
        assert_eq!(page(first, last, 7, Take::Last), (all[2..9].to_vec(), true));
        assert_eq!(page(last, u64::MAX, 5, Take::First), (Vec::new(), false));
        assert_eq!(page(0, first, 5, Take::Last), (Vec::new(), false));
        // Crossing and empty bounds.
        for (after, before) in [(last, first), (first, first), (0, 0), (u64::MAX, u64::MAX)] {
            assert_eq!(page(after, before, 5, Take::First), (Vec::new(), false));
            assert_eq!(page(after, before, 5, Take::Last), (Vec::new(), false));
        }
    }

    #[test]
    fn a_chat_that_is_not_there_has_no_history() {
        let (mut world, [alice, _, carol]) = World::of(["alice", "bob", "carol"]);
        world.sent(alice, "bob", "x");
        for chat in ["alice", "bob", "nobody", "bob@far.test", "carol"] {
            assert_eq!(world.history(carol, chat, whole()), Err(Refusal::NoSuchChat), "{chat}");
        }
        let none = range(0, u64::MAX, 0, Take::First);
        assert_eq!(world.history(alice, "bob", none), Err(Refusal::BadRange));
    }

    #[test]
    fn a_day_begins_with_its_first_message() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        let start = world.now;
        let mut all = Vec::new();
        for _ in 0..200 {
            all.push(world.sent(alice, "bob", "x").0);
            world.now.0 += 1000;
        }
        let since = |at: u64, count| {
            let range =
                Range { since: Some(Timestamp(at)), ..range(0, u64::MAX, count, Take::First) };
            let (messages, more) = world.history(alice, "bob", range).unwrap();
            (ids(&messages), more)
        };
        assert_eq!(since(0, 500), (all.clone(), false));
        assert_eq!(since(start.0 + 10_000, 500), (all[10..].to_vec(), false));
        assert_eq!(since(start.0 + 9_001, 100), (all[10..110].to_vec(), true));
        assert_eq!(since(world.now.0, 500), (Vec::new(), false));
    }

    #[test]
    fn a_page_has_a_cap() {
        let (world, [alice, _], all) = chat_of(HISTORY_COUNT_MAX as usize + 1);
        let cap = HISTORY_COUNT_MAX as usize;
        let every = |take| {
            let range = range(0, u64::MAX, u32::MAX, take);
            let (messages, more) = world.history(alice, "bob", range).unwrap();
            (ids(&messages), more)
        };
        assert_eq!(every(Take::First), (all[..cap].to_vec(), true));
        assert_eq!(every(Take::Last), (all[1..].to_vec(), true));
        let (messages, more) = rewound(&world, alice, 0, u32::MAX);
        assert!(more && ids(&messages) == all[..cap]);
    }

    #[test]
    fn an_answer_ends_early_before_it_grows_too_large() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let text = "x".repeat(16_384);
        let all: Vec<u64> = (0..100).map(|_| world.sent(alice, "bob", &text).0).collect();
        let (first, more) = world.history(alice, "bob", whole()).unwrap();
        let fitting = first.len();
        assert!((ANSWER_BYTES_MAX / 17_000..=ANSWER_BYTES_MAX / 16_384).contains(&fitting));
        assert!(more && ids(&first) == all[..fitting]);
        let (last, more) =
            world.history(alice, "bob", range(0, u64::MAX, 500, Take::Last)).unwrap();
        assert!(more && ids(&last) == all[100 - fitting..]);
        let (rewound, more) = rewound(&world, bob, all[4], 500);
        assert!(more && ids(&rewound) == all[5..5 + fitting]);
        // What is left fits.
        let (rest, more) =
            world.history(alice, "bob", range(all[90], u64::MAX, 9, Take::First)).unwrap();
        assert!(!more && ids(&rest) == all[91..]);
    }

    #[test]
    fn a_chat_that_is_gone_leaves_nothing_to_rewind() {
        let (mut world, [alice, bob, _]) = World::of(["alice", "bob", "carol"]);
        world.sent(alice, "carol", "x");
        let last = world.sent(alice, "bob", "x");
        world.clear(bob, "alice", Whom::Me);
        let (messages, more) = rewound(&world, bob, last.0 - 1, 1);
        assert!(messages.len() == 1 && !more, "{messages:?}");
    }

    #[test]
    fn rewind_is_every_chat_of_mine_and_no_other() {
        let (mut world, people) = World::of(["alice", "bob", "carol", "dave"]);
        let names = ["alice", "bob", "carol", "dave"];
        let mut alices = Vec::new();
        for n in 0..300usize {
            // Runs of one chat and alternation, both.
            let (from, to) = if n % 100 < 50 { (0, n % 4) } else { (n % 4, (n / 25) % 4) };
            let id = world.sent(people[from], names[to], "x").0;
            if from == 0 || to == 0 {
                alices.push(id);
            }
        }
        let (messages, more) = rewound(&world, people[0], 0, 500);
        assert!(!more && ids(&messages) == alices);
        for count in [1, 2, 7, 64, 100] {
            let (mut place, mut seen) = (0, Vec::new());
            loop {
                let (page, more) = rewound(&world, people[0], place, count);
                assert!(page.len() == count as usize || !more);
                seen.extend(ids(&page));
                place = seen.last().copied().unwrap_or_default();
                if !more {
                    break;
                }
            }
            assert_eq!(seen, alices, "pages of {count}");
        }
        assert_eq!(rewound(&world, people[0], u64::MAX, 5), (Vec::new(), false));
        let none =
            world.read(people[0], &Query::Rewind { after: MessageId(0), count: 0, own: true });
        assert_eq!(none.unwrap_err(), Refusal::BadRange);
    }

    #[test]
    fn what_last_messages_carry_counts_among_contacts() {
        let mut world = World::new();
        world.add_user("alice");
        let alice = world.log_in("alice");
        let link = format!("https://im.test/{}", "x".repeat(SPAN_VALUE_BYTES_MAX - 16));
        let span =
            |n| Span { start: n, end: n + 1, kind: SpanKind::Link, value: Some((&*link).into()) };
        let spans: Box<[Span]> = (0..60).map(span).collect();
        for n in 0..20 {
            let bob = format!("bob{n:02}");
            world.add_user(&bob);
            let me = world.log_in(&bob);
            let text = draft("alice", &"x".repeat(60), None);
            let message = Draft { kind: Kind::Formatted, spans: spans.clone(), ..text };
            assert!(world.ask(me, Command::Send(message)).reply.is_ok());
            let bob = ContactDraft { dialog: Some(true), ..contact(&bob) };
            assert!(world.ask(alice, Command::AddContact(bob)).reply.is_ok());
        }
        let query = Query::Contacts { after: None, count: 20, unlisted: true };
        let Ok(Reply::Contacts { contacts, more }) = world.read(alice, &query) else { panic!() };
        assert_eq!((contacts.len(), more), (16, true));
    }
}
