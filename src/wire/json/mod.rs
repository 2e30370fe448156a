//! JSON as the protocols use it (RFC 8259): objects read without trust, objects written straight
//! into a packet's body.
//!
//! Reading keeps strings where they lie in the input and counts nesting; writing builds no tree.

mod fields;
mod read;
mod write;

pub use fields::{Fields, fields};
pub use read::{FieldError, Malformed, Object, Text, Value, object, object_at_start};
pub use write::{ArrayWriter, ObjectWriter, text_len};
