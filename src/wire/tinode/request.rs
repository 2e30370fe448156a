//! What clients say (Tinode 0.5, «Client to server messages»), read from its JSON and not judged
//! yet: which words must be there is the dialogue's to know.
//!
//! Names of fields may be in upper or lower case, of two alike the last counts, `null` is absent,
//! and so is an empty text. JSON that is the client's own business stays as it was written.

use std::fmt;

use super::mode::Mode;
use crate::limits::{TINODE_UA_BYTES_MAX, TINODE_WORD_BYTES_MAX};
use crate::wire::json::{self, Fields, Value};

/// In place of a value that is to be cleared: one character, the picture of DEL.
const CLEAR: &str = "\u{2421}";

/// A text that is none of the messages, or has a field of another type than it should. It is
/// answered with 400 and no id, and the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is no message of Tinode 0.5")
    }
}

impl std::error::Error for Malformed {}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the client finds its answer by; notes have none.
    pub id: Option<Box<str>>,
    /// As it came. {acc} and {login} have none.
    pub topic: Option<Box<str>>,
    pub verb: Verb,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    Acc(Box<Acc>),
    Login(Login),
    Sub(Box<Sub>),
    Leave {
        unsub: bool,
    },
    Pub {
        noecho: bool,
        /// JSON; `null` where there is none.
        content: Box<str>,
    },
    Get {
        what: Wants,
        browse: Browse,
    },
    Set(Box<Set>),
    Del(Del),
    Note(Note),
}

/// A new account, or new credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acc {
    pub whose: Whose,
    /// `None`: no list, which is another mistake than an empty one.
    pub auth: Option<Vec<Auth>>,
    pub init: Settings,
    /// A code of `msimd invite`. It is our own: the README knows no closed registration.
    pub invite: Option<Box<str>>,
}

/// Whom {acc} is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    New,
    Mine,
    /// Somebody named, for which there is no message.
    Others,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    pub scheme: Scheme,
    pub secret: Option<Secret>,
}

/// Basic is what counts where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Basic,
    Unknown,
}

/// `login:password`, in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Login and password. The first colon parts them, further ones are the password's.
    pub fn split(&self) -> Option<(&str, &str)> {
        self.0.split_once(':')
    }

    /// Whether the scheme is to be deleted.
    pub fn is_clear(&self) -> bool {
        &*self.0 == CLEAR
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub scheme: Scheme,
    pub secret: Option<Secret>,
    /// What the client calls itself.
    pub ua: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sub {
    pub init: Settings,
    pub sub: Member,
    pub get: Wants,
    pub browse: Browse,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub what: Wants,
    pub info: Option<Settings>,
    pub sub: Option<Member>,
}

/// What somebody sets of a topic, or of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub defacs: Defacs,
    pub public: Payload,
    pub private: Payload,
}

/// The access of newcomers: of those logged in, and of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defacs {
    pub auth: Mode,
    pub anon: Mode,
}

/// Somebody's part in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// As it came. `None`: the one who says it.
    pub user: Option<Box<str>>,
    pub mode: Mode,
    /// For those who are told of it.
    pub info: Payload,
}

/// JSON of which only clients know the meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    #[default]
    Absent,
    /// What there is goes.
    Clear,
    /// As it was written.
    Json(Box<str>),
}

/// Which parts of a topic are meant; words that mean none are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    pub info: bool,
    pub sub: bool,
    pub data: bool,
}

impl Wants {
    fn parse(text: &str) -> Wants {
        let has = |word| text.split_ascii_whitespace().any(|w| w == word);
        Wants { info: has("info"), sub: has("sub"), data: has("data") }
    }

    pub fn is_empty(self) -> bool {
        self == Wants::default()
    }
}

/// A part of a history. What is not above zero is no bound, as to the server of 2016.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Browse {
    /// Inclusive.
    pub since: Option<u64>,
    /// Exclusive.
    pub before: Option<u64>,
    pub limit: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Del {
    pub what: Delete,
    pub hard: bool,
    /// Inclusive here; `None`: everything. 0 is before the first message, and less is a mistake.
    pub before: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delete {
    Messages,
    Topic,
    /// A word that means nothing.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    KeyPress,
    Read(u64),
    Received(u64),
    /// To be dropped without a word.
    Invalid,
}

impl Request {
    /// Reads one message. Of several in one text the first in this order counts, and the others are
    /// not looked at.
    pub fn parse(text: &str) -> Result<Request, Malformed> {
        type Reader = fn(&Fields<'_>) -> Result<Verb, Malformed>;
        const VERBS: [(&str, Reader); 9] = [
            ("pub", publish),
            ("sub", sub),
            ("leave", leave),
            ("login", login),
            ("get", get),
            ("set", set),
            ("del", del),
            ("acc", acc),
            ("note", note),
        ];
        let packet = json::fields(text).map_err(|_| Malformed)?;
        let found = VERBS.into_iter().find_map(|(name, read)| Some((packet.object(name)?, read)));
        let (fields, read) = found.ok_or(Malformed)?;
        let fields = fields.ok_or(Malformed)?;
        let verb = read(&fields)?;
        let (has_id, has_topic) = match verb {
            Verb::Acc(_) | Verb::Login(_) => (true, false),
            Verb::Note(_) => (false, true),
            Verb::Sub(_)
            | Verb::Leave { .. }
            | Verb::Pub { .. }
            | Verb::Get { .. }
            | Verb::Set(_)
            | Verb::Del(_) => (true, true),
        };
        let id = if has_id { word(&fields, "id")? } else { None };
        let topic = if has_topic { word(&fields, "topic")? } else { None };
        Ok(Request { id, topic, verb })
    }
}

fn publish(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    let content = fields.raw("content").unwrap_or("null").into();
    Ok(Verb::Pub { noecho: flag(fields, "noecho")?, content })
}

fn sub(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    Ok(Verb::Sub(Box::new(Sub {
        init: settings(fields, "init")?.unwrap_or_default(),
        sub: member(fields, "sub")?.unwrap_or_default(),
        get: wants(fields, "get")?,
        browse: browse(fields)?,
    })))
}

fn leave(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    Ok(Verb::Leave { unsub: flag(fields, "unsub")? })
}

fn login(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    let ua = text(fields, "ua")?.map(|mut ua| {
        let fits = |end: &usize| *end <= TINODE_UA_BYTES_MAX;
        let end = ua.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(fits).last();
        ua.truncate(end.unwrap_or(0));
        ua.into_boxed_str()
    });
    let Auth { scheme, secret } = auth(fields)?;
    Ok(Verb::Login(Login { scheme, secret, ua }))
}

fn get(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    Ok(Verb::Get { what: wants(fields, "what")?, browse: browse(fields)? })
}

fn set(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    let (info, sub) = (settings(fields, "info")?, member(fields, "sub")?);
    Ok(Verb::Set(Box::new(Set { what: wants(fields, "what")?, info, sub })))
}

fn del(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    let what = match word(fields, "what")?.as_deref() {
        None | Some("msg") => Delete::Messages,
        Some("topic") => Delete::Topic,
        Some(_) => Delete::Unknown,
    };
    let (hard, before) = (flag(fields, "hard")?, integer(fields, "before")?);
    Ok(Verb::Del(Del { what, hard, before }))
}

fn acc(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    let whose = match word(fields, "user")?.as_deref() {
        None => Whose::Mine,
        Some("new") => Whose::New,
        Some(_) => Whose::Others,
    };
    let auth = match fields.objects("auth") {
        None => None,
        Some(list) => Some(list.ok_or(Malformed)?.iter().map(auth).collect::<Result<_, _>>()?),
    };
    let init = settings(fields, "init")?.unwrap_or_default();
    Ok(Verb::Acc(Box::new(Acc { whose, auth, init, invite: word(fields, "invite")? })))
}

fn note(fields: &Fields<'_>) -> Result<Verb, Malformed> {
    let seq = integer(fields, "seq")?.unwrap_or(0);
    let what = word(fields, "what")?;
    Ok(Verb::Note(match (what.as_deref(), u64::try_from(seq)) {
        (Some("kp"), Ok(0)) => Note::KeyPress,
        (Some("read"), Ok(seq @ 1..)) => Note::Read(seq),
        // The README calls it both.
        (Some("recv" | "rcpt"), Ok(seq @ 1..)) => Note::Received(seq),
        _ => Note::Invalid,
    }))
}

fn auth(fields: &Fields<'_>) -> Result<Auth, Malformed> {
    let scheme = match word(fields, "scheme")?.as_deref() {
        None | Some("basic") => Scheme::Basic,
        Some(_) => Scheme::Unknown,
    };
    let secret = text(fields, "secret")?.map(|secret| Secret(secret.into()));
    Ok(Auth { scheme, secret })
}

fn settings(fields: &Fields<'_>, field: &str) -> Result<Option<Settings>, Malformed> {
    let Some(fields) = object(fields, field)? else { return Ok(None) };
    let defacs = match object(&fields, "defacs")? {
        Some(defacs) => Defacs { auth: mode(&defacs, "auth")?, anon: mode(&defacs, "anon")? },
        None => Defacs::default(),
    };
    let (public, private) = (payload(&fields, "public"), payload(&fields, "private"));
    Ok(Some(Settings { defacs, public, private }))
}

fn member(fields: &Fields<'_>, field: &str) -> Result<Option<Member>, Malformed> {
    let Some(fields) = object(fields, field)? else { return Ok(None) };
    let (user, mode) = (word(&fields, "user")?, mode(&fields, "mode")?);
    Ok(Some(Member { user, mode, info: payload(&fields, "info") }))
}

fn browse(fields: &Fields<'_>) -> Result<Browse, Malformed> {
    let Some(fields) = object(fields, "browse")? else { return Ok(Browse::default()) };
    let bound = |field| -> Result<Option<u64>, Malformed> {
        let bound = integer(&fields, field)?.and_then(|bound| u64::try_from(bound).ok());
        Ok(bound.filter(|bound| *bound > 0))
    };
    Ok(Browse { since: bound("since")?, before: bound("before")?, limit: bound("limit")? })
}

fn wants(fields: &Fields<'_>, field: &str) -> Result<Wants, Malformed> {
    Ok(word(fields, field)?.map_or_else(Wants::default, |words| Wants::parse(&words)))
}

fn payload(fields: &Fields<'_>, field: &str) -> Payload {
    match (fields.raw(field), fields.value(field)) {
        (None, _) => Payload::Absent,
        (Some(_), Some(Value::Text(text))) if text == CLEAR => Payload::Clear,
        (Some(raw), _) => Payload::Json(raw.into()),
    }
}

fn mode(fields: &Fields<'_>, field: &str) -> Result<Mode, Malformed> {
    match fields.value(field) {
        None => Ok(Mode::Absent),
        Some(Value::Text(letters)) => Ok(Mode::parse(&letters)),
        Some(_) => Err(Malformed),
    }
}

fn object<'a>(fields: &Fields<'a>, field: &str) -> Result<Option<Fields<'a>>, Malformed> {
    fields.object(field).map(|object| object.ok_or(Malformed)).transpose()
}

/// A text that names something.
fn word(fields: &Fields<'_>, field: &str) -> Result<Option<Box<str>>, Malformed> {
    match text(fields, field)? {
        Some(word) if TINODE_WORD_BYTES_MAX < word.len() => Err(Malformed),
        word => Ok(word.map(String::into_boxed_str)),
    }
}

fn text(fields: &Fields<'_>, field: &str) -> Result<Option<String>, Malformed> {
    match fields.value(field) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok((!text.is_empty()).then(|| text.into_owned())),
        Some(_) => Err(Malformed),
    }
}

fn flag(fields: &Fields<'_>, field: &str) -> Result<bool, Malformed> {
    match fields.value(field) {
        None => Ok(false),
        Some(Value::Flag(flag)) => Ok(flag),
        Some(_) => Err(Malformed),
    }
}

fn integer(fields: &Fields<'_>, field: &str) -> Result<Option<i64>, Malformed> {
    match fields.value(field) {
        None => Ok(None),
        Some(Value::Whole(number)) => i64::try_from(number).map(Some).map_err(|_| Malformed),
        Some(Value::Negative(number)) => Ok(Some(number)),
        Some(_) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests;
