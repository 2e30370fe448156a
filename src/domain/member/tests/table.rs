//! Who may do what, letter by letter: the table of docs/msim2.md as a test, and that a refusal
//! leaves everything as it was.

use crate::domain::id::{AccountNo, ChatId, MessageId};
use crate::domain::nouns::{Access, Member};
use crate::domain::testing::{Me, World, address, draft, group_draft, heard_by, whole};
use crate::domain::words::{
    ChatChange, ChatDraft, Command, Event, Outcome, Query, Refusal, Reply, Whom,
};
use crate::store::Look;

/// What came of it: done, 403 `not-allowed`, 404 for a chat that is not theirs, 403 `last-owner`,
/// 400 `bad-access`, 409 `already-there`; a blank: there is no such case.
const TABLE: &str = "
                                 R RW RP RS RD RO RSO W  S  D  O  inv ban out
the chat is among mine         | +  +  +  +  +  +  +  0  0  0  0  0  0  0
its facts                      | +  +  +  +  +  +  +  +  +  +  +  +  0  0
hear what is written           | +  +  +  +  +  +  +  0  0  0  0  0  0  0
read the history               | +  +  +  +  +  +  +  0  0  0  0  0  0  0
search it                      | +  +  +  +  +  +  +  0  0  0  0  0  0  0
mark as received               | +  +  +  +  +  +  +  0  0  0  0  0  0  0
mark as read                   | +  +  +  +  +  +  +  0  0  0  0  0  0  0
see who is in it               | +  +  +  +  +  +  +  +  +  +  +  0  0  0
see who is banned              | -  -  -  +  -  +  +  -  +  -  +  0  0  0
send                           | -  +  -  -  -  -  -  +  -  -  -  0  0  0
answer a message               | -  +  -  -  -  -  -  0  -  -  -  0  0  0
edit mine                      | -  +  -  -  -  -  -  0  0  0  0  0  0  0
edit theirs                    | -  -  -  -  -  -  -  0  0  0  0  0  0  0
type                           | -  +  -  -  -  -  -  +  -  -  -  0  0  0
delete mine for me             | +  +  +  +  +  +  +  0  0  0  0  0  0  0
delete mine for all            | +  +  +  +  +  +  +  0  0  0  0  0  0  0
delete theirs for me           | +  +  +  +  +  +  +  0  0  0  0  0  0  0
delete theirs for all          | -  -  -  -  +  -  -  0  0  0  0  0  0  0
clear for me                   | +  +  +  +  +  +  +  0  0  0  0  0  0  0
clear for all                  | -  -  -  -  +  -  -  0  0  0  0  0  0  0
invite                         | -  -  -  +  -  -  +  -  +  -  -  0  0  0
invite, with S                 | -  -  -  -  -  -  +  -  -  -  -  0  0  0
invite, with D                 | -  -  -  -  -  -  +  -  -  -  -  0  0  0
invite, offering O             | -  -  -  -  -  -  +  -  -  -  -  0  0  0
take W                         | -  -  -  +  -  +  +  -  +  -  +  0  0  0
give D                         | -  -  -  -  -  +  +  -  -  -  +  0  0  0
give S                         | -  -  -  -  -  +  +  -  -  -  +  0  0  0
offer O                        | -  -  -  -  -  +  +  -  -  -  +  0  0  0
give somebody invited less     | -  -  -  +  -  +  +  -  +  -  +  0  0  0
take W from a manager          | -  -  -  -  -  +  +  -  -  -  +  0  0  0
take S from a manager          | -  -  -  -  -  +  +  -  -  -  +  0  0  0
take W from the owner          | -  -  -  -  -        -  -  -     0  0  0
take O from the owner          | -  -  -  -  -        -  -  -     0  0  0
give X                         | -  -  -  +  -  +  +  -  +  -  +  0  0  0
give X to a manager            | -  -  -  -  -  +  +  -  -  -  +  0  0  0
give X to the owner            | -  -  -  -  -        -  -  -     0  0  0
take X back                    | -  -  -  +  -  +  +  -  +  -  +  0  0  0
kick                           | -  -  -  +  -  -  +  -  +  -  -  0  0  0
kick somebody invited          | -  -  -  +  -  -  +  -  +  -  -  0  0  0
kick a manager                 | -  -  -  -  -  -  +  -  -  -  -  0  0  0
kick the owner                 | -  -  -  -  -        -  -  -     0  0  0
ban                            | -  -  -  +  -  -  +  -  +  -  -  0  0  0
ban a stranger                 | -  -  -  +  -  -  +  -  +  -  -  0  0  0
ban a manager                  | -  -  -  -  -  -  +  -  -  -  -  0  0  0
ban the owner                  | -  -  -  -  -        -  -  -     0  0  0
end a ban                      | -  -  -  +  -  -  +  -  +  -  -  0  0  0
rename                         | -  -  -  -  -  +  +  -  -  -  +  0  0  0
say what it is about           | -  -  -  -  -  +  +  -  -  -  +  0  0  0
open it                        | -  -  -  -  -  +  +  -  -  -  +  0  0  0
change what newcomers get      | -  -  -  -  -  +  +  -  -  -  +  0  0  0
remove it                      | -  -  -  -  -  +  +  -  -  -  +  0  0  0
make a chat in the space       | -  +  -  -  -  -  -  +  -  -  -  0  0  0
want less                      | +  +  +  +  +  L  L  +  +  +  L  +  -  0
want more than is given        | +  +  +  +  +  +  +  +  +  +  +  +  -  0
ask for O                      | A  A  A  A  A  +  +  A  A  A  +  A  -  0
stay out                       | +  +  +  +  +  L  L  +  +  +  L  +  -  0
join                           | =  =  =  =  =  =  =  =  =  =  =  +  -  -
leave                          | +  +  +  +  +  L  L  +  +  +  L  +  -  0
";

/// The chat is the general chat of a space, so that the letters of a space are in the table too.
const CHAT: &str = "garden";

/// A world in which somebody has exactly these letters. Beside them: an owner (unless it is them),
/// a manager, a plain member, somebody invited, somebody banned, a stranger.
struct Scene {
    world: World,
    chat: ChatId,
    me: Me,
    owner: Me,
    mine: MessageId,
    theirs: MessageId,
}

impl Scene {
    fn of(column: &str) -> Scene {
        let (mut world, [owner, me, manager, plain, invited, banned, _]) =
            World::of(["olga", "me", "mia", "pia", "ned", "bea", "ian"]);
        let chat = world.make(owner, ChatDraft { is_space: true, ..group_draft(CHAT) });
        let part = |want, given| Member { want, given, ..Member::default() };
        let (all, none) = (Access::GROUP, Access::NONE);
        let managing = all.with(Access::SHARE);
        world.force(|tx| {
            tx.put_member(me.account, chat, &part(all, all))?;
            tx.put_member(manager.account, chat, &part(managing, managing))?;
            tx.put_member(plain.account, chat, &part(all, all))?;
            tx.put_member(invited.account, chat, &part(none, all))?;
            tx.put_member(banned.account, chat, &part(none, Access::BANNED))
        });
        let mine = world.sent(me, CHAT, "a rose of mine");
        let theirs = world.sent(owner, CHAT, "a rose of theirs");
        world.force(|tx| match column {
            "inv" => tx.put_member(me.account, chat, &part(none, all)),
            "ban" => tx.put_member(me.account, chat, &part(none, Access::BANNED)),
            "out" => tx.remove_member(me.account, chat),
            letters => {
                let mode = Access::parse(letters).unwrap();
                if mode.has(Access::OWN) {
                    let rest = Access::OWNER.without(Access::OWN);
                    tx.put_member(owner.account, chat, &part(rest, rest))?;
                }
                tx.put_member(me.account, chat, &part(mode, mode))
            }
        });
        Scene { world, chat, me, owner, mine, theirs }
    }

    fn ask(&mut self, command: Command) -> char {
        let before = picture(&mut self.world);
        let outcome = self.world.ask(self.me, command);
        let verdict = verdict(&outcome);
        if verdict != '+' {
            assert_eq!(picture(&mut self.world), before, "a refusal wrote something");
        }
        verdict
    }

    fn read(&self, query: &Query, is_good: impl Fn(&Reply) -> bool) -> char {
        match self.world.read(self.me, query) {
            Ok(reply) => found(is_good(&reply)),
            Err(refusal) => sign(refusal),
        }
    }

    fn clear(&mut self, whom: Whom) -> char {
        self.ask(Command::Clear { chat: address(CHAT), whom, till: None })
    }

    fn invite(&mut self, mode: Option<&str>) -> char {
        let access = mode.map(|mode| Access::parse(mode).unwrap());
        let (chat, who) = (address(CHAT), address("ian"));
        self.ask(Command::Invite { chat, who, access, note: "".into() })
    }

    fn give(&mut self, who: &str, mode: &str) -> char {
        let (who, access) = (Some(address(who)), Access::parse(mode).unwrap());
        self.ask(Command::SetAccess { chat: address(CHAT), who, access })
    }

    fn want(&mut self, mode: &str) -> char {
        let access = Access::parse(mode).unwrap();
        self.ask(Command::SetAccess { chat: address(CHAT), who: None, access })
    }

    fn kick(&mut self, who: &str, ban: bool) -> char {
        self.ask(Command::Kick { chat: address(CHAT), who: address(who), ban })
    }

    fn change(&mut self, change: ChatChange) -> char {
        self.ask(Command::ChangeChat { chat: address(CHAT), change })
    }

    fn delete(&mut self, id: MessageId, whom: Whom) -> char {
        self.ask(Command::Delete { chat: address(CHAT), id, whom })
    }

    fn edit(&mut self, id: MessageId) -> char {
        let (chat, text) = (address(CHAT), "a tulip".into());
        self.ask(Command::Edit { chat, id, text, spans: Box::default() })
    }

    fn members(&mut self, is_good: impl Fn(&[&str]) -> bool) -> char {
        let command = Command::Members { chat: address(CHAT), after: None, count: 500 };
        match self.world.ask(self.me, command).reply {
            Ok(Reply::Members { members, more: false }) => {
                let who: Vec<&str> = members.iter().map(|member| &*member.who).collect();
                if is_good(&who) { '+' } else { '-' }
            }
            Err(refusal) => sign(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn does(&mut self, row: &str) -> char {
        let chat = || address(CHAT);
        let (mine, theirs, chat_id) = (self.mine, self.theirs, self.chat);
        match row {
            "the chat is among mine" => {
                let chats = self.world.chats(self.me);
                found(chats.iter().any(|view| &*view.chat == "garden@im.test"))
            }
            "its facts" => self.read(&Query::Chat { chat: chat() }, |_| true),
            "hear what is written" => {
                let outcome = self.world.send(self.owner, CHAT, "hear");
                // Who owned it may write, whoever owns it now.
                assert!(outcome.reply.is_ok());
                let heard = heard_by(&outcome, self.me.account, None);
                found(heard.iter().any(|event| matches!(***event, Event::Message(_))))
            }
            "read the history" => {
                let query = Query::History { chat: chat(), range: whole() };
                self.read(&query, |reply| says(reply, &[mine, theirs]))
            }
            "search it" => {
                let (text, before) = ("ROSE".into(), MessageId::END);
                let one = Query::Search { text, chat: Some(chat()), before, count: 10 };
                let both = self.read(&one, |reply| says(reply, &[mine, theirs]));
                let (text, before) = ("rose".into(), MessageId::END);
                let all = Query::Search { text, chat: None, before, count: 10 };
                assert_eq!(both, self.read(&all, |reply| says(reply, &[mine, theirs])));
                both
            }
            "mark as received" => {
                self.ask(Command::MarkDelivered { chat: Some(chat()), id: theirs })
            }
            "mark as read" => {
                let named = self.ask(Command::MarkRead { chat: Some(chat()), id: theirs });
                // Without the chat's name it is found, or not, all the same.
                assert_eq!(named, self.ask(Command::MarkRead { chat: None, id: theirs }));
                named
            }
            "see who is in it" => self.members(|who| who.contains(&"pia@im.test")),
            "see who is banned" => self.members(|who| who.contains(&"bea@im.test")),
            "send" => verdict(&self.world.send(self.me, CHAT, "hi")),
            "answer a message" => {
                let mut draft = draft(CHAT, "yes", None);
                draft.reply_to = theirs;
                self.ask(Command::Send(draft))
            }
            "edit mine" => self.edit(mine),
            "edit theirs" => self.edit(theirs),
            "type" => self.ask(Command::Typing { chat: chat(), on: true }),
            "delete mine for me" => self.delete(mine, Whom::Me),
            "delete mine for all" => self.delete(mine, Whom::All),
            "delete theirs for me" => self.delete(theirs, Whom::Me),
            "delete theirs for all" => self.delete(theirs, Whom::All),
            "clear for me" => self.clear(Whom::Me),
            "clear for all" => self.clear(Whom::All),
            "invite" => self.invite(None),
            "invite, with S" => self.invite(Some("RWPS")),
            "invite, with D" => self.invite(Some("RWPD")),
            "invite, offering O" => self.invite(Some("RWPO")),
            "take W" => self.give("pia", "RP"),
            "give D" => self.give("pia", "RWPD"),
            "give S" => self.give("pia", "RWPS"),
            "offer O" => self.give("pia", "RWPO"),
            "give somebody invited less" => self.give("ned", "R"),
            "take W from a manager" => self.give("mia", "RPS"),
            "take S from a manager" => self.give("mia", "RWP"),
            "take W from the owner" => self.give("olga", "RPSDO"),
            "take O from the owner" => self.give("olga", "RWPSD"),
            "give X" => self.give("pia", "X"),
            "give X to a manager" => self.give("mia", "X"),
            "give X to the owner" => self.give("olga", "X"),
            "take X back" => self.give("bea", "RWP"),
            "kick" => self.kick("pia", false),
            "kick somebody invited" => self.kick("ned", false),
            "kick a manager" => self.kick("mia", false),
            "kick the owner" => self.kick("olga", false),
            "ban" => self.kick("pia", true),
            "ban a stranger" => self.kick("ian", true),
            "ban a manager" => self.kick("mia", true),
            "ban the owner" => self.kick("olga", true),
            "end a ban" => self.kick("bea", false),
            "rename" => self.change(ChatChange { name: Some("Park".into()), ..Default::default() }),
            "say what it is about" => {
                self.change(ChatChange { about: Some("trees".into()), ..Default::default() })
            }
            "open it" => self.change(ChatChange { open: Some(true), ..Default::default() }),
            "change what newcomers get" => self
                .change(ChatChange { default_access: Some(Access::CHANNEL), ..Default::default() }),
            "remove it" => {
                let space = self.ask(Command::RemoveChat { chat: chat(), is_space: true });
                match space {
                    '+' => space,
                    other => {
                        let chat = self.ask(Command::RemoveChat { chat: chat(), is_space: false });
                        assert_eq!(chat, other);
                        chat
                    }
                }
            }
            "make a chat in the space" => {
                let draft = ChatDraft { space: Some(chat()), ..group_draft("pond") };
                self.ask(Command::CreateChat(draft))
            }
            "want less" => self.want("P"),
            "want more than is given" => self.want(match self.is_owner(chat_id) {
                true => "RWPSDO",
                false => "RWPSD",
            }),
            "ask for O" => self.want("RWPSDO"),
            "stay out" => self.want("X"),
            "join" => self.ask(Command::Join { chat: chat() }),
            "leave" => self.ask(Command::Leave { chat: chat() }),
            other => panic!("nobody knows how to {other:?}"),
        }
    }

    fn is_owner(&self, chat: ChatId) -> bool {
        let part = self.world.store.reader().read(|s| s.part(self.me.account, chat));
        part.unwrap().unwrap_or_default().mode().has(Access::OWN)
    }
}

fn found(yes: bool) -> char {
    if yes { '+' } else { '0' }
}

fn says(reply: &Reply, ids: &[MessageId]) -> bool {
    match reply {
        Reply::Messages { messages, .. } | Reply::Found { messages, .. } => {
            ids.iter().all(|id| messages.iter().any(|message| message.id == *id))
        }
        other => panic!("{other:?}"),
    }
}

fn verdict(outcome: &Outcome) -> char {
    match outcome.reply {
        Ok(_) => '+',
        Err(refusal) => {
            assert!(outcome.news.is_empty(), "{outcome:?}");
            sign(refusal)
        }
    }
}

fn sign(refusal: Refusal) -> char {
    match refusal {
        Refusal::NotAllowed => '-',
        Refusal::NoSuchChat | Refusal::NoSuchMessage | Refusal::NoSuchSpace => '0',
        Refusal::LastOwner => 'L',
        Refusal::BadAccess => 'A',
        Refusal::AlreadyThere => '=',
        other => panic!("{other:?}"),
    }
}

/// Everything that the core keeps of chats, marks that are not yet written included.
pub(super) fn picture(world: &mut World) -> String {
    let mut picture = String::new();
    world.force(|tx| {
        let mut chats = std::collections::BTreeSet::new();
        for account in tx.accounts()? {
            picture += &format!("{account:?}\n");
            chats.insert(ChatId::own(account.no));
            for (chat, part) in tx.chats_of(account.no)? {
                chats.insert(chat);
                let now = tx.member(account.no, chat)?;
                let hidden = tx.hidden(account.no, chat, MessageId(0), MessageId::END)?;
                picture += &format!("{:?} {chat:?} {part:?} {now:?} {hidden:?}\n", account.no);
            }
        }
        for chat in chats {
            let (messages, _) = tx.messages(chat, &whole())?;
            let (row, head, floor) = (tx.chat(chat)?, tx.head(chat)?, tx.floor(chat)?);
            let (inside, who) = (tx.chats_in(chat)?, tx.members_of(chat)?);
            picture += &format!("{row:?} {head:?} {floor:?} {inside:?} {who:?} {messages:?}\n");
        }
        Ok(())
    });
    picture
}

/// The columns with the place of each, and the rows with a sign for each column.
fn parsed() -> (Vec<&'static str>, Vec<(&'static str, Vec<char>)>) {
    let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
    let head = lines.next().unwrap_or_default();
    let columns: Vec<&str> = head.split_whitespace().collect();
    let rows = lines.map(|line| {
        let (name, signs) = line.split_once('|').unwrap();
        // Three characters a column, the sign in the middle of them.
        let signs: Vec<char> = signs.chars().collect();
        let of = |column: usize| signs.get(3 * column + 1).copied().unwrap_or(' ');
        (name.trim(), (0..columns.len()).map(of).collect())
    });
    let rows = rows.collect();
    (columns, rows)
}

#[test]
fn every_letter_allows_what_the_table_says() {
    let (columns, rows) = parsed();
    let mut wrong = Vec::new();
    for (row, signs) in &rows {
        for (column, expected) in columns.iter().zip(signs) {
            if *expected == ' ' {
                continue;
            }
            let mut scene = Scene::of(column);
            let came = scene.does(row);
            if came != *expected {
                wrong.push(format!("{row} with {column}: {came}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_somebody_wants_counts_as_much_as_what_they_are_given() {
    let pair = |want: &str, given: &str| {
        let mut scene = Scene::of("R");
        let parse = |text| Access::parse(text).unwrap();
        let part = Member { want: parse(want), given: parse(given), ..Member::default() };
        let (me, chat): (AccountNo, ChatId) = (scene.me.account, scene.chat);
        scene.world.force(|tx| tx.put_member(me, chat, &part));
        [scene.does("read the history"), scene.does("send")]
    };
    assert_eq!(pair("RW", "RW"), ['+', '+']);
    assert_eq!(pair("RW", "R"), ['+', '-']);
    assert_eq!(pair("R", "RW"), ['+', '-']);
    assert_eq!(pair("W", "RW"), ['0', '+']);
    assert_eq!(pair("R", "W"), ['0', '0']);
    assert_eq!(pair("RW", "N"), ['0', '0']);
    assert_eq!(pair("N", "RW"), ['0', '0']);
    assert_eq!(pair("X", "RW"), ['0', '0']);
    assert_eq!(pair("RW", "X"), ['0', '0']);
}
