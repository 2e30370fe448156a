//! `msimd bench`: measures the server.

use argh::FromArgs;

/// Measure the server.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "bench")]
pub struct Bench {}

impl Bench {
    /// Measures and prints.
    pub fn run(&self) -> Result<(), String> {
        Err("there is nothing to measure yet".into())
    }
}
