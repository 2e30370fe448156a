#![doc = include_str!("../ARCHITECTURE.md")]

pub mod admin;
pub mod archive;
pub mod bench;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod files;
pub mod inherited;
pub mod limits;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod net;
pub mod notify;
pub mod pool;
mod sample;
pub mod server;
pub mod store;
pub mod wire;
