//! Faults that can be switched on, one per process, to see that a harness finds them.
//!
//! What each does wrong is said in the catalogue of mutants; each is asked for where the runtime
//! would break the rule, and nowhere else. Without a name nothing here changes anything.

use std::sync::OnceLock;

const CATALOGUE: &[&str] = &[];

static ACTIVE: OnceLock<String> = OnceLock::new();

/// Switches a fault on, before anything else runs; false if there is none of that name.
pub fn activate(name: &str) -> bool {
    CATALOGUE.contains(&name) && ACTIVE.set(name.into()).is_ok()
}

/// The fault that is on; empty: none.
pub fn active() -> &'static str {
    ACTIVE.get().map_or("", String::as_str)
}

/// Is this fault on?
#[allow(dead_code)]
pub(crate) fn is(name: &str) -> bool {
    debug_assert!(CATALOGUE.contains(&name), "{name} is not in the catalogue");
    active() == name
}
