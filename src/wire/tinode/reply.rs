//! Every code and text of a {ctrl}. The SDK tells its user both.
//!
//! The README promises codes that «follow the HTTP status codes model»; the texts are those that
//! clients of 2016 were told, and ours where those had none.

use crate::domain::words::Refusal;

pub use crate::wire::msim2::refusal::retry_after;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u16,
    pub text: &'static str,
}

const fn status(code: u16, text: &'static str) -> Status {
    Status { code, text }
}

impl Status {
    pub const OK: Status = status(200, "ok");
    /// Of a login. A client may have been written to that spelling.
    pub const LOGGED_IN: Status = status(200, "OK");
    pub const CREATED: Status = status(201, "created");
    pub const ACCEPTED: Status = status(202, "message accepted for delivery");
    /// Unasked: another session of the same person has left the topic for good.
    pub const EVICTED: Status = status(205, "evicted");
    /// Unasked.
    pub const SHUTDOWN: Status = status(205, "server shutdown");
    pub const ALREADY_SUBSCRIBED: Status = status(304, "already subscribed");
    pub const NOT_JOINED: Status = status(304, "not joined");
    pub const NO_ACTION: Status = status(304, "no action");
    pub const MALFORMED: Status = status(400, "malformed message");
    pub const LOGIN_FIRST: Status = status(401, "authentication required");
    pub const WRONG_CREDENTIALS: Status = status(401, "authentication failed");
    pub const UNKNOWN_SCHEME: Status = status(401, "unknown or missing authentication scheme");
    pub const DENIED: Status = status(403, "access denied");
    pub const NO_TOPIC: Status = status(404, "topic not found");
    pub const NO_USER: Status = status(404, "user not found or offline");
    pub const ALREADY_LOGGED_IN: Status = status(409, "already authenticated");
    pub const LOGIN_TAKEN: Status = status(409, "duplicate credential");
    pub const NOT_ATTACHED: Status = status(409, "must attach to unsubscribe");
    /// In place of the silence of 2016.
    pub const ATTACH_FIRST: Status = status(409, "must attach first");
    pub const INTERNAL: Status = status(500, "internal error");
    pub const NOT_IMPLEMENTED: Status = status(501, "not implemented");

    // Ours from here on: the server of 2016 knew no limits.
    /// As many chats, members, sessions as there may be.
    pub const LIMIT_REACHED: Status = status(403, "limit reached");
    pub const TOO_LARGE: Status = status(413, "content too large");
    /// With the seconds to wait, see [`retry_after`].
    pub const TOO_MANY: Status = status(429, "too many requests");
    /// Whether it was done is not known.
    pub const UNAVAILABLE: Status = status(503, "service unavailable");
    pub const DISK_FULL: Status = status(507, "insufficient storage");
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        match refusal {
            Refusal::NoSession | Refusal::UnknownSession => Status::LOGIN_FIRST,
            Refusal::WrongCredentials => Status::WRONG_CREDENTIALS,
            Refusal::LoginTaken => Status::LOGIN_TAKEN,
            Refusal::RegistrationClosed | Refusal::BadInvite | Refusal::NotAllowed => {
                Status::DENIED
            }
            // That the owner stays: «at least one user must remain the topic owner».
            Refusal::BadField
            | Refusal::MissingField
            | Refusal::BadLogin
            | Refusal::BadPassword
            | Refusal::BadRange
            | Refusal::BadDate
            | Refusal::TextEmpty
            | Refusal::BadSpan
            | Refusal::BadSpanRange
            | Refusal::BadAccess
            | Refusal::LastOwner => Status::MALFORMED,
            Refusal::NoSuchAccount
            | Refusal::NoSuchContact
            | Refusal::NoSuchRequest
            | Refusal::NoSuchMember => Status::NO_USER,
            Refusal::NoSuchChat | Refusal::NoSuchSpace => Status::NO_TOPIC,
            // There was never such a message, so that it is no number to say.
            Refusal::NoSuchMessage => Status::MALFORMED,
            Refusal::AlreadyThere | Refusal::NotEditable => Status::NO_ACTION,
            Refusal::TooManySessions
            | Refusal::TooManyContacts
            | Refusal::TooManyChats
            | Refusal::TooManyMembers
            | Refusal::TooManyFiles => Status::LIMIT_REACHED,
            Refusal::TextTooLong
            | Refusal::FieldTooLong
            | Refusal::TooManySpans
            | Refusal::FileTooLarge => Status::TOO_LARGE,
            Refusal::TooManyAttempts { .. } | Refusal::TooManyRequests { .. } => Status::TOO_MANY,
            // Names of other servers cannot be spelled here.
            Refusal::NoFederation | Refusal::NoFiles => Status::NOT_IMPLEMENTED,
            // No message asks for what these refuse.
            Refusal::TooManyAppPasswords | Refusal::NoSuchAppPassword | Refusal::NoSuchFile => {
                Status::INTERNAL
            }
            Refusal::DiskFull => Status::DISK_FULL,
            Refusal::Unavailable => Status::UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_the_words_of_2016_where_there_are_any() {
        let said = |refusal| {
            let Status { code, text } = Status::from(refusal);
            format!("{code} {text}")
        };
        let cases = [
            (Refusal::UnknownSession, "401 authentication required"),
            (Refusal::WrongCredentials, "401 authentication failed"),
            (Refusal::LoginTaken, "409 duplicate credential"),
            (Refusal::BadPassword, "400 malformed message"),
            (Refusal::LastOwner, "400 malformed message"),
            (Refusal::BadInvite, "403 access denied"),
            (Refusal::NoSuchAccount, "404 user not found or offline"),
            (Refusal::NoSuchChat, "404 topic not found"),
            (Refusal::TextTooLong, "413 content too large"),
            (Refusal::TooManyRequests { retry_after: 3 }, "429 too many requests"),
            (Refusal::TooManyMembers, "403 limit reached"),
            (Refusal::DiskFull, "507 insufficient storage"),
            (Refusal::Unavailable, "503 service unavailable"),
        ];
        for (refusal, expected) in cases {
            assert_eq!(said(refusal), expected, "{refusal:?}");
        }
        assert_eq!(retry_after(Refusal::TooManyRequests { retry_after: 3 }), Some(3));
    }
}
