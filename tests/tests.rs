//! The one test binary: every promise of the protocol's pages, seen from outside.

mod client;
mod crash;
mod daemon;
mod disk;
mod full;
mod garbage;
mod kill;
mod noise;
mod talk;
