//! The nouns as records: which tag holds what. Reading a function here is reading the disk.
//!
//! What a record's key says is not said again in the record. `*_TAGS` is the highest tag this
//! version knows of a kind of record; tags are only ever added.

use crate::domain::id::{AccountNo, Address, ChatId, MessageId, Seq, Timestamp};
use crate::domain::nouns::{
    Access, Account, AccountState, Chat, ChatKind, Contact, ContactState, Invite, Mark, Member,
    Profile, Secret, Session,
};
use crate::domain::words::{Digest, KeyId, Sealed, SessionKind, Verifier};
use crate::store::tlv::{Fields, Flaw, number, number8, number32, put_bytes, put_number, text};

pub(super) const NUMBER_TAGS: u8 = 1;
pub(super) const ACCOUNT_TAGS: u8 = 5;
pub(super) const NAME_TAGS: u8 = 2;
pub(super) const SESSION_TAGS: u8 = 5;
pub(super) const CONTACT_TAGS: u8 = 6;
pub(super) const CHAT_TAGS: u8 = 12;
pub(super) const MEMBER_TAGS: u8 = 12;
pub(super) const INVITE_TAGS: u8 = 2;
pub(super) const SECRET_TAGS: u8 = 4;
pub(super) const PROFILE_TAGS: u8 = 10;
pub(super) const FLOOR_TAGS: u8 = 2;
pub(super) const SEEN_TAGS: u8 = 2;
pub(super) const CARD_TAGS: u8 = 1;

/// A record of `meta` that is one number, and a row of `seen`.
pub(super) fn put_one(one: u64, out: &mut Vec<u8>) {
    put_number(out, 1, one);
}

pub(super) fn one(mut fields: Fields<'_>) -> Result<u64, Flaw> {
    let mut one = 0;
    while let Some((tag, bytes)) = fields.next()? {
        if tag == 1 {
            one = number(bytes)?;
        }
    }
    Ok(one)
}

pub(super) fn put_account(account: &Account, out: &mut Vec<u8>) {
    put_bytes(out, 1, account.address.to_string().as_bytes());
    put_bytes(out, 2, account.verifier.as_ref().map_or("", |v| &v.0).as_bytes());
    put_number(out, 3, account.state as u64);
    put_number(out, 4, account.created.0);
    put_number(out, 5, account.public_id);
}

pub(super) fn account(no: AccountNo, mut fields: Fields<'_>) -> Result<Account, Flaw> {
    let (mut address, mut verifier) = (None, None);
    let mut state = AccountState::default();
    let (mut created, mut public_id) = (0, 0);
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => address = Some(address_of(bytes)?),
            2 => verifier = Some(Verifier(text(bytes)?.into())),
            3 => state = account_state(number8(bytes)?)?,
            4 => created = number(bytes)?,
            5 => public_id = number(bytes)?,
            _later => {}
        }
    }
    let address = address.ok_or("it has no address")?;
    Ok(Account { no, address, verifier, state, created: Timestamp(created), public_id })
}

/// What an address of the one name space belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Account(AccountNo),
    Chat(ChatId),
}

pub(super) fn put_name(named: Named, out: &mut Vec<u8>) {
    match named {
        Named::Account(no) => put_number(out, 1, u64::from(no.0)),
        Named::Chat(chat) => put_number(out, 2, chat.0),
    }
}

pub(super) fn name(mut fields: Fields<'_>) -> Result<Named, Flaw> {
    let mut named = None;
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => named = Some(Named::Account(AccountNo(number32(bytes)?))),
            2 => named = Some(Named::Chat(ChatId(number(bytes)?))),
            _later => {}
        }
    }
    named.ok_or("it names nothing")
}

pub(super) fn put_session(session: &Session, out: &mut Vec<u8>) {
    put_number(out, 1, u64::from(session.account.0));
    put_number(out, 2, session.kind as u64);
    put_number(out, 3, session.created.0);
    put_number(out, 4, session.used.0);
    put_bytes(out, 5, session.app.as_deref().unwrap_or("").as_bytes());
}

pub(super) fn session(mut fields: Fields<'_>) -> Result<Session, Flaw> {
    let mut account = None;
    let mut kind = SessionKind::default();
    let (mut created, mut used) = (0, 0);
    let mut app = None;
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => account = Some(AccountNo(number32(bytes)?)),
            2 => kind = session_kind(number8(bytes)?)?,
            3 => created = number(bytes)?,
            4 => used = number(bytes)?,
            5 => app = Some(text(bytes)?.into()),
            _later => {}
        }
    }
    let account = account.ok_or("it has no account")?;
    Ok(Session { account, kind, created: Timestamp(created), used: Timestamp(used), app })
}

pub(super) fn put_contact(contact: &Contact, out: &mut Vec<u8>) {
    put_bytes(out, 1, contact.name.as_bytes());
    put_number(out, 2, contact.state as u64);
    put_number(out, 3, u64::from(contact.dialog));
    put_bytes(out, 4, contact.note.as_deref().unwrap_or("").as_bytes());
    // One field a group, outermost first. A group without a name keeps its place: nothing with a
    // length of 0 is written, so each carries a byte in front.
    for group in &contact.group {
        let mut bytes = Vec::with_capacity(group.len() + 1);
        bytes.push(b'/');
        bytes.extend_from_slice(group.as_bytes());
        put_bytes(out, 5, &bytes);
    }
    put_number(out, 6, u64::from(contact.unlisted));
}

pub(super) fn contact(who: Address, mut fields: Fields<'_>) -> Result<Contact, Flaw> {
    let mut contact = Contact {
        who,
        name: "".into(),
        group: Vec::new(),
        note: None,
        dialog: false,
        state: ContactState::default(),
        unlisted: false,
    };
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => contact.name = text(bytes)?.into(),
            2 => contact.state = contact_state(number8(bytes)?)?,
            3 => contact.dialog = number(bytes)? != 0,
            4 => contact.note = Some(text(bytes)?.into()),
            5 => contact.group.push(text(bytes.get(1..).unwrap_or(&[]))?.into()),
            6 => contact.unlisted = number(bytes)? != 0,
            _later => {}
        }
    }
    Ok(contact)
}

pub(super) fn put_chat(chat: &Chat, out: &mut Vec<u8>) {
    put_number(out, 1, chat.kind as u64);
    put_bytes(out, 2, chat.address.to_string().as_bytes());
    put_bytes(out, 3, chat.name.as_bytes());
    put_number(out, 4, u64::from(chat.default_access.0));
    put_bytes(out, 5, chat.about.as_bytes());
    put_number(out, 6, u64::from(chat.open));
    put_number(out, 7, chat.space.map_or(0, |space| space.0));
    put_number(out, 8, u64::from(chat.removed));
    put_number(out, 9, chat.created.0);
    put_number(out, 10, chat.public_id);
    put_number(out, 11, chat.changed.0);
    put_number(out, 12, u64::from(chat.retention));
}

pub(super) fn chat(id: ChatId, mut fields: Fields<'_>) -> Result<Chat, Flaw> {
    let mut kind = ChatKind::default();
    let mut address = None;
    let (mut name, mut about): (Box<str>, Box<str>) = ("".into(), "".into());
    let (mut access, mut open, mut space, mut removed) = (0, false, None, false);
    let (mut created, mut public_id, mut changed, mut retention) = (0, 0, 0, 0);
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => kind = chat_kind(number8(bytes)?)?,
            2 => address = Some(address_of(bytes)?),
            3 => name = text(bytes)?.into(),
            4 => access = number8(bytes)?,
            5 => about = text(bytes)?.into(),
            6 => open = number(bytes)? != 0,
            7 => space = Some(ChatId(number(bytes)?)),
            8 => removed = number(bytes)? != 0,
            9 => created = number(bytes)?,
            10 => public_id = number(bytes)?,
            11 => changed = number(bytes)?,
            12 => retention = number32(bytes)?,
            _later => {}
        }
    }
    Ok(Chat {
        id,
        kind,
        address: address.ok_or("it has no address")?,
        name,
        about,
        default_access: Access(access),
        open,
        space,
        removed,
        created: Timestamp(created),
        changed: Timestamp(changed.max(created)),
        public_id,
        retention,
    })
}

/// Beside the letters: to want none is something else than to say nothing, which 0 stands for.
const SAID: u8 = 128;

pub(super) fn put_profile(profile: &Profile, out: &mut Vec<u8>) {
    put_bytes(out, 1, profile.name.as_bytes());
    put_bytes(out, 2, profile.short_name.as_bytes());
    put_bytes(out, 3, profile.full_name.as_bytes());
    put_bytes(out, 4, profile.note.as_bytes());
    put_bytes(out, 5, profile.photo.as_bytes());
    for picture in &profile.gallery {
        put_bytes(out, 6, picture.as_bytes());
    }
    for contact in &profile.contacts {
        put_bytes(out, 7, contact.as_bytes());
    }
    put_bytes(out, 8, profile.birthday.as_bytes());
    put_number(out, 9, profile.changed.0);
    if let Some(access) = profile.access {
        put_number(out, 10, u64::from(access.0 | SAID));
    }
}

pub(super) fn profile(mut fields: Fields<'_>) -> Result<Profile, Flaw> {
    let mut profile = Profile::default();
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => profile.name = text(bytes)?.into(),
            2 => profile.short_name = text(bytes)?.into(),
            3 => profile.full_name = text(bytes)?.into(),
            4 => profile.note = text(bytes)?.into(),
            5 => profile.photo = text(bytes)?.into(),
            6 => profile.gallery.push(text(bytes)?.into()),
            7 => profile.contacts.push(text(bytes)?.into()),
            8 => profile.birthday = text(bytes)?.into(),
            9 => profile.changed = Timestamp(number(bytes)?),
            10 => profile.access = Some(Access(number8(bytes)? & !SAID)),
            _later => {}
        }
    }
    Ok(profile)
}

/// What is kept as it came.
pub(super) fn put_card(card: &str, out: &mut Vec<u8>) {
    put_bytes(out, 1, card.as_bytes());
}

pub(super) fn card(mut fields: Fields<'_>) -> Result<Box<str>, Flaw> {
    let mut card = "";
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => card = text(bytes)?,
            _later => {}
        }
    }
    Ok(card.into())
}

/// When somebody was last seen, and with what.
pub(super) fn put_seen(at: Timestamp, agent: &str, out: &mut Vec<u8>) {
    put_one(at.0, out);
    put_bytes(out, 2, agent.as_bytes());
}

pub(super) fn agent(mut fields: Fields<'_>) -> Result<Box<str>, Flaw> {
    let mut agent = "";
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            2 => agent = text(bytes)?,
            _later => {}
        }
    }
    Ok(agent.into())
}

pub(super) fn put_floor(floor: Mark, out: &mut Vec<u8>) {
    put_number(out, 1, floor.id.0);
    put_number(out, 2, u64::from(floor.seq.0));
}

pub(super) fn floor(mut fields: Fields<'_>) -> Result<Mark, Flaw> {
    let mut floor = Mark::default();
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => floor.id = MessageId(number(bytes)?),
            2 => floor.seq = Seq(number32(bytes)?),
            _later => {}
        }
    }
    Ok(floor)
}

pub(super) fn put_member(member: &Member, out: &mut Vec<u8>) {
    put_number(out, 1, u64::from(member.want.0));
    put_number(out, 2, u64::from(member.given.0));
    put_number(out, 3, member.delivered.id.0);
    put_number(out, 4, u64::from(member.delivered.seq.0));
    put_number(out, 5, member.read.id.0);
    put_number(out, 6, u64::from(member.read.seq.0));
    put_number(out, 7, member.cleared.0);
    put_number(out, 8, u64::from(member.unheard));
    put_number(out, 9, u64::from(member.alone));
    put_number(out, 10, u64::from(member.begun));
    put_number(out, 11, u64::from(member.left));
    put_number(out, 12, u64::from(member.told));
}

pub(super) fn member(mut fields: Fields<'_>) -> Result<Member, Flaw> {
    let mut member = Member::default();
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => member.want = Access(number8(bytes)?),
            2 => member.given = Access(number8(bytes)?),
            3 => member.delivered.id = MessageId(number(bytes)?),
            4 => member.delivered.seq = Seq(number32(bytes)?),
            5 => member.read.id = MessageId(number(bytes)?),
            6 => member.read.seq = Seq(number32(bytes)?),
            7 => member.cleared = MessageId(number(bytes)?),
            8 => member.unheard = number(bytes)? != 0,
            9 => member.alone = number(bytes)? != 0,
            10 => member.begun = number(bytes)? != 0,
            11 => member.left = number(bytes)? != 0,
            12 => member.told = number(bytes)? != 0,
            _later => {}
        }
    }
    Ok(member)
}

pub(super) fn put_invite(invite: &Invite, out: &mut Vec<u8>) {
    put_number(out, 1, u64::from(invite.uses));
    put_number(out, 2, invite.expires.0);
}

pub(super) fn invite(mut fields: Fields<'_>) -> Result<Invite, Flaw> {
    let (mut uses, mut expires) = (0, 0);
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => uses = number32(bytes)?,
            2 => expires = number(bytes)?,
            _later => {}
        }
    }
    Ok(Invite { uses, expires: Timestamp(expires) })
}

pub(super) fn put_secret(secret: &Secret, out: &mut Vec<u8>) {
    put_number(out, 1, u64::from(secret.sealed.key.0));
    put_bytes(out, 2, &secret.sealed.bytes);
    put_bytes(out, 3, secret.digest.as_ref().map_or(&[], |digest| &digest.0));
    put_number(out, 4, secret.created.0);
}

pub(super) fn secret(name: &str, mut fields: Fields<'_>) -> Result<Secret, Flaw> {
    let (mut key, mut sealed, mut digest, mut created) = (0, [].into(), None, 0);
    while let Some((tag, bytes)) = fields.next()? {
        match tag {
            1 => key = number32(bytes)?,
            2 => sealed = bytes.into(),
            3 => digest = Some(Digest(bytes.try_into().map_err(|_| "its digest is too short")?)),
            4 => created = number(bytes)?,
            _later => {}
        }
    }
    let sealed = Sealed { key: KeyId(key), bytes: sealed };
    Ok(Secret { name: name.into(), sealed, digest, created: Timestamp(created) })
}

/// An address as it lies on the disk: canonical, with its host.
pub(super) fn address_of(bytes: &[u8]) -> Result<Address, Flaw> {
    // There is no home to add: what has no host is not what was written.
    Address::parse(text(bytes)?, "").map_err(|_| "an address of it is none")
}

fn account_state(number: u8) -> Result<AccountState, Flaw> {
    Ok(match number {
        0 => AccountState::Active,
        1 => AccountState::Disabled,
        2 => AccountState::Removed,
        3 => AccountState::Remote,
        _ => return Err("its state is unknown"),
    })
}

fn session_kind(number: u8) -> Result<SessionKind, Flaw> {
    Ok(match number {
        0 => SessionKind::Person,
        1 => SessionKind::Application,
        2 => SessionKind::Server,
        _ => return Err("its kind is unknown"),
    })
}

fn contact_state(number: u8) -> Result<ContactState, Flaw> {
    Ok(match number {
        0 => ContactState::Plain,
        1 => ContactState::Requested,
        2 => ContactState::Pending,
        3 => ContactState::Blocked,
        _ => return Err("its state is unknown"),
    })
}

fn chat_kind(number: u8) -> Result<ChatKind, Flaw> {
    Ok(match number {
        0 => ChatKind::Direct,
        1 => ChatKind::Group,
        2 => ChatKind::Channel,
        3 => ChatKind::Circle,
        _ => return Err("its kind is unknown"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tlv;

    fn round<T>(
        put: impl FnOnce(&mut Vec<u8>),
        get: impl FnOnce(Fields<'_>) -> Result<T, Flaw>,
    ) -> T {
        let mut record = Vec::new();
        put(&mut record);
        // What a later version might add is passed over.
        put_bytes(&mut record, 200, b"later");
        tlv::seal(&mut record, b"key");
        get(tlv::open(b"key", &record).unwrap()).unwrap()
    }

    fn address(text: &str) -> Address {
        Address::parse(text, "im.test").unwrap()
    }

    #[test]
    fn every_noun_comes_back_from_its_record() {
        let account = Account {
            no: AccountNo(7),
            address: address("алиса@im.test"),
            verifier: Some(Verifier("$argon2id$…".into())),
            state: AccountState::Disabled,
            created: Timestamp(1_700_000_000_000),
            public_id: u64::MAX,
        };
        assert_eq!(round(|o| put_account(&account, o), |f| super::account(account.no, f)), account);
        let gone = Account { verifier: None, state: AccountState::Removed, ..account };
        assert_eq!(round(|o| put_account(&gone, o), |f| super::account(gone.no, f)), gone);

        let session = Session {
            account: AccountNo(7),
            kind: SessionKind::Application,
            created: Timestamp(5),
            used: Timestamp(6),
            app: Some("phone".into()),
        };
        assert_eq!(round(|o| put_session(&session, o), super::session), session);

        let contact = Contact {
            who: address("bob@[::1]:8080/room"),
            name: "Bob".into(),
            group: vec!["friends".into(), "".into(), "old/new".into()],
            note: Some("owes me a book".into()),
            dialog: true,
            state: ContactState::Blocked,
            unlisted: true,
        };
        let back = round(|o| put_contact(&contact, o), |f| super::contact(contact.who.clone(), f));
        assert_eq!(back, contact);

        let chat = Chat {
            id: ChatId(ChatId::FIRST_GROUP + 1),
            kind: ChatKind::Channel,
            address: address("room@im.test/news"),
            name: "News".into(),
            about: "what is new".into(),
            default_access: Access::DIRECT,
            open: true,
            space: Some(ChatId(ChatId::FIRST_GROUP)),
            removed: true,
            created: Timestamp(7),
            changed: Timestamp(8),
            public_id: u64::MAX,
            retention: 30,
        };
        assert_eq!(round(|o| put_chat(&chat, o), |f| super::chat(chat.id, f)), chat);

        let member = Member {
            want: Access(255),
            given: Access(1),
            delivered: Mark { id: MessageId(9), seq: Seq(3) },
            read: Mark { id: MessageId(8), seq: Seq(2) },
            cleared: MessageId(4),
            unheard: true,
            begun: true,
            left: true,
            told: true,
            alone: true,
        };
        assert_eq!(round(|o| put_member(&member, o), super::member), member);
        assert_eq!(round(|o| put_member(&Member::default(), o), super::member), Member::default());

        let profile = Profile {
            name: "Alice".into(),
            gallery: vec!["https://im.test/1".into(), "file:2".into()],
            contacts: vec!["alice@far.test".into()],
            birthday: "2000-02-29".into(),
            changed: Timestamp(8),
            ..Profile::default()
        };
        assert_eq!(round(|o| put_profile(&profile, o), super::profile), profile);
        let floor = Mark { id: MessageId(9), seq: Seq(3) };
        assert_eq!(round(|o| put_floor(floor, o), super::floor), floor);
        let invite = Invite { uses: 3, expires: Timestamp(9) };
        assert_eq!(round(|o| put_invite(&invite, o), super::invite), invite);
        let secret = Secret {
            name: "phone".into(),
            sealed: Sealed { key: KeyId(u32::MAX), bytes: vec![0, 1, 2].into() },
            digest: Some(Digest([7; 32])),
            created: Timestamp(9),
        };
        assert_eq!(round(|o| put_secret(&secret, o), |f| super::secret("phone", f)), secret);
        let own = Secret { name: "".into(), digest: None, ..secret };
        assert_eq!(round(|o| put_secret(&own, o), |f| super::secret("", f)), own);
        for named in [Named::Account(AccountNo(1)), Named::Chat(ChatId(u64::MAX))] {
            assert_eq!(round(|o| put_name(named, o), name), named);
        }
    }

    #[test]
    fn numbers_on_the_disk_are_those_of_the_words() {
        for number in 0..=3 {
            assert_eq!(account_state(number).unwrap() as u8, number);
            assert_eq!(contact_state(number).unwrap() as u8, number);
            assert_eq!(chat_kind(number).unwrap() as u8, number);
        }
        for number in 0..=2 {
            assert_eq!(session_kind(number).unwrap() as u8, number);
        }
        assert!(account_state(4).is_err() && contact_state(4).is_err());
        assert!(chat_kind(4).is_err() && session_kind(3).is_err());
    }

    #[test]
    fn what_a_later_version_added_survives_a_rewrite() {
        let mut old = Vec::new();
        put_member(&Member { want: Access(1), ..Member::default() }, &mut old);
        put_bytes(&mut old, MEMBER_TAGS + 1, b"kept");
        tlv::seal(&mut old, b"key");
        let mut new = Vec::new();
        put_member(&Member { want: Access(2), ..Member::default() }, &mut new);
        tlv::open(b"key", &old).unwrap().carry(MEMBER_TAGS, &mut new).unwrap();
        tlv::seal(&mut new, b"key");
        let fields = tlv::open(b"key", &new).unwrap();
        assert_eq!(member(fields).unwrap().want, Access(2));
        let mut all = Vec::new();
        let mut fields = fields;
        while let Some(field) = fields.next().unwrap() {
            all.push(field);
        }
        assert_eq!(all, [(1, &[2][..]), (MEMBER_TAGS + 1, b"kept")]);
    }
}
