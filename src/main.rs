//! The program. Everything is in the library, so that tests can start it as well.

fn main() -> std::process::ExitCode {
    msimd::cli::main()
}
