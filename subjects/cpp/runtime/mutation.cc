#include "runtime/mutation.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace subject {
namespace {

// What each does wrong is said in the catalogue of mutants; each is asked for where the runtime
// would break the rule.
constexpr auto kCatalogue = std::to_array<std::string_view>({
    "accepts_a_half_received_request",
    "accepts_any_channel_id",
    "accepts_any_number_of_connections",
    "accepts_any_probe",
    "accepts_any_request_id",
    "accepts_any_type_id",
    "accepts_any_version",
    "accepts_item_after_close",
    "accepts_operation_id_zero",
    "accepts_over_credit",
    "accepts_unknown_resume_key",
    "accepts_used_resume_key",
    "acknowledges_before_it_stored",
    "adds_old_credit_to_the_new_stream",
    "announces_behind_the_first_use",
    "announces_once_for_all_connections",
    "announces_once_per_session",
    "answers_on_a_closed_connection",
    "asks_for_no_required_field",
    "attaches_across_connections",
    "attaches_to_the_wrong_live_call",
    "attempts_a_cancelled_call_again",
    "attempts_any_stream_again",
    "backoff_does_not_double",
    "binds_an_end_that_was_reset",
    "binds_with_a_retired_key",
    "canary_grants_one_by_one",
    "canary_runs_in_a_grandchild",
    "canary_starts_handlers_late",
    "canary_wakes_for_ever",
    "canary_writes_byte_by_byte",
    "canary_writes_late",
    "cancel_closes_channels",
    "cancel_leaves_it_live",
    "clears_unknown_flags",
    "closes_in_the_middle_of_a_backlog",
    "counts_a_resume_twice",
    "counts_handlers_of_lost_links",
    "counts_lost_attempts_against_the_limit",
    "counts_no_refusals",
    "crashes_at_close",
    "credit_wraps_around",
    "discards_without_a_word",
    "does_not_echo_a_close",
    "double_response",
    "drops_a_payload_in_pieces",
    "drops_item_when_queue_is_full",
    "drops_items_before_binding",
    "drops_outcomes_reached_while_detached",
    "drops_queued_calls_at_link_loss",
    "drops_what_does_not_fit_the_window",
    "duplicate_command_runs_again",
    "duplicate_schema_accepted",
    "ends_the_channels_of_every_connection",
    "evicts_what_is_not_settled",
    "executes_bytes_of_a_superseded_link",
    "executes_twice_per_request",
    "executes_undecodable_arguments",
    "forgets_a_call_at_link_loss",
    "forgets_an_outcome_once_replayed",
    "forgets_half_a_length",
    "forgets_operations_at_link_loss",
    "forgets_outcomes_at_the_second_cut",
    "forgets_streams_between_effect_and_reply",
    "forgets_that_it_was_reset",
    "forgets_the_calls_of_a_closed_connection",
    "forgets_the_commands_of_a_scope",
    "forgets_to_journal_frame",
    "forgets_tombstones",
    "gives_a_cycle_one_id",
    "gives_callers_no_metadata",
    "gives_handlers_no_metadata",
    "gives_up_when_refused",
    "grants_nothing_to_who_waits",
    "hangs_in_resume",
    "holds_behind_the_effect",
    "ignores_messages_towards_the_wrong_end",
    "ignores_names_of_older_links",
    "ignores_open_connection",
    "ignores_other_connections",
    "ignores_request_limit_as_caller",
    "ignores_reset",
    "ignores_response_to_nothing",
    "ignores_second_close",
    "ignores_type_mismatch",
    "ignores_unasked_pong",
    "ignores_unknown_channels",
    "ignores_what_comes_after_both_closes",
    "ignores_what_comes_before_hello",
    "ignores_who_closes_the_root",
    "ignores_who_opens_the_root",
    "item_after_close",
    "journals_the_seal_after_the_response",
    "keeps_announcements_of_streams_across_a_cut",
    "keeps_connections_that_only_it_has_open",
    "keeps_half_closed_link",
    "keeps_half_of_the_commands",
    "keeps_one_entry_per_key",
    "keeps_streams_live_without_a_link",
    "leaks_a_link_cut_in_its_prologue",
    "leaks_channels_cut_in_the_resume_handshake",
    "leaves_out_what_a_type_refers_to",
    "leaves_superseded_link_open",
    "lets_both_attachments_live",
    "lists_no_connection_in_a_resume",
    "logs_metadata",
    "makes_up_an_outcome",
    "matches_fields_by_name",
    "mints_a_new_operation_for_an_idem_attempt",
    "mints_a_session_id_per_link",
    "mints_an_operation_per_attempt",
    "mints_odd_ids_only",
    "missing_schema_accepted",
    "names_no_schema_at_a_resume",
    "no_channel_abandon",
    "old_generation_finalizer_closes_new_channel",
    "one_dial_too_many",
    "one_handler_at_a_time",
    "opens_a_rejected_id_again",
    "opens_any_connection",
    "opens_the_gates_of_all_scopes",
    "outlives_its_input",
    "over_credit",
    "pings_unasked",
    "presents_a_key_it_never_got",
    "presents_the_old_resume_key",
    "propagates_everything",
    "queues_the_calls_of_all_connections_together",
    "reexecutes_non_idem_after_resume",
    "refuses_behind_the_pong",
    "refuses_unknown_metadata",
    "refuses_what_crosses_its_close",
    "refuses_what_has_crossed",
    "releases_operations_at_link_loss",
    "replays_beside_open_channels",
    "reports_expired_as_it_came",
    "rerun_sealed",
    "reruns_released_non_idem",
    "resumes_a_stream_where_the_first_cut_left_it",
    "resumes_without_new_key",
    "retires_key_at_hello",
    "reuses_channel_ids_after_resume",
    "runs_live_duplicate",
    "runs_what_has_expired",
    "same_epoch_after_restart",
    "says_hello_before_it_is_accepted",
    "says_two_lines",
    "seals_what_crashed",
    "second_response_for_cancelled_call",
    "sends_backlog_in_reverse",
    "sends_over_the_limit",
    "sets_a_timer_for_a_lost_link",
    "silent_on_ping_while_calls_block",
    "skips_malformed_payloads",
    "splices_a_fragment_into_the_next_generation",
    "starts_with_half_the_credit",
    "stores_the_first_key_with_the_first_message",
    "swallows_what_has_no_row",
    "takes_a_cut_for_the_end_of_an_empty_stream",
    "takes_a_failed_command_for_a_running_one",
    "takes_aborted_for_the_end",
    "takes_announcements_of_other_connections",
    "takes_eof_for_the_end_of_a_payload",
    "takes_one_payload_per_read",
    "takes_the_parity_of_the_session_everywhere",
    "takes_unknown_errors_for_retryable",
    "takes_what_is_there_for_a_payload",
    "unknown_method_as_invalid_payload",
    "user_error_as_runtime_error",
    "uses_a_connection_before_it_is_accepted",
    "waits_for_a_limit_of_zero",
    "waits_for_a_session_that_cannot_come_back",
    "waits_for_oversized_body",
    "wakes_consumer_at_the_end_only",
    "wreck_closes",
    "wreck_crashes",
    "wreck_echoes",
    "wreck_hangs",
    "wreck_mute",
    "wreck_never_reads",
    "wreck_resets",
    "wreck_spins",
    "wrong_parity",
    "wrong_pong",
});
std::string_view active;

// Goes on as a grandchild of the process that was started, which waits, and then ends as it has.
void GoOnInAGrandchild() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t child = fork();
  if (child == 0) {
    if (fork() != 0) _exit(0);
    return;
  }
  for (int status = 0; wait(&status) > 0;) {
    if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
    if (WEXITSTATUS(status) != 0) _exit(WEXITSTATUS(status));
  }
  _exit(0);
}

}  // namespace

bool ActivateMutation(std::string_view name) {
  const auto* found = std::find(kCatalogue.begin(), kCatalogue.end(), name);
  if (found == kCatalogue.end()) return false;
  active = *found;
  if (Mutated("canary_runs_in_a_grandchild")) GoOnInAGrandchild();
  return true;
}

bool Mutated(std::string_view name) { return active == name; }

std::string_view ActiveMutation() { return active; }

}  // namespace subject
