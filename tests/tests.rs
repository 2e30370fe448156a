//! All integration tests in one program.

mod codec;
mod model;
