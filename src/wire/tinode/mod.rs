//! Tinode 0.5, for the clients of its time: topics are chats, and every topic counts its messages
//! from 1.
//!
//! [`request`] is what clients say and [`packet`], with [`meta`] and [`reply`], what they are told;
//! [`names`] and [`mode`] are how both spell topics and access. [`ws`] and [`lines`] carry them, and
//! [`key`] says who is let in.
//!
//! Our reading, where the README is silent or the server of 2016 did otherwise:
//!
//! - An empty text is an absent one, for the SDK leaves out what is empty; but an empty mode asks
//!   for the default.
//! - Of several messages in one text only the first is read, so that a mistake in another one is
//!   none.
//! - `{del before=0}` deletes nothing, because nothing comes before the first message. Go's zero
//!   meant everything.
//! - An id, a topic or another word of more than 128 bytes is malformed; a user agent is cut.
//! - What a client publishes comes back byte by byte as it was written, spaces included.
//! - A group's name has a check in it, and a chat of two one spelling; other texts are no names.

pub mod dialogue;
pub mod key;
pub mod lines;
pub mod meta;
pub mod mode;
pub mod names;
pub mod packet;
pub mod reply;
pub mod request;
#[cfg(test)]
mod testing;
mod time;
pub mod ws;
