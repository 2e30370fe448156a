//! Every error a client of mSIM 2 can see: status, reason token, and an English sentence.
//!
//! The tokens are part of the interface (decision 34) and listed in `docs/msim2.md`; they never
//! change meaning.

use crate::domain::words::Refusal;
use crate::wire::json::{FieldError, ObjectWriter};

/// An error as it stands in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub status: u16,
    pub reason: &'static str,
    pub message: &'static str,
}

const fn wrong(status: u16, reason: &'static str, message: &'static str) -> Wrong {
    Wrong { status, reason, message }
}

/// The carriers' own errors; the core knows nothing of packets.
pub const MALFORMED: Wrong = wrong(400, "malformed-packet", "this is not a well-formed packet");
pub const PACKET_TOO_LARGE: Wrong =
    wrong(413, "packet-too-large", "the packet is larger than this server accepts");
pub const UNKNOWN_TYPE: Wrong =
    wrong(501, "not-implemented", "this server knows no request of that type");
pub const ABOVE_LAYER: Wrong = wrong(
    501,
    "not-implemented",
    "a request of that type needs a higher layer than the one in force",
);
pub const BAD_LAYER: Wrong = wrong(400, "bad-layer", "layers are numbered from 1");
/// What the core never answers to that question.
pub const INTERNAL: Wrong = wrong(500, "internal", "the server made a mistake");

/// A request's field that breaks a rule. It travels to the core as its refusal, so that session
/// and rate rank before it, and is told with the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub refusal: Refusal,
    pub wrong: Wrong,
    pub field: &'static str,
}

impl Fault {
    pub fn new(refusal: Refusal, field: &'static str) -> Fault {
        Fault { refusal, wrong: Wrong::from(refusal), field }
    }

    /// The wrong value of a field of the right type.
    pub fn bad(field: &'static str) -> Fault {
        Fault::new(Refusal::BadField, field)
    }
}

impl From<FieldError> for Fault {
    fn from(error: FieldError) -> Fault {
        match error {
            FieldError::Missing(field) => Fault::new(Refusal::MissingField, field),
            FieldError::WrongType(field) => Fault::new(Refusal::BadField, field),
        }
    }
}

/// Whole seconds after which a refused client may come back; HTTP says them in a header, too.
pub fn retry_after(refusal: Refusal) -> Option<u32> {
    match refusal {
        Refusal::TooManyAttempts { retry_after } | Refusal::TooManyRequests { retry_after } => {
            Some(retry_after.max(1))
        }
        Refusal::NoSession
        | Refusal::UnknownSession
        | Refusal::BadField
        | Refusal::MissingField
        | Refusal::BadLogin
        | Refusal::BadPassword
        | Refusal::LoginTaken
        | Refusal::RegistrationClosed
        | Refusal::BadInvite
        | Refusal::WrongCredentials
        | Refusal::TooManySessions
        | Refusal::TooManyContacts
        | Refusal::TooManyAppPasswords
        | Refusal::TooManyChats
        | Refusal::TooManyMembers
        | Refusal::NoSuchAccount
        | Refusal::NoSuchContact
        | Refusal::NoSuchAppPassword
        | Refusal::NoSuchRequest
        | Refusal::NoSuchMember
        | Refusal::NoSuchSpace
        | Refusal::NoFiles
        | Refusal::FileTooLarge
        | Refusal::TooManyFiles
        | Refusal::NoSuchFile
        | Refusal::AlreadyThere
        | Refusal::NoSuchChat
        | Refusal::NoSuchMessage
        | Refusal::BadRange
        | Refusal::BadDate
        | Refusal::TextEmpty
        | Refusal::TextTooLong
        | Refusal::FieldTooLong
        | Refusal::BadSpan
        | Refusal::BadSpanRange
        | Refusal::TooManySpans
        | Refusal::BadAccess
        | Refusal::NotEditable
        | Refusal::LastOwner
        | Refusal::NoFederation
        | Refusal::NotAllowed
        | Refusal::DiskFull
        | Refusal::Unavailable => None,
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Wrong {
        match refusal {
            Refusal::NoSession => wrong(401, "no-session", "this request needs a session"),
            Refusal::UnknownSession => {
                wrong(401, "unknown-session", "there is no such session, or it is over")
            }
            Refusal::BadField => {
                wrong(400, "bad-field", "a field has the wrong type or an impossible value")
            }
            Refusal::MissingField => wrong(400, "missing-field", "a required field is absent"),
            Refusal::BadLogin => wrong(
                400,
                "bad-login",
                "a login has 1 to 64 bytes and none of @ & / : \" ' = , or white space, and \
                 belongs to this server",
            ),
            Refusal::BadPassword => {
                wrong(400, "bad-password", "a password is base64 of 1 to 1024 bytes of UTF-8")
            }
            Refusal::LoginTaken => wrong(403, "login-taken", "the login is taken"),
            Refusal::RegistrationClosed => {
                wrong(403, "registration-closed", "registration is closed, or needs an invitation")
            }
            Refusal::BadInvite => {
                wrong(403, "bad-invite", "the invitation is unknown, used up or expired")
            }
            Refusal::WrongCredentials => {
                wrong(403, "wrong-credentials", "the login or the password is wrong")
            }
            Refusal::TooManyAttempts { .. } => {
                wrong(429, "too-many-attempts", "too many failed logins, try again later")
            }
            Refusal::TooManyRequests { .. } => {
                wrong(429, "too-many-requests", "too many requests, try again later")
            }
            Refusal::TooManySessions => {
                wrong(403, "too-many-sessions", "there are as many sessions as there may be")
            }
            Refusal::TooManyContacts => {
                wrong(403, "too-many-contacts", "there are as many contacts as there may be")
            }
            Refusal::TooManyChats => {
                wrong(403, "too-many-chats", "there are as many chats as there may be")
            }
            Refusal::TooManyMembers => {
                wrong(403, "too-many-members", "there are as many members as there may be")
            }
            Refusal::NoSuchRequest => {
                wrong(404, "no-such-request", "nobody of that address has asked")
            }
            Refusal::NoSuchMember => {
                wrong(404, "no-such-member", "nobody of that address has a part in that chat")
            }
            Refusal::NoSuchSpace => wrong(404, "no-such-space", "there is no such space"),
            Refusal::BadSpan => wrong(
                400,
                "bad-span",
                "a span is of a kind that does not exist, or has a value that it cannot have",
            ),
            Refusal::BadSpanRange => wrong(
                400,
                "bad-span-range",
                "a span lies outside the text, splits a character, or crosses another one",
            ),
            Refusal::TooManySpans => {
                wrong(413, "too-many-spans", "the text has more spans than this server accepts")
            }
            Refusal::BadAccess => wrong(
                400,
                "bad-access",
                "a mode is letters of RWPSDO, or N, or X, of which not all can be had there",
            ),
            Refusal::NotEditable => {
                wrong(409, "not-editable", "the message was deleted, is a blob, or nobody wrote it")
            }
            Refusal::LastOwner => {
                wrong(403, "last-owner", "the owner stays until somebody else owns the chat")
            }
            Refusal::NoSuchAccount => {
                wrong(404, "no-such-account", "this server has no such account")
            }
            Refusal::NoSuchContact => wrong(404, "no-such-contact", "there is no such contact"),
            // No packet of these layers asks for what these refuse.
            Refusal::TooManyAppPasswords | Refusal::NoSuchAppPassword => INTERNAL,
            Refusal::NoFiles => wrong(501, "no-files", "this server keeps no files"),
            Refusal::FileTooLarge => {
                wrong(413, "file-too-large", "the file is larger than this server keeps")
            }
            Refusal::TooManyFiles => {
                wrong(403, "too-many-files", "your files take as much room as they may")
            }
            Refusal::NoSuchFile => wrong(404, "no-such-file", "that file is not here any more"),
            Refusal::AlreadyThere => wrong(409, "already-there", "it is already there"),
            Refusal::NoSuchChat => wrong(404, "no-such-chat", "there is no such chat"),
            Refusal::NoSuchMessage => {
                wrong(404, "no-such-message", "there is no such message in that chat")
            }
            Refusal::BadRange => wrong(
                400,
                "bad-range",
                "the bounds or the count are impossible, or their combination is",
            ),
            Refusal::BadDate => {
                wrong(400, "bad-date", "a date is a day of the calendar, YYYY-MM-DD")
            }
            Refusal::TextEmpty => {
                wrong(400, "text-empty", "a message needs a text, a search words")
            }
            Refusal::TextTooLong => {
                wrong(413, "text-too-long", "the text is longer than this server accepts")
            }
            Refusal::FieldTooLong => {
                wrong(413, "field-too-long", "a field is longer than this server accepts")
            }
            Refusal::NoFederation => {
                wrong(501, "no-federation", "this server sends nothing to other servers")
            }
            Refusal::NotAllowed => wrong(403, "not-allowed", "that is not allowed here"),
            Refusal::DiskFull => {
                wrong(500, "disk-full", "the server has no room to store that, try again later")
            }
            Refusal::Unavailable => wrong(
                500,
                "internal",
                "whether it was done is not known, try again, with the same cookie if it has one",
            ),
        }
    }
}

impl Wrong {
    /// The body of an error packet. `detail` follows the sentence after a colon.
    pub fn body(&self, detail: Option<&str>, retry_after: Option<u32>) -> Vec<u8> {
        let mut body = Vec::with_capacity(128);
        let mut object = ObjectWriter::new(&mut body);
        object.text("reason", self.reason);
        match detail {
            Some(detail) => object.text("message", &format!("{}: {detail}", self.message)),
            None => object.text("message", self.message),
        };
        if let Some(seconds) = retry_after {
            object.number("retry_after", seconds.into());
        }
        drop(object);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::msim2::http;

    const ALL: [Refusal; 41] = [
        Refusal::NoSession,
        Refusal::UnknownSession,
        Refusal::BadField,
        Refusal::MissingField,
        Refusal::BadLogin,
        Refusal::BadPassword,
        Refusal::LoginTaken,
        Refusal::RegistrationClosed,
        Refusal::BadInvite,
        Refusal::WrongCredentials,
        Refusal::TooManyAttempts { retry_after: 3 },
        Refusal::TooManyRequests { retry_after: 0 },
        Refusal::TooManySessions,
        Refusal::TooManyContacts,
        Refusal::TooManyAppPasswords,
        Refusal::NoSuchAccount,
        Refusal::NoSuchContact,
        Refusal::NoSuchAppPassword,
        Refusal::AlreadyThere,
        Refusal::NoSuchChat,
        Refusal::NoSuchMessage,
        Refusal::BadRange,
        Refusal::BadDate,
        Refusal::TextEmpty,
        Refusal::TextTooLong,
        Refusal::FieldTooLong,
        Refusal::NoFederation,
        Refusal::NotAllowed,
        Refusal::DiskFull,
        Refusal::Unavailable,
        Refusal::TooManyChats,
        Refusal::TooManyMembers,
        Refusal::NoSuchRequest,
        Refusal::NoSuchMember,
        Refusal::NoSuchSpace,
        Refusal::BadSpan,
        Refusal::BadSpanRange,
        Refusal::TooManySpans,
        Refusal::BadAccess,
        Refusal::NotEditable,
        Refusal::LastOwner,
    ];

    #[test]
    fn every_refusal_has_the_status_and_token_of_the_interface() {
        let said: Vec<_> = ALL.map(|r| (Wrong::from(r).status, Wrong::from(r).reason)).into();
        let expected = [
            (401, "no-session"),
            (401, "unknown-session"),
            (400, "bad-field"),
            (400, "missing-field"),
            (400, "bad-login"),
            (400, "bad-password"),
            (403, "login-taken"),
            (403, "registration-closed"),
            (403, "bad-invite"),
            (403, "wrong-credentials"),
            (429, "too-many-attempts"),
            (429, "too-many-requests"),
            (403, "too-many-sessions"),
            (403, "too-many-contacts"),
            (500, "internal"),
            (404, "no-such-account"),
            (404, "no-such-contact"),
            (500, "internal"),
            (409, "already-there"),
            (404, "no-such-chat"),
            (404, "no-such-message"),
            (400, "bad-range"),
            (400, "bad-date"),
            (400, "text-empty"),
            (413, "text-too-long"),
            (413, "field-too-long"),
            (501, "no-federation"),
            (403, "not-allowed"),
            (500, "disk-full"),
            (500, "internal"),
            (403, "too-many-chats"),
            (403, "too-many-members"),
            (404, "no-such-request"),
            (404, "no-such-member"),
            (404, "no-such-space"),
            (400, "bad-span"),
            (400, "bad-span-range"),
            (413, "too-many-spans"),
            (400, "bad-access"),
            (409, "not-editable"),
            (403, "last-owner"),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn only_429_says_when_to_come_back_and_never_at_once() {
        for refusal in ALL {
            let is_429 = Wrong::from(refusal).status == 429;
            assert_eq!(retry_after(refusal).is_some(), is_429, "{refusal:?}");
            assert!(retry_after(refusal).is_none_or(|seconds| seconds >= 1));
        }
    }

    #[test]
    fn every_token_is_in_the_protocol_document() {
        let document = include_str!("../../../../docs/msim2.md");
        let own = [MALFORMED, PACKET_TOO_LARGE, UNKNOWN_TYPE, ABOVE_LAYER, BAD_LAYER, INTERNAL];
        let http = [
            http::NO_SUCH_PATH,
            http::METHOD_NOT_ALLOWED,
            http::UPGRADE_REQUIRED,
            http::HEAD_TOO_LARGE,
            http::ORIGIN_NOT_ALLOWED,
        ];
        for wrong in ALL.map(Wrong::from).into_iter().chain(own).chain(http) {
            let row = format!("| {} | `{}` |", wrong.status, wrong.reason);
            assert!(document.contains(&row), "{row}");
            let first = wrong.message.chars().next().expect("a sentence");
            assert!(first.is_lowercase() && !wrong.message.ends_with('.'), "{}", wrong.message);
        }
    }

    #[test]
    fn an_error_body_names_its_field_and_its_delay() {
        let body = Fault::bad("count").wrong.body(Some("count"), Some(2));
        assert_eq!(
            String::from_utf8_lossy(&body),
            r#"{"reason":"bad-field","message":"a field has the wrong type or an impossible value: count","retry_after":2}"#
        );
    }
}
