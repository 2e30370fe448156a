//! All integration tests in one program: every promise of the protocol's pages, seen from outside,
//! and the promises of the code about itself.

#![expect(unreachable_pub, reason = "in one program `pub` means: for the other tests")]

mod client;
mod clock;
mod codec;
mod crash;
mod daemon;
mod disk;
mod doctor;
mod files;
mod full;
mod garbage;
mod kill;
mod layers;
mod line;
mod model;
mod moving;
mod noise;
mod operating;
mod service;
mod slow;
mod talk;
mod tinode;
mod upgrade;
