//! Tinode 0.5, for the clients of its time: topics are chats, and every topic counts its messages
//! from 1.

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
