//! Commands on their way: what is asked of the core one after the other, and what is said then.
//!
//! An errand is the answer that is awaited. Hearing it, an errand says what there is to say and
//! becomes the next question, or ends.

use zeroize::Zeroizing;

use super::act::{Act, Naming, chat, leave, name, survey};
use super::files::Incoming;
use super::history::Walk;
use super::numbers::{Place, Target, person};
use super::request::Request;
use super::text::{Crowd, escaped, pseudo};
use super::words::refused;
use super::{Line, Me, Todo, files};
use crate::config::Directory;
use crate::domain::id::{AccountNo, Address, ChatId, Login, MessageId};
use crate::domain::words::{
    ChatDraft, Command, ContactState, Query, Refusal, Reply, RosterView, Start,
};
use crate::limits::{HISTORY_COUNT_MAX, PEOPLE_COUNT_MAX};
use crate::wire::{Credentials, House, What};

/// What is asked next, and the errand that hears the answer; `None`: it is done.
pub(super) type Step = Option<(Errand, What)>;

/// The answer that is awaited.
#[derive(Debug)]
pub(super) enum Errand {
    Registering(Option<Login>, Zeroizing<Vec<u8>>),
    LoggingIn,
    /// After the session has begun to follow, everybody is listed: nobody is missed in between.
    Following,
    Listing,
    Befriending(Friends),
    /// The groups, with the invitations found so far, which come last.
    Mustering(Vec<Line>),
    /// Whom or what a number is for.
    Naming(Box<Naming>),
    Creating,
    Walking(Box<Walk>),
    /// Whether they have asked first: an invitation to somebody who has is its acceptance.
    Answering(AccountNo, Address),
    Accepting(AccountNo),
    Joining(Address),
    Showing,
    /// The channels of a server that is left.
    Surveying(Place),
    /// Those that are still to be left.
    Leaving(Place, Vec<Address>),
    Deleting(Place),
    Renaming(String),
    ChangingPassword,
    ChangingName,
    Relaying(Box<str>),
    /// Marks move without a word.
    Marking(Vec<MessageId>),
    Meeting(AccountNo),
    /// Whether a file may be sent, and then the room for it.
    Permitting(Box<Incoming>),
    Opening(Box<Incoming>),
    /// That its frame is written, that it is whole, that it is said.
    Receiving(Target),
    Storing(Target),
    Announcing(Target),
    /// The message of a file's number.
    Finding(Target),
    /// A slice of a file on its way out.
    Fetching,
    /// Nothing is said but a refusal.
    Silent,
}

/// Contacts as they come.
#[derive(Debug)]
pub(super) struct Friends {
    crowd: Crowd,
    invitations: Vec<Line>,
}

/// NEW USR and IAM.
pub(super) fn enter(request: Request<'_>) -> Step {
    match request {
        Request::NewUser { name, password } => {
            let login = Login::parse(&name).ok();
            let kept = Zeroizing::new(password.as_bytes().to_vec());
            let credentials = Credentials { login: login.clone(), password: kept.to_vec() };
            let start = Some(Box::new(Start { logs_in: true, ..Start::default() }));
            let what = What::Register { credentials, invite: None, sealed: false, start };
            Some((Errand::Registering(login, kept), what))
        }
        Request::Iam { name, password } => {
            let login = Login::parse(&name).ok();
            Some(log_in(login, password.as_bytes().to_vec()))
        }
        _ => None,
    }
}

fn log_in(login: Option<Login>, password: Vec<u8>) -> (Errand, What) {
    (Errand::LoggingIn, What::LogIn(Credentials { login, password }))
}

/// Any other command, of somebody who is here.
pub(super) fn begin(request: Request<'_>, me: &mut Me, out: &mut Vec<Line>) -> Step {
    let command = |errand, command| Some((errand, What::Command(command)));
    let act = |target, act| name(vec![target], act);
    match request {
        Request::NewServer { name } => {
            let draft = ChatDraft { is_space: true, open: Some(true), ..chat(name.into()) };
            command(Errand::Creating, Command::CreateChat(draft))
        }
        Request::NewChannel { server, name } => {
            act(Target::Place(Place::general(server)), Act::NewChannel(name.into()))
        }
        Request::Message { to, text } => act(to, Act::Send(text.into())),
        Request::Get { of, third } => act(of, Act::Get(third)),
        Request::NewFile { name, size, to } => act(to, Act::NewFile(name.into(), size)),
        Request::File { to, size, frame } => files::frame(to, size, frame, me, out),
        Request::InviteFriend(who) => act(Target::Person(who), Act::Befriend),
        Request::Invite { who, to } => {
            name(vec![Target::Place(to), Target::Person(who)], Act::Invite)
        }
        Request::JoinFriend(who) => act(Target::Person(who), Act::Accept),
        Request::Join(place) => act(Target::Place(place), Act::Join),
        Request::Leave(place) => act(Target::Place(place), Act::Leave),
        Request::Delete(place) => act(Target::Place(place), Act::Delete),
        Request::Rename { name, place } => act(Target::Place(place), Act::Rename(name.into())),
        Request::ChangePassword { old, new } => {
            let (old, new) = (Some(old.as_bytes().to_vec()), new.as_bytes().to_vec());
            Some((Errand::ChangingPassword, What::ChangePassword { old, new }))
        }
        Request::ChangeName { name, password } => {
            let Ok(login) = Login::parse(&name) else {
                out.push(refused(Refusal::BadLogin));
                return None;
            };
            let password = Some(password.as_bytes().to_vec());
            Some((Errand::ChangingName, What::ChangeLogin { password, login }))
        }
        Request::Game { table, text } => {
            let errand = Errand::Relaying(table.into());
            command(errand, Command::Relay { table: table.into(), text: text.into() })
        }
        Request::Stop => Some((Errand::Silent, What::Stop)),
        Request::Toc => {
            let told = std::mem::take(&mut me.told);
            mark(told.into_iter().map(|(_, id)| id).collect())
        }
        // Said before anybody is here, or done already.
        Request::NewUser { .. } | Request::Iam { .. } | Request::Bye => None,
    }
}

/// What has to be known of what was told.
pub(super) fn look_up(todo: Todo) -> (Errand, What) {
    match todo {
        Todo::Show { chat } => (Errand::Showing, roster(chat)),
        Todo::Invite { by, chat } => (Errand::Meeting(by), roster(chat)),
    }
}

fn roster(chat: Address) -> What {
    What::Query(Query::Rosters { chat: Some(chat), after: None })
}

/// A TOC says that what was told before has arrived.
fn mark(mut ids: Vec<MessageId>) -> Step {
    let id = ids.pop()?;
    Some((Errand::Marking(ids), What::Command(Command::MarkDelivered { chat: None, id })))
}

fn people(me: &Me, after: AccountNo) -> (Errand, What) {
    let everybody = me.directory == Directory::Everyone;
    let query = Query::People { everybody, after, count: PEOPLE_COUNT_MAX };
    (Errand::Listing, What::Query(query))
}

fn friends(friends: Friends, after: Option<Address>) -> (Errand, What) {
    let query = Query::Contacts { after, count: HISTORY_COUNT_MAX, unlisted: true };
    (Errand::Befriending(friends), What::Query(query))
}

fn muster(invitations: Vec<Line>, after: Option<ChatId>) -> (Errand, What) {
    (Errand::Mustering(invitations), What::Query(Query::Rosters { chat: None, after }))
}

impl Errand {
    /// Takes the answer. `me` is there as soon as somebody is logged in.
    pub(super) fn hear(
        self,
        reply: Result<Reply, Refusal>,
        mut me: Option<&mut Me>,
        house: &House,
        out: &mut Vec<Line>,
    ) -> Step {
        let reply = match (self, reply) {
            (Errand::Walking(walk), reply) => return walk_on(walk, reply, out),
            // Somebody who has asked nothing is asked.
            (Errand::Answering(_, who), Err(Refusal::NoSuchRequest)) => {
                let command = Command::RequestContact { who, note: "".into() };
                return Some((Errand::Silent, What::Command(command)));
            }
            (Errand::Marking(ids), Ok(_) | Err(_)) => return mark(ids),
            // It is no more, or no more for me, and that was told.
            (Errand::Showing | Errand::Meeting(_), Err(_)) => return None,
            (Errand::Fetching, reply) => {
                if let Some(me) = me {
                    files::fetched(reply, me, out);
                }
                return None;
            }
            (errand, Err(refusal)) => {
                if let (
                    Errand::Receiving(to) | Errand::Storing(to) | Errand::Announcing(to),
                    Some(me),
                ) = (errand, &mut me)
                {
                    files::give_up(to, me);
                }
                out.push(refused(refusal));
                return None;
            }
            (errand, Ok(reply)) => (errand, reply),
        };
        match (reply, me) {
            ((Errand::Registering(login, password), _), _) => {
                Some(log_in(login, password.to_vec()))
            }
            ((errand, reply), Some(me)) => errand.hear_of_me(reply, me, house, out),
            (_, None) => None,
        }
    }

    fn hear_of_me(self, reply: Reply, me: &mut Me, house: &House, out: &mut Vec<Line>) -> Step {
        match (self, reply) {
            (Errand::LoggingIn, _) => {
                out.push(Line(format!("TAG 0 {}", me.no.0)));
                match me.directory {
                    Directory::Everyone => {
                        let command = Command::Follow { on: true };
                        Some((Errand::Following, What::Command(command)))
                    }
                    Directory::Contacts => Some(people(me, AccountNo(0))),
                }
            }
            (Errand::Following, _) => Some(people(me, AccountNo(0))),
            (Errand::Listing, Reply::People { people: all, more }) => {
                for one in &all {
                    let Some(no) = person(&one.who) else { continue };
                    let state = if one.online || no == me.no { "ON" } else { "OFF" };
                    out.push(Line(format!("ADD {state} 0 {} {}", no.0, pseudo(&one.who))));
                }
                Some(match more {
                    Some(after) => people(me, after),
                    None => {
                        let crowd = Crowd::new(format!("GRP 0 {}", me.no.0));
                        friends(Friends { crowd, invitations: Vec::new() }, None)
                    }
                })
            }
            (Errand::Befriending(mut known), Reply::Contacts { contacts, more }) => {
                for contact in &contacts {
                    let Some(no) = person(&contact.who) else { continue };
                    match contact.state {
                        ContactState::Plain if !contact.unlisted => known.crowd.push(no.0, out),
                        ContactState::Pending => {
                            known.invitations.push(Line(format!("INV 0 {}", no.0)));
                        }
                        ContactState::Plain | ContactState::Requested | ContactState::Blocked => {}
                    }
                }
                let last = contacts.last().filter(|_| more);
                Some(match last.and_then(|last| Address::parse(&last.who, &house.name).ok()) {
                    Some(last) => friends(known, Some(last)),
                    None => {
                        known.crowd.finish(out);
                        muster(known.invitations, None)
                    }
                })
            }
            (Errand::Mustering(mut invitations), Reply::Rosters { rosters, more }) => {
                for roster in &rosters {
                    match &roster.invited_by {
                        Some(by) => invitations.extend(invitation(person(by), roster)),
                        None => group(roster, out),
                    }
                }
                match more {
                    Some(after) => Some(muster(invitations, Some(after))),
                    None => {
                        out.append(&mut invitations);
                        None
                    }
                }
            }
            (Errand::Naming(naming), Reply::Name(name)) => naming.hear(&name, me, house, out),
            (Errand::Creating, Reply::Chat(info)) => {
                out.extend(Place::of(&info.chat).map(|place| Line(format!("TAG {place}"))));
                None
            }
            (Errand::Accepting(who) | Errand::Answering(who, _), _) => {
                out.push(Line(format!("JOIN 0 {} 0 {}", who.0, me.no.0)));
                None
            }
            (Errand::Joining(chat), _) => Some((Errand::Showing, roster(chat))),
            (Errand::Showing, Reply::Rosters { rosters, .. }) => {
                rosters.iter().for_each(|roster| group(roster, out));
                None
            }
            (Errand::Meeting(by), Reply::Rosters { rosters, .. }) => {
                out.extend(rosters.iter().filter_map(|roster| invitation(Some(by), roster)));
                None
            }
            (Errand::Surveying(place), Reply::Spaces { spaces, .. }) => {
                let chats = spaces.iter().flat_map(|space| &space.chats);
                survey(place, chats, me, house, out)
            }
            (Errand::Leaving(place, mut rest), _) => match rest.pop() {
                Some(chat) => Some(leave(place, chat, rest)),
                None => {
                    out.push(Line(format!("BYE 0 {} {place}", me.no.0)));
                    None
                }
            },
            (Errand::Deleting(place), _) => {
                out.push(Line(format!("DEL {place}")));
                None
            }
            (Errand::Renaming(line), _) => {
                out.push(Line(line));
                None
            }
            (Errand::ChangingPassword, _) => {
                out.push(Line("PSW OK".into()));
                None
            }
            (Errand::ChangingName, Reply::Name(name)) => {
                out.push(Line(format!("RENAME {} 0 {}", pseudo(&name), me.no.0)));
                None
            }
            (Errand::Relaying(table), _) => {
                if !me.tables.contains(&table) {
                    me.tables.push(table);
                }
                None
            }
            (Errand::Silent, _) => None,
            (Errand::Permitting(incoming), _) => files::permitted(incoming, me),
            (Errand::Opening(incoming), Reply::Upload(upload)) => {
                files::opened(*incoming, upload, me, out)
            }
            (Errand::Receiving(to), Reply::Received { more }) => files::received(to, more, me, out),
            (Errand::Storing(to), Reply::Stored(file)) => files::stored(to, file, me),
            (Errand::Announcing(to), Reply::Sent { id, .. }) => {
                files::announced(to, id, me, out);
                None
            }
            (Errand::Finding(of), Reply::Messages { messages, .. }) => {
                files::found(of, &messages, me, out);
                None
            }
            // What the core never answers to that.
            (
                Errand::Registering(..)
                | Errand::Listing
                | Errand::Befriending(_)
                | Errand::Mustering(_)
                | Errand::Naming(_)
                | Errand::Creating
                | Errand::Walking(_)
                | Errand::Showing
                | Errand::Meeting(_)
                | Errand::Surveying(_)
                | Errand::ChangingName
                | Errand::Marking(_)
                | Errand::Opening(_)
                | Errand::Receiving(_)
                | Errand::Storing(_)
                | Errand::Announcing(_)
                | Errand::Finding(_)
                | Errand::Fetching,
                _,
            ) => {
                out.push(refused(Refusal::Unavailable));
                None
            }
        }
    }
}

fn walk_on(mut walk: Box<Walk>, reply: Result<Reply, Refusal>, out: &mut Vec<Line>) -> Step {
    match walk.hear(reply, out) {
        Ok(None) => {
            let what = walk.what();
            Some((Errand::Walking(walk), what))
        }
        Ok(Some(last)) => last.map(|what| (Errand::Marking(Vec::new()), what)),
        Err(refusal) => {
            out.push(refused(refusal));
            None
        }
    }
}

/// A group with its members.
fn group(roster: &RosterView, out: &mut Vec<Line>) {
    let Some(place) = Place::of(&roster.chat) else { return };
    let (server, channel) = names(roster);
    let mut crowd = Crowd::new(format!("GRP {place} {server} {channel}"));
    for who in roster.members.iter().filter_map(person) {
        crowd.push(who.0, out);
    }
    crowd.finish(out);
}

fn invitation(by: Option<AccountNo>, roster: &RosterView) -> Option<Line> {
    let (server, channel) = names(roster);
    let place = Place::of(&roster.chat)?;
    Some(Line(format!("INV 0 {} {place} {server} {channel}", by?.0)))
}

/// A group without a space is a server of its own.
fn names(roster: &RosterView) -> (String, String) {
    let server = roster.space.as_deref().unwrap_or(&roster.name);
    (escaped(server).into_owned(), escaped(&roster.name).into_owned())
}
