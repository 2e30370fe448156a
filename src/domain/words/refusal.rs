//! Why something is not done.

/// Why a command is not done. No text: each protocol has its own words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The packet names no session where one is needed.
    NoSession,
    UnknownSession,
    BadField,
    MissingField,
    BadLogin,
    BadPassword,
    LoginTaken,
    RegistrationClosed,
    BadInvite,
    WrongCredentials,
    /// Try again after so many whole seconds, at least 1.
    TooManyAttempts {
        retry_after: u32,
    },
    TooManyRequests {
        retry_after: u32,
    },
    /// 64 sessions on one connection.
    TooManySessions,
    TooManyContacts,
    TooManyAppPasswords,
    TooManyChats,
    TooManyMembers,
    NoSuchAccount,
    NoSuchContact,
    NoSuchAppPassword,
    NoSuchRequest,
    NoSuchMember,
    NoSuchSpace,
    AlreadyThere,
    NoSuchChat,
    NoSuchMessage,
    BadRange,
    BadDate,
    TextEmpty,
    TextTooLong,
    FieldTooLong,
    /// A kind of span that does not exist, or one without its value or with an impossible one.
    BadSpan,
    /// Spans that lie outside the text, split a character or cross each other.
    BadSpanRange,
    TooManySpans,
    /// Letters that do not exist, or that cannot be given there.
    BadAccess,
    /// A message that cannot be changed: it is deleted, or none that people write.
    NotEditable,
    /// The owner would leave: another one comes first.
    LastOwner,
    NoFederation,
    NotAllowed,
    /// This server keeps no files.
    NoFiles,
    FileTooLarge,
    /// Those of one account take as much as they may.
    TooManyFiles,
    /// It is gone, or never was.
    NoSuchFile,
    /// The disk has less free space than must stay.
    DiskFull,
    /// The outcome is unknown or the server is stopping: try again, with the same cookie.
    Unavailable,
}
