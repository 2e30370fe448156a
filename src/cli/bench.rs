//! `msimd bench`: measures the server.

use std::process::ExitCode;

use argh::FromArgs;

/// Measure the server.
#[derive(Debug, FromArgs)]
#[argh(subcommand, name = "bench")]
pub struct Bench {}

/// Runs it.
pub fn run(_args: &Bench) -> ExitCode {
    ExitCode::FAILURE
}
