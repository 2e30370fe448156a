//! Conversations about taking up chats.
