//! All integration tests in one program: every promise of the protocol's pages, seen from outside,
//! and the promises of the code about itself.

mod client;
mod codec;
mod crash;
mod daemon;
mod disk;
mod full;
mod garbage;
mod kill;
mod layers;
mod model;
mod noise;
mod slow;
mod talk;
