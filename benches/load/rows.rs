//! The rows of the table, each the same steps for every server.

pub(crate) mod fanout;
pub(crate) mod history;
pub(crate) mod idle;
pub(crate) mod lost;
pub(crate) mod rate;
pub(crate) mod send;
pub(crate) mod size;

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
/// Instead of how long a start takes after a stop.
const NEVER_STOPPED: &str = "never stopped";
