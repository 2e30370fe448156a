//! Tinode 0.5, for the clients of its time: topics are chats, and every topic counts its messages
//! from 1.

pub mod meta;
pub mod mode;
pub mod names;
pub mod packet;
pub mod reply;
pub mod request;
mod time;
