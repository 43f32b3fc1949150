//! Faults that can be switched on, one per process, to see that a harness finds them.
//!
//! What each does wrong is said in the catalogue of mutants; each is asked for where the runtime
//! would break the rule, and nowhere else. Without a name nothing here changes anything.

use std::sync::OnceLock;

const CATALOGUE: &[&str] = &[
    "canary_grants_one_by_one",
    "close_loses_the_tail",
    "completes_on_the_old_generation",
    "delivers_data_after_close",
    "drops_item_when_queue_is_full",
    "drops_items_when_receiver_is_gone",
    "idem_rerun_binds_old_handles",
    "loses_early_items",
    "non_idem_with_channels_runs_again",
    "operation_ids_restart_after_reconnect",
    "side_send_overtakes_the_backlog",
    "stale_finalizer_closes_new_channel",
    "two_resumes_interleave",
];

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
pub(crate) fn is(name: &str) -> bool {
    debug_assert!(CATALOGUE.contains(&name), "{name} is not in the catalogue");
    active() == name
}
