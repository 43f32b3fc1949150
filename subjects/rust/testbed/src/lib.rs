//! The application of the Rust subject: the handler that serves the testbed, and the caller with
//! its calls and channel ends, named as commands name them.

mod caller_ends;
mod program;

pub use caller_ends::CallerEnds;
pub use program::{Gates, handler};
