//! Refusals in words, and other lines that several commands say.

use super::Line;
use crate::domain::words::Refusal;
use crate::wire::msim2::refusal::{Wrong, retry_after};

/// The whole line.
pub(super) fn refused(refusal: Refusal) -> Line {
    let text = match refusal {
        Refusal::NoSession => "say IAM or NEW USR first",
        Refusal::UnknownSession => "your session is over, come again",
        Refusal::BadField | Refusal::MissingField => "that cannot be",
        Refusal::BadPassword => "a password has 1 to 1024 bytes",
        Refusal::LoginTaken => "the name is taken, or was",
        Refusal::WrongCredentials => "the name or the password is wrong",
        Refusal::TooManyChats => "that is one too many",
        Refusal::NoSuchAccount | Refusal::NoSuchMember => "nobody has that number",
        Refusal::NoSuchChat => "there is no such channel for you",
        Refusal::NoSuchSpace => "there is no such server for you",
        Refusal::NoSuchRequest => "nobody of that number has asked",
        Refusal::AlreadyThere => "that is so already",
        Refusal::LastOwner => "it is yours: DEL it, or give it to somebody first",
        Refusal::TextEmpty => "there is nothing in it",
        Refusal::NoSuchFile => "there is no such file here",
        Refusal::Unavailable => "whether it was done is not known, look and try again",
        Refusal::TooManyAttempts { .. } | Refusal::TooManyRequests { .. } => {
            let seconds = retry_after(refusal).unwrap_or(1);
            return Line(format!("ERR too fast, try again in {seconds} s"));
        }
        other => Wrong::from(other).message,
    };
    fault(text)
}

pub(super) fn fault(text: &str) -> Line {
    Line(format!("ERR {text}"))
}
