//! The core's words that need mSIM's own spelling.

pub mod refusal;
