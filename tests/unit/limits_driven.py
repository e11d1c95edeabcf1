"""Which test drives which limit of docs/limits.md over its edge; must not know how.

`test_limits_covered` asks that every row has one, and that the test names the limit. `tests/fault/limits_run` lifts each limit
and asks that the test fails then.
"""

from typing import Final

ENTRY: Final = "tests/unit/test_limits_entry.py::"
LOG: Final = "tests/unit/test_limits_log.py::"
PROCESS: Final = "tests/unit/test_limits_process.py::"
GATEWAY: Final = "tests/unit/test_limits_gateway.py::"
LETTING_GO: Final = "tests/unit/test_limits_letting_go.py::"

LIMITS_DRIVEN: Final[dict[str, str]] = {
    "schemas/messages.py PAYLOAD_BYTES_MAX": "tests/unit/test_cli_publish.py::"
    "test_what_is_too_large_is_named_by_the_hash_of_all_its_bytes",
    "schemas/messages.py KEYS_COUNT_MAX": f"{ENTRY}test_a_message_that_names_too_many_documents_is_refused",
    "schemas/messages.py KEY_CHARS_MAX": f"{ENTRY}test_a_name_that_is_too_long_is_refused",
    "schemas/cloudevents.py HEADERS_BYTES_MAX": f"{ENTRY}test_a_record_with_too_large_headers_is_refused_as_a_fact",
    "schemas/cloudevents.py HEADERS_COUNT_MAX": f"{ENTRY}test_a_record_with_too_many_headers_is_refused_as_a_fact",
    "producers/batches.py LINE_BYTES_MAX": "tests/unit/test_batches.py::"
    "test_a_line_over_the_limit_is_passed_over_without_holding_it",
    "console/verbs_publish.py REFUSED_COUNT_MAX": f"{PROCESS}test_a_file_of_nonsense_is_given_up",
    "producers/publisher.py BATCH_BYTES_MAX": f"{ENTRY}test_a_file_is_read_no_further_than_the_batch_that_is_being_written",
    "producers/bulletins.py BULLETIN_BYTES_MAX": f"{ENTRY}test_a_notice_that_is_too_large_is_refused_and_nothing_is_written",
    "consumers/notice_layout.py NOTICE_CHARS_MAX": f"{ENTRY}"
    "test_a_notice_that_is_too_long_changes_nothing_and_asks_for_a_person",
    "consumers/notice_layout.py LINES_COUNT_MAX": f"{ENTRY}test_a_notice_with_too_many_lines_is_refused_by_its_reader",
    "consumers/notice_times.py WINDOWS_COUNT_MAX": f"{ENTRY}test_a_notice_with_too_many_windows_is_refused_by_its_reader",
    "consumers/notices.py SCOPES_COUNT_MAX": f"{ENTRY}test_a_notice_with_too_many_closings_is_refused_by_its_reader",
    "console/session.py REASON_CHARS_MAX": f"{ENTRY}test_a_reason_that_is_too_long_is_refused",
    "eventlog/port.py ENTRY_BYTES_MAX": "tests/contract/log_contract.py::"
    "test_an_entry_over_the_limit_is_refused_and_nothing_of_its_batch_is_written",
    "eventlog/port.py BATCH_COUNT_MAX": "tests/contract/log_contract.py::"
    "test_a_batch_over_the_limit_is_refused_and_nothing_is_written",
    "eventlog/admission.py KEY_AND_HEADERS_BYTES_MAX": "tests/contract/log_contract.py::"
    "test_headers_over_the_limit_are_refused",
    "schemas/codec.py SCHEMA_BYTES_MAX": f"{ENTRY}test_a_schema_that_is_too_large_stops_the_reader",
    "schemas/codec.py LEARNT_COUNT_MAX": f"{ENTRY}test_more_schemas_than_there_can_be_stop_the_reader",
    "eventlog/port.py READ_COUNT_MAX": f"{LOG}test_a_read_returns_so_many_records_and_the_next_one_the_rest",
    "eventlog/sqlite.py READERS_MAX": f"{LOG}test_one_reader_too_many_waits_and_then_hears_that_the_log_is_unavailable",
    "eventlog/sqlite.py GROUP_COUNT_MAX": f"{LOG}test_appends_that_waited_together_go_in_transactions_of_so_many_entries",
    "eventlog/sqlite.py PAGE_BYTES_MAX": "tests/contract/test_sqlite_log.py::test_a_page_ends_when_its_values_are_large",
    "eventlog/sqlite.py TURN_WAIT_MAX_S": f"{LOG}test_an_append_without_a_turn_was_not_done",
    "eventlog/sqlite_file.py BUSY_WAIT_MAX_S": "tests/contract/test_sqlite_log.py::"
    "test_an_append_behind_a_writer_that_hangs_is_not_done",
    "eventlog/kafka_tail.py WINDOW_COUNT_MAX": f"{LOG}test_a_full_window_is_extended_no_further_until_somebody_has_read",
    "eventlog/kafka_tail.py WINDOW_BYTES_MAX": f"{LOG}test_a_full_window_is_extended_no_further_until_somebody_has_read",
    "eventlog/kafka_wire.py FRAME_BYTES_MAX": f"{LOG}test_an_answer_that_says_that_it_is_longer_is_not_begun",
    "eventlog/kafka_reader.py AHEAD_BYTES_MAX": f"{LOG}test_what_is_read_ahead_of_a_fetch_is_kept_up_to_a_limit",
    "eventlog/kafka_link.py CONNECT_WAIT_S": f"{LOG}test_a_cluster_that_does_not_answer_is_unavailable_soon",
    "eventlog/kafka_link.py REQUEST_WAIT_S": f"{LOG}test_a_broker_that_does_not_answer_is_left",
    "eventlog/kafka_link.py READ_WAIT_S": f"{LOG}test_a_broker_that_does_not_answer_is_left",
    "eventlog/kafka_link.py DELIVERY_WAIT_S": f"{LOG}test_an_append_that_nobody_acknowledges_is_ambiguous_in_time",
    "console/driver.py THREADS_MAX": f"{PROCESS}test_so_many_calls_to_the_log_are_made_at_once_and_the_next_one_waits",
    "console/driver.py FOLLOW_COUNT": f"{PROCESS}test_a_follower_reads_so_many_records_and_then_the_next",
    "console/driver.py STOP_WAIT_MAX_S": f"{PROCESS}test_who_has_not_ended_so_long_after_a_stop_is_cut_off",
    "console/driver.py TOLD_COUNT_MAX": f"{PROCESS}test_so_many_errors_are_remembered_as_told_and_then_none",
    "console/up.py CONNECTIONS_MAX": f"{PROCESS}"
    "test_so_many_connections_are_opened_to_cbsa_and_a_send_too_many_does_not_start",
    "consumers/intake.py READ_COUNT": f"{LETTING_GO}test_the_next_are_read_when_the_facts_of_these_are_read_back",
    "consumers/availability.py READ_COUNT": f"{LETTING_GO}test_the_next_are_read_when_the_facts_of_these_are_read_back",
    "consumers/responses.py PAGES_WAITING_MAX": f"{GATEWAY}"
    "test_nothing_more_is_fetched_while_so_many_doubted_pages_wait_for_the_desk",
    "consumers/responses.py PAGES_COUNT_MAX": f"{LETTING_GO}test_so_many_pages_become_facts_in_one_append",
    "gateway/https.py POLL_CONNECTIONS_MAX": f"{GATEWAY}"
    "test_so_many_polls_are_on_the_wire_and_questions_that_hang_keep_none_waiting",
    "consumers/responses.py POLL_RETRY_MAX_S": f"{GATEWAY}"
    "test_polls_that_fail_are_made_ever_more_rarely_and_a_person_is_asked",
    "consumers/responses.py POLL_FAILURES_TOLD": f"{GATEWAY}"
    "test_polls_that_fail_are_made_ever_more_rarely_and_a_person_is_asked",
    "gateway/answers.py ANSWERS_COUNT_MAX": f"{GATEWAY}test_a_page_with_too_many_answers_is_not_read",
    "gateway/answers.py PARTS_COUNT_MAX": f"{GATEWAY}test_a_page_of_nothing_but_brackets_is_not_parsed",
    "gateway/https.py PAGE_BODY_BYTES_MAX": f"{GATEWAY}test_a_page_that_is_too_long_is_left_where_it_is",
    "schemas/wire.py RESPONSES_PAGE_MAX": f"{GATEWAY}test_a_page_is_cut_at_so_many_answers_and_the_rest_polled_again",
    "gateway/answers.py PAGE_KEPT_BYTES_MAX": "tests/contract/test_https_gateway.py::test_a_page_too_heavy_is_cut",
    "gateway/answers.py WIRE_KEY_CHARS_MAX": f"{GATEWAY}"
    "test_an_answer_with_a_word_that_is_too_long_is_kept_by_itself_for_a_person",
    "gateway/answers.py CODE_CHARS_MAX": f"{GATEWAY}"
    "test_an_answer_with_a_word_that_is_too_long_is_kept_by_itself_for_a_person",
    "gateway/answers.py TEXT_CHARS_MAX": f"{GATEWAY}test_a_long_text_is_cut_and_the_raw_body_keeps_all_of_it",
    "schemas/facts.py MEMBERS_COUNT_MAX": f"{LETTING_GO}test_a_fact_names_so_many_messages_and_the_next_one_the_rest",
    "replay/flight.py INTENTS_COUNT_MAX": f"{LETTING_GO}test_no_further_intent_is_made_until_one_is_read_back_and_ended",
    "replay/flight.py ISSUE_BYTES_MAX": "tests/unit/test_flight.py::test_an_intent_brings_at_most_so_many_bytes_into_memory",
    "replay/planner.py PROBES_COUNT_MAX": f"{LETTING_GO}test_one_that_never_gets_through_keeps_no_other_back",
    "replay/planner.py SCAN_COUNT_MAX": f"{LETTING_GO}test_a_plan_is_made_of_so_many_and_the_rest_is_looked_at_next_time",
    "lane/due.py QUESTIONS_COUNT_MAX": f"{LETTING_GO}"
    "test_so_many_questions_are_asked_at_once_and_the_next_waits_for_an_answer",
    "replay/questions.py QUESTIONS_OUT_MAX": f"{LETTING_GO}"
    "test_so_many_questions_are_asked_at_once_and_the_next_waits_for_an_answer",
    "gateway/https.py ASK_CONNECTIONS_MAX": f"{GATEWAY}test_so_many_questions_are_on_the_wire_and_the_next_waits",
    "replay/questions.py ASK_AGAIN_MAX_S": f"{LETTING_GO}test_a_question_that_gets_no_answer_is_put_ever_more_rarely",
    "replay/questions.py AGAIN_COUNT_MAX": f"{LETTING_GO}test_what_never_gets_through_is_a_persons_after_so_many_sends",
    "gateway/connections.py CONNECT_TIMEOUT_S": f"{GATEWAY}test_a_connection_that_does_not_come_about_takes_nothing",
    "gateway/https.py KEYS_HEADER_BYTES_MAX": f"{GATEWAY}"
    "test_keys_that_no_header_carries_are_refused_and_nothing_is_sent",
    "gateway/connections.py HEAD_BYTES_MAX": "tests/contract/test_connections.py::test_what_is_no_whole_reply_is_broken",
    "gateway/https.py REPLY_BODY_BYTES_MAX": f"{GATEWAY}test_a_reply_that_is_too_long_is_broken",
    "gateway/https.py TIMEOUT_DEFAULT_S": f"{GATEWAY}test_a_send_that_gets_no_reply_in_time_is_unknown_and_asked_for",
    "gateway/https.py RETRY_AFTER_MAX_S": "tests/contract/test_https_gateway.py::"
    "test_a_retry_after_is_obeyed_within_a_limit",
    "lane/forecast.py LOOK_COUNT_MAX": f"{PROCESS}test_a_drain_that_is_longer_is_told_by_its_speed_alone",
    "lane/pace.py MARKS_COUNT_MAX": f"{PROCESS}test_of_more_marks_of_a_drain_the_oldest_goes",
    "console/watching.py LOG_SILENT_S": f"{PROCESS}test_a_log_that_has_not_answered_for_so_long_is_told",
}  # fmt: skip
"""By module and name, as the page has them; the test as its file and function."""
