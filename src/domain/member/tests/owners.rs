//! Whatever people do to each other in a group, somebody owns it, and only one of them.

use super::table::picture;
use crate::domain::id::{AccountNo, ChatId};
use crate::domain::nouns::{Access, Member};
use crate::domain::testing::{Me, World, address, group_draft, login};
use crate::domain::words::{ChatChange, ChatDraft, Command, Order, Reply};
use crate::store::Look;

const STEPS: usize = 2000;
const PEOPLE: u32 = 7;
const CHATS: u32 = 3;

/// Small, seeded, and not for secrets (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as u32 % n
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// Any set of letters; those that people give most come most often.
    fn access(&mut self) -> Access {
        match self.below(6) {
            0 => Access::OWNER,
            1 => Access::GROUP.with(Access::OWN),
            2 => Access::GROUP.with(Access::SHARE),
            3 if self.one_in(3) => Access::BANNED,
            _ => Access(self.below(64) as u8),
        }
    }
}

/// People come and go: a removed account is followed by another one.
struct Town {
    world: World,
    people: Vec<(String, Me)>,
    chats: Vec<(String, ChatId)>,
    made: u32,
}

impl Town {
    fn new() -> Town {
        let mut town = Town { world: World::new(), people: Vec::new(), chats: Vec::new(), made: 0 };
        for _ in 0..PEOPLE {
            town.settle();
        }
        for at in 0..CHATS {
            town.build(at as usize);
        }
        town
    }

    fn settle(&mut self) {
        self.made += 1;
        let name = format!("p{}", self.made);
        self.world.add_user(&name);
        let me = self.world.log_in(&name);
        self.people.push((name, me));
    }

    fn build(&mut self, at: usize) {
        self.made += 1;
        let name = format!("g{}", self.made);
        let me = self.people[at % self.people.len()].1;
        let draft = ChatDraft { open: Some(at == 0), ..group_draft(&name) };
        let chat = (name, self.world.make(me, draft));
        match self.chats.get_mut(at) {
            Some(place) => *place = chat,
            None => self.chats.push(chat),
        }
    }

    /// Who asks, which is the owner every other time, and for what.
    fn command(&self, dice: &mut Dice) -> (Me, Command) {
        let (name, id) = &self.chats[dice.below(CHATS) as usize];
        let chat = address(name);
        let anybody = self.people[dice.below(PEOPLE) as usize].1;
        let owner = owner(&self.world, *id);
        let of_owner = self.people.iter().find(|(_, me)| Some(me.account) == owner);
        let me = of_owner.filter(|_| dice.one_in(2)).map_or(anybody, |(_, me)| *me);
        let who = address(&self.people[dice.below(PEOPLE) as usize].0);
        let command = match dice.below(20) {
            0..6 => Command::SetAccess { chat, who: Some(who), access: dice.access() },
            6..11 => {
                let access = if dice.one_in(3) { Access::OWNER } else { dice.access() };
                Command::SetAccess { chat, who: None, access }
            }
            11..14 => {
                let access = if dice.one_in(2) { None } else { Some(dice.access()) };
                Command::Invite { chat, who, access, note: "".into() }
            }
            14..17 => Command::Join { chat },
            17 => Command::Leave { chat },
            18 => Command::Kick { chat, who, ban: dice.one_in(3) },
            _ => {
                let open = Some(dice.one_in(2));
                Command::ChangeChat { chat, change: ChatChange { open, ..ChatChange::default() } }
            }
        };
        (me, command)
    }

    fn owners(&self) -> Vec<Option<AccountNo>> {
        self.chats.iter().map(|(_, id)| owner(&self.world, *id)).collect()
    }

    /// One owner in each chat, and what is remembered of it is what lies on the disk.
    fn check(&mut self) {
        for (name, id) in &self.chats {
            let id = *id;
            let mut parts: Vec<(AccountNo, Member)> = Vec::new();
            let mut owner = None;
            self.world.force(|tx| {
                for who in tx.members_of(id)? {
                    parts.push((who, tx.member(who, id)?.unwrap_or_default()));
                }
                let roster = tx.roster(id)?;
                assert_eq!(roster.parts(), parts, "{name}");
                let reads = |(_, part): &&(AccountNo, Member)| part.mode().has(Access::READ);
                let readers: Vec<_> = parts.iter().filter(reads).map(|(who, _)| *who).collect();
                assert_eq!(**roster.readers(), readers, "{name}");
                owner = roster.owner();
                Ok(())
            });
            let owns = |part: &Member| part.mode().has(Access::OWN);
            let owners: Vec<_> = parts.iter().filter(|(_, part)| owns(part)).collect();
            assert_eq!(owners.len(), 1, "{name}: {parts:?}");
            assert_eq!(owner, Some(owners[0].0), "{name}");
            assert_eq!(owners[0].1.given, Access::OWNER, "{name}");
            // Nobody wants O already, so that nobody owns a chat by being offered it.
            let waiting = parts.iter().filter(|(_, part)| part.want.has(Access::OWN)).count();
            assert_eq!(waiting, 1, "{name}: {parts:?}");
        }
    }
}

#[test]
fn there_is_always_exactly_one_owner() {
    for seed in [1_u64, 2] {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed);
        let mut town = Town::new();
        let (mut done, mut refused, mut taken_over) = (0, 0, 0);
        for step in 0..STEPS {
            if dice.one_in(100) {
                let at = dice.below(PEOPLE) as usize;
                let (name, _) = town.people.swap_remove(at);
                let order = Order::RemoveUser { login: login(&name) };
                assert!(matches!(town.world.order(order).reply, Ok(Reply::Done)));
                town.settle();
                for at in 0..town.chats.len() {
                    let (_, id) = town.chats[at];
                    let row = town.world.store.reader().read(|s| s.chat(id)).unwrap().unwrap();
                    if row.removed {
                        town.build(at);
                    }
                }
            }
            let (me, command) = town.command(&mut dice);
            let said = format!("seed {seed}, step {step}: {me:?} {command:?}");
            let owners = town.owners();
            let before = step.is_multiple_of(7).then(|| picture(&mut town.world));
            let outcome = town.world.ask(me, command);
            match outcome.reply {
                Ok(_) => done += 1,
                Err(refusal) => {
                    refused += 1;
                    assert!(outcome.news.is_empty(), "{said}: {refusal:?}");
                    if let Some(before) = before {
                        assert_eq!(picture(&mut town.world), before, "{said}: {refusal:?}");
                    }
                }
            }
            town.check();
            taken_over += usize::from(town.owners() != owners);
        }
        // The dice must not do only what is refused.
        assert!(done > 500 && refused > 500 && taken_over > 20, "{done} {refused} {taken_over}");
    }
}

fn owner(world: &World, chat: ChatId) -> Option<AccountNo> {
    let found = world.store.reader().read(|look| {
        for who in look.members_of(chat)? {
            if look.part(who, chat)?.is_some_and(|part| part.mode().has(Access::OWN)) {
                return Ok(Some(who));
            }
        }
        Ok(None)
    });
    found.unwrap()
}
