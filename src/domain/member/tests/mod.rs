//! The letters of access: each alone, and many people with them.

mod owners;
mod shown;
mod table;
