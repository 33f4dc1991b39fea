"""When a session's connection may be given back: transactions, pipelines, errors, COPY."""

import pytest

from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.link import Link
from workshape.pgproxy.messages import IDLE, ProtocolViolation, message, query, ready_for_query
from workshape.pgproxy.pins import PinReason
from workshape.pgproxy.session import Session, Want
from workshape.pgproxy.sqlstate import canceled

SYNC, FLUSH = message(messages.SYNC), message(messages.FLUSH)
PARSE = messages.parse(b"", b"SELECT 1\0\0\0")
BIND = message(messages.BIND, b"\0\0\0\0\0\0\0\0")
EXECUTE = message(messages.EXECUTE, b"\0\0\0\0\0")
BATCH = PARSE + BIND + EXECUTE
COPY_DATA, COPY_DONE = message(messages.COPY_DATA, b"1\n"), message(messages.COPY_DONE)
COPY_FAIL = message(messages.COPY_FAIL, b"no\0")

IS_IDLE, IN_TRANSACTION = ready_for_query(IDLE), ready_for_query(messages.IN_TRANSACTION)
FAILED = ready_for_query(messages.FAILED_TRANSACTION)
COMPLETE, ROW = message(messages.COMMAND_COMPLETE, b"SELECT 1\0"), message(messages.DATA_ROW, b"\0\0")
PARSED, BOUND = message(messages.PARSE_COMPLETE), message(messages.BIND_COMPLETE)
ERROR = message(messages.ERROR_RESPONSE, b"SERROR\0VERROR\0C22012\0Mno\0\0")
COPY_IN = message(messages.COPY_IN_RESPONSE, b"\0\0\0")
COPY_OUT = message(messages.COPY_OUT_RESPONSE, b"\0\0\0")


class Pair:
    """A session and the connection it has."""

    def __init__(self) -> None:
        self.link = Link(1, {}, b"key")
        self.session = Session(ClientState({}), Statements())
        self.session.attach(self.link)

    def client_says(self, data: bytes) -> bytes:
        """What reaches the database of it."""
        self.session.receive(data, 0.0)
        sent = self.session.to_database
        self.session.to_database = b""
        return sent

    def database_says(self, data: bytes) -> bool:
        """Whether the connection may be given back after it; the client hears every byte."""
        assert self.link.receive(data) == data
        return self.session.may_detach


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_transaction_keeps_the_connection_from_its_begin_to_its_end(pair: Pair) -> None:
    assert pair.session.may_detach
    for status in (IN_TRANSACTION, IN_TRANSACTION, FAILED, FAILED):
        pair.client_says(query("anything"))
        assert not pair.session.may_detach
        assert not pair.database_says(COMPLETE + status)
        assert pair.link.waits_for_client
    pair.client_says(query("rollback"))

    assert pair.database_says(COMPLETE + IS_IDLE)


def test_only_the_last_of_several_syncs_in_flight_gives_the_connection_back(pair: Pair) -> None:
    assert pair.client_says((BATCH + SYNC) * 3) == (BATCH + SYNC) * 3
    answer = PARSED + BOUND + ROW + COMPLETE + IS_IDLE

    assert [pair.database_says(answer) for _ in range(3)] == [False, False, True]


def test_queries_in_flight_behind_each_other_are_each_waited_for(pair: Pair) -> None:
    pair.client_says(query("SELECT 1") + BATCH + SYNC + query("SELECT 2"))

    assert not pair.database_says(COMPLETE + IS_IDLE)
    assert not pair.database_says(PARSED + BOUND + COMPLETE + IS_IDLE)
    assert pair.database_says(COMPLETE + IS_IDLE)


def test_an_implicit_transaction_lasts_until_its_sync_although_the_server_owes_nothing(pair: Pair) -> None:
    pair.client_says(BATCH + FLUSH)

    assert not pair.database_says(PARSED + BOUND + ROW + COMPLETE)
    assert not pair.link.expected
    pair.client_says(SYNC)
    assert pair.database_says(IS_IDLE)


def test_what_is_asked_for_right_before_a_goodbye_is_passed_on_and_may_be_finished(pair: Pair) -> None:
    want = pair.session.receive(query("SELECT 1") + message(messages.TERMINATE), 0.0)

    assert want is Want.END
    assert pair.session.to_database == query("SELECT 1")
    assert pair.session.may_hang_up


def test_a_half_sent_message_keeps_the_connection(pair: Pair) -> None:
    pair.client_says(BATCH + SYNC + EXECUTE[:7])

    assert not pair.database_says(PARSED + BOUND + COMPLETE + IS_IDLE)
    assert not pair.session.may_hang_up


def test_after_an_error_between_parse_and_sync_everything_is_skipped_up_to_the_sync(pair: Pair) -> None:
    pair.client_says(PARSE + FLUSH)

    assert not pair.database_says(ERROR)
    assert pair.link.ignoring
    assert pair.client_says(BIND + EXECUTE + query("SELECT 1")) == b""
    assert pair.client_says(SYNC) == SYNC
    assert pair.database_says(IS_IDLE)


def test_an_error_in_the_first_of_two_batches_skips_that_batch_only(pair: Pair) -> None:
    pair.client_says(BATCH + SYNC + BATCH + SYNC)

    assert not pair.database_says(PARSED + ERROR + IS_IDLE)
    assert not pair.link.ignoring
    assert pair.database_says(PARSED + BOUND + COMPLETE + IS_IDLE)


def test_an_error_skips_a_query_that_stands_before_the_sync(pair: Pair) -> None:
    pair.client_says(PARSE + query("SELECT 1") + SYNC)

    assert not pair.database_says(ERROR + IS_IDLE)
    assert pair.link.at_rest
    assert PinReason.UNREAD in pair.session.state.pins, "the server may not be able to run the next statement"


def test_a_commit_that_fails_at_the_sync_gives_the_connection_back(pair: Pair) -> None:
    pair.client_says(BATCH + SYNC)

    assert pair.database_says(PARSED + BOUND + COMPLETE + ERROR + IS_IDLE)


def test_a_portal_read_in_steps_keeps_the_connection_until_the_sync(pair: Pair) -> None:
    pair.client_says(BATCH + FLUSH)
    pair.database_says(PARSED + BOUND + ROW + message(messages.PORTAL_SUSPENDED))
    pair.client_says(EXECUTE + SYNC)

    assert not pair.database_says(ROW + COMPLETE)
    assert pair.database_says(IS_IDLE)


def test_several_results_of_one_query_are_one_answer(pair: Pair) -> None:
    pair.client_says(query("SELECT 1; SELECT 2"))

    assert not pair.database_says(ROW + COMPLETE + ROW + COMPLETE)
    assert pair.database_says(IS_IDLE)


def test_a_function_call_is_answered_like_a_query_and_pins_for_nobody_sees_what_it_does(pair: Pair) -> None:
    pair.client_says(message(messages.FUNCTION_CALL, b"\0\0\0\1\0\0\0\0\0\0"))

    assert not pair.database_says(message(messages.FUNCTION_CALL_RESPONSE, b"\xff\xff\xff\xff"))
    assert not pair.database_says(IS_IDLE)
    assert pair.link.at_rest
    assert set(pair.session.state.pins) == {PinReason.FUNCTION_CALL}


def test_copy_to_the_client_ends_with_its_ready_for_query(pair: Pair) -> None:
    pair.client_says(query("COPY t TO STDOUT"))

    assert not pair.database_says(COPY_OUT + (COPY_DATA + message(messages.COPY_DATA, IS_IDLE)) * 2)
    assert not pair.database_says(COPY_DONE + COMPLETE)
    assert pair.database_says(IS_IDLE)


@pytest.mark.parametrize(("end", "answer"), [(COPY_DONE, COMPLETE), (COPY_FAIL, ERROR)])
def test_copy_from_the_client_in_a_query_ends_with_its_ready_for_query(pair: Pair, end: bytes, answer: bytes) -> None:
    pair.client_says(query("COPY t FROM STDIN"))
    assert not pair.database_says(COPY_IN)

    assert pair.client_says(COPY_DATA * 2) == COPY_DATA * 2
    assert not pair.session.may_detach
    assert pair.client_says(end) == end
    assert pair.database_says(answer + IS_IDLE)


def test_a_sync_among_copy_data_is_not_waited_for(pair: Pair) -> None:
    pair.client_says(BATCH + SYNC)  # sent before the client knew that it was a COPY
    assert not pair.database_says(PARSED + BOUND + COPY_IN)

    pair.client_says(COPY_DATA + SYNC + COPY_DONE + SYNC)

    assert not pair.database_says(COMPLETE)
    assert pair.database_says(IS_IDLE)


def test_a_copy_with_all_its_data_in_flight_is_answered_once(pair: Pair) -> None:
    pair.client_says(BATCH + COPY_DATA + COPY_DONE + SYNC)

    assert not pair.database_says(PARSED + BOUND + COPY_IN + COMPLETE)
    assert pair.database_says(IS_IDLE)


def test_copy_data_that_comes_after_the_copy_failed_does_not_reach_anybody(pair: Pair) -> None:
    pair.client_says(query("COPY t FROM STDIN"))
    pair.database_says(COPY_IN)
    pair.client_says(COPY_DATA)

    assert pair.database_says(ERROR + IS_IDLE)
    assert pair.client_says(COPY_DATA + COPY_DONE) == b""
    assert pair.session.may_detach
    pair.session.detach()
    assert pair.session.receive(COPY_DATA + COPY_DONE, 0.0) is Want.NOTHING
    assert pair.session.receive(query("SELECT 1"), 0.0) is Want.CONNECTION


def test_a_copy_that_fails_in_a_batch_is_over_with_the_batchs_sync(pair: Pair) -> None:
    pair.client_says(BATCH)
    pair.database_says(PARSED + BOUND + COPY_IN)
    pair.client_says(COPY_DATA)

    assert not pair.database_says(ERROR)
    assert pair.client_says(COPY_DATA + COPY_DONE + SYNC) == SYNC
    assert pair.database_says(IS_IDLE)


def test_a_pinned_session_keeps_its_connection_outside_a_transaction(pair: Pair) -> None:
    pair.client_says(query("LISTEN news"))

    assert not pair.database_says(COMPLETE + IS_IDLE)
    assert pair.link.at_rest
    pair.client_says(query("UNLISTEN *"))
    assert pair.database_says(COMPLETE + IS_IDLE)


@pytest.mark.parametrize("answer", [ERROR + IS_IDLE, COMPLETE + IN_TRANSACTION])
def test_a_pin_is_kept_when_what_would_end_it_fails_or_may_be_rolled_back(pair: Pair, answer: bytes) -> None:
    pair.client_says(query("LISTEN news"))
    pair.database_says(COMPLETE + IS_IDLE)
    pair.client_says(query("UNLISTEN *"))
    pair.database_says(answer)

    assert set(pair.session.state.pins) == {PinReason.LISTEN}


def test_a_pin_made_after_the_statement_that_ends_such_pins_stays(pair: Pair) -> None:
    pair.client_says(query("LISTEN a") + query("UNLISTEN *") + query("LISTEN b"))
    pair.database_says((COMPLETE + IS_IDLE) * 3)

    assert set(pair.session.state.pins) == {PinReason.LISTEN}


def test_a_notice_or_a_notification_between_statements_changes_nothing(pair: Pair) -> None:
    assert pair.database_says(message(messages.NOTICE_RESPONSE, b"SNOTICE\0Mhm\0\0"))
    assert pair.database_says(message(messages.NOTIFICATION_RESPONSE, b"\0\0\0\1news\0\0"))


@pytest.mark.parametrize("cut", range(1, 50))
def test_a_notification_names_clients_by_the_ids_they_were_given_and_nobody_else(cut: int) -> None:
    backends: dict[bytes, Link] = {}
    link, others = (
        Link(number, {}, key, backends=backends) for number, key in ((1, b"\0\0\1\2ab"), (2, b"\0\0\1\3cd"))
    )
    Session(ClientState({}, session_key=b"\0\0\7\7"), Statements()).attach(link)
    left = Session(ClientState({}, session_key=b"\0\0\7\x08"), Statements())
    left.attach(others)
    left.detach()
    stream, expected = (
        b"".join(message(messages.NOTIFICATION_RESPONSE, notifier + b"news\0\0") for notifier in ids)
        for ids in (
            (b"\0\0\1\2", b"\0\0\1\3", b"\0\0\1\4"),
            (b"\0\0\7\7", b"\0\0\7\x08", b"\0\0\1\4"),
        )
    )

    heard = link.receive(stream[:cut]) + link.receive(stream[cut:])

    assert heard == expected


@pytest.mark.parametrize("answer", [PARSED, BOUND, IS_IDLE, COMPLETE, COPY_IN, message(messages.COPY_BOTH_RESPONSE)])
def test_an_answer_to_nothing_breaks_the_connection(pair: Pair, answer: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        pair.link.receive(answer)


def test_the_end_of_a_refused_statements_packet_does_not_make_the_next_one_wait_for_more() -> None:
    session = Session(ClientState({}), Statements())
    long = query("SELECT '" + "x" * 500 + "'")
    session.receive(long[:100], 0.0)
    wanted = session.receive(long[100:] + query("SELECT 2")[:3], 0.0)

    session.refuse(canceled())
    then = session.receive(query("SELECT 2")[3:], 0.0)

    assert wanted is Want.CONNECTION
    assert session.to_client.endswith(IS_IDLE)
    assert then is Want.CONNECTION
