//! Messages: sending them, and telling those who read them.
//!
//! **A send writes one record,** whether two people read it or a thousand. A direct chat appears with
//! its first message, which also makes the two members; everything else about it follows from its
//! number.

use crate::domain::eyes::{self, Eyes, Window};
use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq};
use crate::domain::mark::{self, Moved};
use crate::domain::name::Name;
use crate::domain::notice::{self, Matter};
use crate::domain::nouns::{Access, Account, AccountState, Entry, Extra, Mark, Member, Message};
use crate::domain::session::Caller;
use crate::domain::subscribe::{check_default, fresh, take_up};
use crate::domain::words::{Act, Audience, Draft, Event, Kind, MessageView, News, Refusal, Reply};
use crate::domain::{Context, Fault, account, chat, contact, spans};
use crate::limits::{COOKIE_BYTES_MAX, MIME_BYTES_MAX};
use crate::store::{Look, StoreError, Tx};

/// A chat that somebody writes to, with the names that those who hear of it will read.
#[derive(Clone, Debug)]
pub(in crate::domain) struct Room {
    pub(in crate::domain) chat: ChatId,
    pub(in crate::domain) writer: Name,
    pub(in crate::domain) side: Side,
    /// The writer's.
    pub(in crate::domain) part: Option<Member>,
}

/// Who else is in it.
#[derive(Clone, Debug)]
pub(in crate::domain) enum Side {
    Other { account: AccountNo, name: Name },
    Group { name: Name },
}

impl Room {
    /// What the writer calls it.
    pub(in crate::domain) fn name(&self) -> &Name {
        match &self.side {
            Side::Other { name, .. } | Side::Group { name } => name,
        }
    }
}

/// Stores a message and tells both sides. Refusals rank: the draft's own fields, the server of the
/// recipient, the recipient; a known cookie is answered before the recipient is looked at, so that
/// a retry finds the first answer whatever has happened to them since.
pub(in crate::domain) fn send(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    mut draft: Draft,
    news: &mut Vec<News>,
) -> Result<Reply, Fault> {
    check(context, &mut draft)?;
    if !draft.chat.is_local(context.home) {
        // Nothing carries a message to another server yet, whatever the configuration says: a 200
        // for one that cannot leave would be a lie.
        return Err(Refusal::NoFederation.into());
    }
    let found = chat::find(tx, &draft.chat)?.ok_or(Refusal::NoSuchAccount)?;
    let chat = match &found {
        chat::Found::Account(other) => ChatId::direct(me.account, *other),
        chat::Found::Group(chat) => chat.id,
    };
    let cookie = draft.cookie.as_deref();
    if let Some(cookie) = cookie
        && let Some(first) = tx.cookie(chat, me.account, cookie)?
    {
        return Ok(Reply::Sent { id: first.id, seq: first.seq, time: first.time, repeated: true });
    }
    let room = enter(tx, me.account, &found)?;
    if draft.reply_to != MessageId(0) {
        visible(tx, me.account, &draft.chat, draft.reply_to)?;
    }
    let is_plain = draft.reply_to == MessageId(0) && draft.spans.is_empty() && draft.mime.is_none();
    let extra = (!is_plain).then(|| {
        let Draft { reply_to, spans, mime, .. } = &mut draft;
        let (spans, mime) = (std::mem::take(spans), mime.take());
        Box::new(Extra { reply_to: *reply_to, spans, mime, ..Extra::default() })
    });
    let cookie = draft.cookie.as_deref();
    let entry = Entry { kind: draft.kind, text: draft.text.clone(), cookie, extra };
    let message = post(tx, context, me, &room, entry, news)?;
    Ok(Reply::Sent { id: message.id, seq: message.seq, time: message.time, repeated: false })
}

/// Where somebody may write: a direct chat that the other side does not refuse, a group where they
/// have W.
pub(in crate::domain) fn enter(
    tx: &mut Tx<'_>,
    me: AccountNo,
    found: &chat::Found,
) -> Result<Room, Fault> {
    let author = account::row(tx, me)?;
    let writer: Name = author.called();
    match found {
        chat::Found::Account(other) => {
            let id = ChatId::direct(me, *other);
            let part = tx.member(me, id)?;
            let name = match *other == me {
                true => writer.clone(),
                false => check_recipient(tx, &author, *other)?,
            };
            if part.is_some_and(|part| !part.mode().has(Access::WRITE)) {
                return Err(Refusal::NotAllowed.into());
            }
            if *other != me && part.is_none_or(|part| part.alone) {
                check_default(tx, *other, id)?;
            }
            let side = Side::Other { account: *other, name };
            Ok(Room { chat: id, writer, side, part })
        }
        chat::Found::Group(chat) => {
            let part = tx.member(me, chat.id)?;
            let mode = part.unwrap_or_default().mode();
            if !mode.is_member() {
                return Err(Refusal::NoSuchChat.into());
            }
            if !mode.has(Access::WRITE) {
                return Err(Refusal::NotAllowed.into());
            }
            let name = chat.called();
            Ok(Room { chat: chat.id, writer, side: Side::Group { name }, part })
        }
    }
}

/// A message that somebody can see in a chat of theirs.
pub(in crate::domain) fn visible(
    look: &impl Look,
    me: AccountNo,
    address: &Address,
    id: MessageId,
) -> Result<Message, Fault> {
    let readable = chat::readable(look, me, address)?;
    if id <= readable.horizon {
        return Err(Refusal::NoSuchMessage.into());
    }
    let message = look.message(readable.chat, id)?.ok_or(Refusal::NoSuchMessage)?;
    if eyes::is_hidden(look, me, readable.chat, id)? {
        return Err(Refusal::NoSuchMessage.into());
    }
    Ok(message)
}

/// Adds a record to a chat and tells everybody who reads it; the session that did it is answered
/// instead.
pub(in crate::domain) fn post(
    tx: &mut Tx<'_>,
    context: &Context<'_>,
    me: &Caller,
    room: &Room,
    entry: Entry<'_>,
    news: &mut Vec<News>,
) -> Result<Message, StoreError> {
    let chat = room.chat;
    let before = tx.head(chat)?;
    let part = room.part;
    let mut unheard = part.is_some_and(|part| part.unheard);
    if let Side::Other { account, .. } = &room.side
        && part.is_none_or(|part| part.alone)
    {
        let mine = match part {
            Some(part) => part,
            None => fresh(tx, me.account, chat, Access::DIRECT)?,
        };
        let pair = take_up(tx, me.account, *account, mine, true)?;
        unheard = pair.mine.unheard;
        // Who has to be asked first is told so, and hears nothing until then.
        if let Some(theirs) = pair.new.filter(|part| !part.mode().is_member()) {
            let matter = Matter { act: Act::Invited, chat, part: theirs, note: "" };
            notice::leave(tx, context, me, *account, matter, news)?;
        }
    }
    let message = tx.record(chat, me.account, context.now, entry)?;
    // Marks that one's own message implies need no write: the store derives them.
    let own = Mark { id: message.id, seq: message.seq };
    if message.kind == Kind::Cleared {
        // Before anybody is told how much is unread.
        let reach = message.extra.as_ref().map_or(own.seq, |extra| extra.reach);
        let next = Seq(reach.0.saturating_add(1));
        // What is left begins with the message after the last that went, else with this record.
        let first = tx.message_at(chat, next)?.unwrap_or(own.id);
        tx.put_floor(chat, Mark { id: first, seq: next })?;
    }
    tell(tx, &message, me, room, unheard, news)?;
    // mSIM 2, decision 9: sending implies having read, and is announced only where that passes a
    // message of somebody else; all that lies above the read mark is theirs. What has no place was
    // nobody's to read.
    if let Some(part) = part
        && part.read.seq < before.seq
        // Who may not read has read nothing by writing.
        && part.mode().has(Access::READ)
        && !chat::is_notes(chat)
    {
        let new = chat::advanced(&part, own, own);
        match &room.side {
            Side::Other { account, name } => {
                let moved = Moved {
                    chat,
                    mover: me.account,
                    mover_name: room.writer.clone(),
                    other: *account,
                    other_name: name.clone(),
                    except: me.key,
                    old: part,
                    part: new,
                    read_till: Some(Mark { id: before.id, seq: before.seq }),
                };
                moved.tell(tx, news)?;
            }
            Side::Group { .. } => {
                let read = Some(Mark { id: before.id, seq: before.seq });
                mark::moved_in_group(tx, me, chat, (&part, &new), read, news)?;
            }
        }
    }
    Ok(message)
}

/// Each reader hears of the record in their own words.
fn tell(
    tx: &mut Tx<'_>,
    message: &Message,
    me: &Caller,
    room: &Room,
    unheard: bool,
    news: &mut Vec<News>,
) -> Result<(), StoreError> {
    let to_others = match &room.side {
        Side::Other { account, .. } if *account == me.account => None,
        Side::Other { .. } if unheard => None,
        Side::Other { account, .. } => {
            let seen = see(tx, message, *account, &room.writer, &room.writer)?;
            Some((Audience::One(*account), seen))
        }
        Side::Group { name } => {
            // None of them wrote it, so that they all see the same.
            let seen = see(tx, message, AccountNo(0), name, &room.writer)?;
            let all = tx.roster(message.chat)?.readers().clone();
            Some((Audience::Many { all, but: Some(me.account) }, seen))
        }
    };
    if let Some((to, seen)) = to_others {
        let without = without_target(tx, message, &to)?;
        if without.is_empty() {
            news.push(News::new(to, None, Event::Message(seen)));
        } else {
            let with = to.accounts().filter(|who| !without.contains(who)).collect();
            let to = Audience::Many { all: with, but: None };
            news.push(News::new(to, None, Event::Message(seen.clone())));
            let to = Audience::Many { all: without.into(), but: None };
            news.push(News::new(to, None, Event::Message(eyes::without_target(seen))));
        }
    }
    let seen = see(tx, message, me.account, room.name(), &room.writer)?;
    news.push(News::to_one(me.account, Some(me.key), Event::Message(seen)));
    Ok(())
}

/// Those who deleted for themselves what was edited now; its new text is nothing to them.
fn without_target(
    tx: &mut Tx<'_>,
    message: &Message,
    to: &Audience,
) -> Result<Vec<AccountNo>, StoreError> {
    let mut without = Vec::new();
    let (Kind::Edited, Some(extra)) = (message.kind, &message.extra) else { return Ok(without) };
    for who in to.accounts() {
        let part = tx.part(who, message.chat)?.unwrap_or_default();
        if extra.target <= part.cleared || eyes::is_hidden(tx, who, message.chat, extra.target)? {
            without.push(who);
        }
    }
    Ok(without)
}

/// A new record as `reader` sees it, who calls the chat `chat`.
fn see(
    look: &impl Look,
    message: &Message,
    reader: AccountNo,
    chat: &Name,
    from: &Name,
) -> Result<MessageView, StoreError> {
    if message.extra.is_some() {
        let window = Window { name: chat.clone(), horizon: MessageId(0) };
        return Eyes::new(look, reader).see(message, &window, false);
    }
    // What most messages are needs no look at anything.
    Ok(MessageView {
        chat: chat.clone(),
        from: from.clone(),
        id: message.id,
        previous: message.previous,
        seq: message.seq,
        time: message.time,
        kind: message.kind,
        text: message.text.clone(),
        cookie: message.cookie.clone().filter(|_| message.from == reader),
        extra: None,
    })
}

fn check(context: &Context<'_>, draft: &mut Draft) -> Result<(), Refusal> {
    let limits = context.limits;
    if draft.text.is_empty() {
        return Err(Refusal::TextEmpty);
    }
    let text_max = match draft.kind {
        // Four letters of base64 for three bytes.
        Kind::Blob => limits.max_blob_bytes.div_ceil(3) * 4,
        _ => limits.max_text_bytes,
    };
    if draft.text.len() > text_max {
        return Err(Refusal::TextTooLong);
    }
    let fits = match draft.kind {
        Kind::Text => draft.spans.is_empty() && draft.mime.is_none(),
        Kind::Formatted => draft.mime.is_none(),
        Kind::Blob => draft.spans.is_empty() && draft.mime.as_deref().is_some_and(is_mime),
        // Files come by another way, the rest by what they tell of.
        _ => false,
    };
    if !fits {
        return Err(Refusal::BadField);
    }
    if draft.kind == Kind::Formatted {
        draft.spans = spans::checked(&draft.text, std::mem::take(&mut draft.spans))?;
    }
    match &draft.cookie {
        Some(cookie) if cookie.is_empty() || cookie.len() > COOKIE_BYTES_MAX => {
            Err(Refusal::BadField)
        }
        Some(_) | None => Ok(()),
    }
}

/// `type/subtype` with parameters perhaps (RFC 6838 §4.2, RFC 2045 §5.1).
fn is_mime(text: &str) -> bool {
    let is_name = |name: &str| {
        let may_be = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !name.is_empty() && name.bytes().all(may_be)
    };
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    text.len() <= MIME_BYTES_MAX
        && name.trim_end().split_once('/').is_some_and(|(top, sub)| is_name(top) && is_name(sub))
        && parameters.bytes().all(|b| (b' '..0x7f).contains(&b))
}

/// A disabled account still receives: it will read when it is enabled again. Its address.
pub(in crate::domain) fn check_recipient(
    look: &impl Look,
    author: &Account,
    other: AccountNo,
) -> Result<Name, Fault> {
    let row = account::row(look, other)?;
    match row.state {
        AccountState::Active | AccountState::Disabled => {}
        AccountState::Removed | AccountState::Remote => {
            return Err(Refusal::NoSuchAccount.into());
        }
    }
    if contact::is_blocked(look, other, &author.address)? {
        return Err(Refusal::NotAllowed.into());
    }
    Ok(row.called())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{MessageId, Seq};
    use crate::domain::nouns::{Contact, ContactState};
    use crate::domain::testing::{
        Me, World, address, contact, draft, heard_by, ids, login, refused, whole,
    };
    use crate::domain::words::{Command, Order, Outcome};

    fn send(world: &mut World, me: Me, to: &str, text: &str, cookie: &str) -> Outcome {
        world.ask(me, Command::Send(draft(to, text, Some(cookie))))
    }

    fn message(event: &Event) -> &MessageView {
        match event {
            Event::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_writes_after_what_nobody_has_to_read_has_passed_nothing() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        // Alice has made it, and bob has come.
        world.group_of("garden", &[alice, bob]);
        let told = |outcome: &Outcome| {
            let all = outcome.news.iter().map(|news| &**news.event);
            all.filter(|event| matches!(event, Event::Marked { .. } | Event::ChatsChanged(_)))
                .count()
        };
        assert_eq!(told(&send(&mut world, alice, "garden", "one", "c1")), 0);
        // Bob passes it, and what is told then is for everybody.
        let outcome = send(&mut world, bob, "garden", "two", "c2");
        let heard = heard_by(&outcome, alice.account, None);
        assert!(matches!(&**heard[1], Event::Marked { user, .. } if &**user == "bob@im.test"));
        assert!(told(&outcome) > 1);
        assert_eq!(told(&send(&mut world, bob, "garden", "three", "c3")), 0);
    }

    #[test]
    fn each_side_hears_a_message_in_its_own_words() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let outcome = send(&mut world, alice, "bob", "hi", "c1");
        let Ok(Reply::Sent { id, seq, time, repeated: false }) = outcome.reply else { panic!() };
        assert_eq!((seq, time), (Seq(1), world.now));
        assert_eq!(outcome.news.len(), 2);
        let theirs = &heard_by(&outcome, bob.account, None)[0];
        let theirs = message(theirs);
        assert_eq!((&*theirs.chat, &*theirs.from), ("alice@im.test", "alice@im.test"));
        assert_eq!((theirs.id, theirs.previous, &*theirs.text), (id, MessageId(0), "hi"));
        assert_eq!(theirs.cookie, None);
        let mine = &heard_by(&outcome, alice.account, Some(alice.key))[0];
        let mine = message(mine);
        assert_eq!((&*mine.chat, &*mine.from), ("bob@im.test", "alice@im.test"));
        assert_eq!(mine.cookie.as_deref(), Some("c1"));

        // The same words in history.
        let (history, _) = world.history(bob, "alice", whole()).unwrap();
        assert_eq!(&history[0], theirs);
        let (history, _) = world.history(alice, "bob", whole()).unwrap();
        assert_eq!(&history[0], mine);
    }

    #[test]
    fn a_cookie_stores_once() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        let first = send(&mut world, alice, "bob", "one", "c");
        let Ok(Reply::Sent { id, time, .. }) = first.reply else { panic!() };
        world.now.0 += 5000;
        world.sent(alice, "bob", "two");
        let again = send(&mut world, alice, "bob", "other text", "c");
        assert!(again.news.is_empty());
        match again.reply {
            Ok(Reply::Sent { id: i, time: t, seq: Seq(1), repeated: true }) => {
                assert_eq!((i, t), (id, time));
            }
            other => panic!("{other:?}"),
        }
        // Per author and per chat.
        for (me, to) in [(bob, "alice"), (alice, "alice")] {
            let outcome = send(&mut world, me, to, "x", "c");
            assert!(matches!(outcome.reply, Ok(Reply::Sent { repeated: false, .. })));
        }
    }

    #[test]
    fn a_known_cookie_is_answered_whatever_became_of_the_recipient() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        send(&mut world, alice, "bob", "one", "c");
        block(&mut world, bob, "alice");
        assert_eq!(refused(&send(&mut world, alice, "bob", "x", "d")), Refusal::NotAllowed);
        let again = send(&mut world, alice, "bob", "one", "c");
        assert!(matches!(again.reply, Ok(Reply::Sent { repeated: true, .. })));
        world.order(Order::RemoveUser { login: login("bob") });
        assert_eq!(refused(&send(&mut world, alice, "bob", "x", "d")), Refusal::NoSuchAccount);
        let again = send(&mut world, alice, "bob", "one", "c");
        assert!(matches!(again.reply, Ok(Reply::Sent { repeated: true, .. })));
    }

    #[test]
    fn a_refused_send_does_not_use_its_cookie_up() {
        let (mut world, [alice]) = World::of(["alice"]);
        assert_eq!(refused(&send(&mut world, alice, "bob", "x", "c")), Refusal::NoSuchAccount);
        world.add_user("bob");
        let outcome = send(&mut world, alice, "bob", "x", "c");
        assert!(matches!(outcome.reply, Ok(Reply::Sent { repeated: false, .. })));
    }

    #[test]
    fn texts_and_cookies_have_limits() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        world.limits.max_text_bytes = 4;
        assert_eq!(refused(&world.send(alice, "bob", "")), Refusal::TextEmpty);
        assert_eq!(refused(&world.send(alice, "bob", "ббб")), Refusal::TextTooLong);
        // The text ranks before the recipient.
        assert_eq!(refused(&world.send(alice, "nobody", "")), Refusal::TextEmpty);
        for cookie in ["", &"c".repeat(COOKIE_BYTES_MAX + 1)] {
            assert_eq!(refused(&send(&mut world, alice, "bob", "x", cookie)), Refusal::BadField);
        }
        world.sent(alice, "bob", "бб");
        assert!(send(&mut world, alice, "bob", "x", &"c".repeat(COOKIE_BYTES_MAX)).reply.is_ok());
    }

    #[test]
    fn a_refused_message_makes_no_chat() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        block(&mut world, bob, "alice");
        for (to, why) in [
            ("bob", Refusal::NotAllowed),
            ("nobody", Refusal::NoSuchAccount),
            ("bob@im.test/chat", Refusal::NoSuchAccount),
            ("bob@far.test", Refusal::NoFederation),
            ("bob@im.test:99", Refusal::NoFederation),
        ] {
            assert_eq!(refused(&world.send(alice, to, "x")), why, "{to}");
            assert_eq!(world.history(alice, to, whole()), Err(Refusal::NoSuchChat), "{to}");
        }
        assert!(world.chats(alice).is_empty() && world.chats(bob).is_empty());
        // Who blocks may still write, and the blocked one is answered by that only.
        world.sent(bob, "alice", "x");
        assert_eq!(refused(&world.send(alice, "bob", "x")), Refusal::NotAllowed);
    }

    #[test]
    fn a_disabled_account_still_receives() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        world.order(Order::DisableUser { login: login("bob") });
        world.sent(alice, "bob", "x");
        world.order(Order::EnableUser { login: login("bob") });
        let bob = world.log_in("bob");
        assert_eq!(world.chats(bob)[0].unread, 1);
    }

    #[test]
    fn time_in_a_chat_never_runs_backwards() {
        let (mut world, [alice, _]) = World::of(["alice", "bob"]);
        let start = world.now;
        world.sent(alice, "bob", "x");
        world.now.0 -= 10_000;
        let outcome = world.send(alice, "bob", "y");
        assert!(matches!(outcome.reply, Ok(Reply::Sent { time, .. }) if time == start));
    }

    #[test]
    fn notes_to_oneself_are_heard_once_and_always_read() {
        let (mut world, [alice]) = World::of(["alice"]);
        let first = world.sent(alice, "alice", "buy milk");
        let outcome = send(&mut world, alice, "alice", "and bread", "c");
        let Ok(Reply::Sent { id, .. }) = outcome.reply else { panic!() };
        assert_eq!(outcome.news.len(), 1);
        let heard = heard_by(&outcome, alice.account, Some(alice.key));
        let view = message(&heard[0]);
        assert_eq!((&*view.chat, view.previous), ("alice@im.test", first));
        assert_eq!(view.cookie.as_deref(), Some("c"));
        let [chat] = &world.chats(alice)[..] else { panic!() };
        assert_eq!((chat.unread, chat.last, chat.read), (0, id, id));
        assert_eq!((chat.delivered, chat.my_read), (id, id));
        for outcome in
            [world.mark_read(alice, None, first), world.mark_delivered(alice, Some("alice"), id)]
        {
            assert!(outcome.reply.is_ok() && outcome.news.is_empty());
        }
        let unread = world.ask(alice, Command::Unread { count: 200 });
        assert!(
            matches!(unread.reply, Ok(Reply::Messages { messages, .. }) if messages.is_empty())
        );
        let (history, more) = world.history(alice, "alice", whole()).unwrap();
        assert!(!more && ids(&history) == [first.0, id.0]);
    }

    #[test]
    fn answering_implies_having_read() {
        let (mut world, [alice, bob]) = World::of(["alice", "bob"]);
        world.sent(alice, "bob", "one");
        let theirs = world.sent(alice, "bob", "two");
        let outcome = world.send(bob, "alice", "three");
        let Ok(Reply::Sent { id, .. }) = outcome.reply else { panic!() };
        let heard = heard_by(&outcome, alice.account, None);
        assert_eq!(heard.len(), 3);
        assert_eq!(message(&heard[0]).id, id);
        // The mark that is told is the last message of the other side, not one's own.
        let user: Name = "bob@im.test".into();
        let Event::Marked { chat, user: who, read, delivered } = &**heard[1] else { panic!() };
        assert_eq!((chat, who, *read), (&user, &user, Some(Mark { id: theirs, seq: Seq(2) })));
        assert_eq!(*delivered, Some(Mark { id, seq: Seq(3) }));
        let Event::ChatsChanged(chats) = &**heard[2] else { panic!() };
        assert_eq!(*chats, world.chats(alice));
        assert_eq!((chats[0].unread, chats[0].last, chats[0].read), (1, id, id));
        let heard = heard_by(&outcome, bob.account, Some(bob.key));
        assert_eq!(heard.len(), 3);
        assert!(matches!(**heard[1], Event::MyMarks { .. }));
        assert_eq!(*heard[2], Event::ChatsChanged(world.chats(bob)));
        assert_eq!(world.chats(bob)[0].unread, 0);
        // Nothing of the other side's is passed: the message is all there is to hear.
        assert_eq!(world.send(bob, "alice", "four").news.len(), 2);
    }

    fn block(world: &mut World, me: Me, who: &str) {
        world.ask(me, Command::AddContact(contact(who)));
        world.force(|tx| {
            let contact = tx.contact(me.account, &address(who))?.unwrap();
            tx.put_contact(me.account, &Contact { state: ContactState::Blocked, ..contact })
        });
    }
}
