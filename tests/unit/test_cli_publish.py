"""What `publish` and `bulletin` promise a person and a program."""

import hashlib
import io
import json
import sys
from pathlib import Path

import pytest

from producers import verdicts
from schemas.messages import PAYLOAD_BYTES_MAX
from schemas.streams import DESK
from tests.cli_rig import EDI_DOWN, EDI_RESOLVED, RECEIVED, RECEIVED_LATER, Rig, cargo


@pytest.fixture
def rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    return Rig(tmp_path, capsys)


def _single(rig: Rig, *more: str) -> list[str]:
    file = rig.file("one.edi", "ISA*00*")
    return ["publish", file, "--mode", "highway", "--kind", "cargo", "--tenant", "acme", "--key", "k1", *more]


def _let_intake_run_while_it_waits(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = verdicts.wait_for_verdicts

    def after_intake(*args: object, **words: object) -> object:
        rig.work()
        return waiting(*args, **words)  # type: ignore[arg-type]  # handed through as they came

    monkeypatch.setattr(verdicts, "wait_for_verdicts", after_intake)


def test_a_published_file_gives_a_list_with_one_receipt(rig: Rig) -> None:
    """INTERFACES 1: the receipts are a list, each with exactly these fields; the verdict is null unless waited for."""
    said = rig.type(*_single(rig, "--keys", '{"ccn": ["ABCD111"]}'))
    (receipt,) = said.value
    assert 0 == said.code
    assert ["tenant", "key", "position", "sha256", "received_at", "verdict"] == list(receipt)
    assert ("acme", "k1", 0, None) == (receipt["tenant"], receipt["key"], receipt["position"], receipt["verdict"])


def test_a_bad_line_in_the_middle_of_a_batch_stops_nothing_else(rig: Rig) -> None:
    """INTERFACES 1, R2: exit 6, the rest is published, the bad line is named by its number and written down on the desk."""
    good = [json.dumps({"tenant": "acme", "mode": "rail", "payload": "x", **cargo(key, key)}) for key in ("k1", "k2")]
    said = rig.type("publish", "--batch", rig.file("b.jsonl", f'{good[0]}\n\n{{"key": nope\n{good[1]}\n'))
    assert 6 == said.code
    assert ["k1", "k2"] == [receipt["key"] for receipt in said.value]
    (refusal,) = [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]
    assert {"line": 3, "code": "line_not_json"} == {name: refusal[name] for name in ("line", "code")}
    assert [refusal["reason"]] == [fact.reason for fact in rig.turned_away()]
    assert ["line_not_json"] == [fact.code for fact in rig.turned_away()]


def test_a_message_without_its_own_key_is_refused_and_written_down(rig: Rig) -> None:
    """INTERFACES 2, R2: nothing enters the lane; the door's refusal is a fact of the desk."""
    said = rig.type(*_single(rig, "--keys", "{}"))
    assert (4, []) == (said.code, said.value)
    assert "keys.ccn" in said.err
    assert ["k1"] == [fact.key for fact in rig.turned_away()]
    assert [] == rig.facts("lane.highway")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--mode", "hihway"], "highway, rail, air"),
        (["--kind", "lorry"], "conveyance"),
        (["--channel", "fax"], "emanifest_portal"),
        (["--keys", "{"], "--keys is not JSON"),
        (["--batch", "x.jsonl"], "one of FILE"),
    ],
)
def test_a_wrong_option_is_usage_and_changes_nothing(rig: Rig, words: list[str], hint: str) -> None:
    """INTERFACES 1: exit 2, a sentence that says what may stand there, one JSON value, and no log is touched."""
    said = rig.type(*_single(rig, *words))
    assert 2 == said.code
    assert hint in said.err
    assert {"error", "exit"} <= said.value.keys()
    assert not (rig.data / "log").exists()


def test_verdicts_come_when_they_are_waited_for(rig: Rig) -> None:
    """INTERFACES 1: conflict and refused among accepted ones make exit 6; each has its sentence."""
    rig.publish(cargo("k1", "ABCD111"))
    first = rig.type(*_single(rig, "--keys", '{"ccn": ["OTHER1"]}'))
    assert (0, None) == (first.code, first.value[0]["verdict"])
    rig.work()
    said = rig.type(*_single(rig, "--keys", '{"ccn": ["OTHER1"]}', "--wait", "0.2"))
    assert [None] == [receipt["verdict"] for receipt in said.value]
    assert "does tidegate up run?" in said.err


def test_a_conflict_that_was_waited_for_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """R10: the same key with other content is never effective, and who waits is told by the exit code."""
    rig.publish(cargo("k1", "ABCD111"))
    _let_intake_run_while_it_waits(rig, monkeypatch)
    said = rig.type(*_single(rig, "--keys", '{"ccn": ["OTHER1"]}', "--wait", "5"))
    assert (4, "conflict") == (said.code, said.value[0]["verdict"])
    assert "use a new key" in said.err


def test_each_way_of_not_being_accepted_has_its_own_sentence(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """R2, R10: who reads it knows whether to mend, to take a new key, or to leave it, and nothing lost is called durable."""
    rig.publish(cargo("k1", "ABCD111"))
    _let_intake_run_while_it_waits(rig, monkeypatch)
    conflict = rig.type(*_single(rig, "--keys", '{"ccn": ["OTHER1"]}', "--wait", "5"), as_json=False)
    assert "durable" not in conflict.out
    assert "1 message in conflict with another of the same key: publish under a new key" in conflict.err
    words = _single(rig, "--keys", '{"ccn": ["ABCD111"]}', "--wait", "5")
    words[words.index("k1")] = "key two"
    parked = rig.type(*words, as_json=False)
    assert "1 receipt: durable, do not resend." in parked.out
    assert "do not resend; next: tidegate why 'key two' --mode highway --tenant acme" in parked.err
    assert "publish again" not in conflict.err + parked.err


def test_a_single_file_that_is_turned_away_is_told_by_its_name(rig: Rig) -> None:
    """R2: who gave one file has no lines to count, and no receipt to keep."""
    said = rig.type(*_single(rig, "--keys", "{}"), as_json=False)
    _, first, second = said.err.splitlines()
    assert first.startswith(f"{rig.data / 'one.edi'}: ")
    assert "1 message turned away at the door, not taken in: mend and publish again" == second
    assert "" == said.out


def test_who_publishes_what_is_stale_already_is_told(rig: Rig) -> None:
    """: it is parked and never sent; the sender hears it at once and not from a clerk."""
    said = rig.type(*_single(rig, "--keys", '{"ccn": ["ABCD111"]}', "--not-after", "2020-01-01T00:00:00Z"))
    assert 0 == said.code
    assert "not_after 2020-01-01T00:00:00+00:00 is past already" in said.err
    later = rig.type(*_single(rig, "--keys", '{"ccn": ["ABCD111"]}', "--not-after", "2150-01-01T00:00:00Z"))
    assert "" == later.err


def test_a_batch_comes_from_standard_input_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """UX 2: `-` is standard input."""
    line = json.dumps({"tenant": "acme", "mode": "air", "payload": "x", **cargo("k1", "ABCD111")})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    said = rig.type("publish", "--batch", "-")
    assert (0, 1) == (said.code, len(said.value))


def test_an_empty_batch_matched_nothing(rig: Rig) -> None:
    """INTERFACES 1: exit 3, and the list of receipts is empty."""
    said = rig.type("publish", "--batch", rig.file("b.jsonl", "\n"))
    assert (3, []) == (said.code, said.value)


def test_a_notice_is_kept_and_told_as_it_is_read(rig: Rig) -> None:
    """R4: the raw bytes are kept, and the person sees at once what they are taken for."""
    said = rig.type("bulletin", "add", rig.file("n.txt", EDI_DOWN), "--received", RECEIVED)
    assert (0, "TCC25-9901", "open", None) == (said.code, said.value["number"], said.value["state"], said.value["unreadable"])
    assert "2025-11-24T14:50:00.000Z" == said.value["received_at"]
    listed = rig.type("bulletin", "list")
    assert [] == listed.value
    assert "1 notice not read yet" in listed.err


def test_a_notice_that_cannot_be_read_is_kept_all_the_same(rig: Rig) -> None:
    """R4: exit 6; stored raw, shown to a person until one has dealt with it, and it changes nothing."""
    said = rig.notice("hello")
    assert 6 == said.code
    assert said.value["unreadable"] in said.err
    (listed,) = rig.type("bulletin", "list").value
    assert ("unreadable", False, True) == (listed["state"], listed["effective"], listed["needs_a_person"])
    place = str(listed["desk_position"])
    assert 0 == rig.type("bulletin", "handled", place, "--reason", "read it by hand", "--as", "olga").code
    assert 3 == rig.type("bulletin", "handled", place, "--reason", "again").code
    assert [False] == [each["needs_a_person"] for each in rig.type("bulletin", "list").value]


def test_a_person_is_told_the_very_command_that_settles_a_notice(rig: Rig) -> None:
    """UX 2: `bulletin handled` takes a place on the desk; no other number is shown to be mistaken for it."""
    rig.with_a_log().operator_drains()  # so that a notice's place on the desk is not its place among the notices
    rig.notice(EDI_DOWN)
    rig.notice("hello")
    added = rig.type("bulletin", "add", rig.file("n.txt", "hello again"), as_json=False)
    assert "Notice kept.\nnext: tidegate bulletin list\n" == added.out
    listed = rig.type("bulletin", "list").value
    places = [each["desk_position"] for each in listed if each["needs_a_person"]]
    said = rig.type("bulletin", "list", as_json=False).out
    assert places
    assert [f"when done: tidegate bulletin handled {place} --reason TEXT" for place in places] == [
        line.partition("; ")[2] for line in said.splitlines() if "bulletin handled" in line
    ]


def test_a_resolved_notice_is_told_with_its_end(rig: Rig) -> None:
    """R4: nothing is said to be unavailable still by the notice that says that it is over."""
    said = rig.type("bulletin", "add", rig.file("n.txt", EDI_RESOLVED), "--received", RECEIVED_LATER, as_json=False)
    assert "2025-11-24T20:05:00.000Z" in said.out
    assert "unavailable" not in said.out


def test_an_empty_notice_and_an_impossible_time_are_usage(rig: Rig) -> None:
    """INTERFACES 1: exit 2, nothing is written."""
    assert 2 == rig.type("bulletin", "add", rig.file("n.txt", " \n")).code
    assert 2 == rig.type("bulletin", "add", rig.file("n.txt", EDI_DOWN), "--received", "yesterday").code
    assert 2 == rig.type("bulletin", "add", str(rig.data / "missing.txt")).code
    assert ([], []) == (rig.facts(DESK), rig.type("bulletin", "list").value)
    assert "not read yet" not in rig.type("bulletin", "list").err


def test_people_get_a_table_without_colour_that_fits_100_columns(rig: Rig) -> None:
    """UX 2: no escape sequence where there is no terminal, and two terminals fit beside each other."""
    said = rig.type(*_single(rig, "--keys", '{"ccn": ["ABCD111"]}'), as_json=False)
    assert "durable, do not resend" in said.out
    assert "\x1b" not in said.out
    assert 100 >= max(map(len, said.out.splitlines()))


def test_what_is_too_large_is_named_by_the_hash_of_all_its_bytes(rig: Rig) -> None:
    """R2: the refusal carries the hash of the bytes as they came, so that their sender can find them again."""
    payload = "x" * (PAYLOAD_BYTES_MAX + 1_000)
    file = rig.file("large.edi", payload)
    said = rig.type("publish", file, "--mode", "air", "--kind", "other", "--tenant", "acme", "--key", "k1")
    assert 4 == said.code
    assert [("payload_too_large", hashlib.sha256(payload.encode()).hexdigest())] == [
        (fact.code, fact.sha256) for fact in rig.turned_away()
    ]


def test_who_begins_a_new_log_is_told(rig: Rig) -> None:
    """UX 2: typed in the wrong folder, what is published would lie where nothing reads it; said once, and only then."""
    told = f"a new log was begun in {rig.data / 'log'}\n"
    assert told == rig.type(*_single(rig, "--keys", '{"ccn": ["ABCD111"]}')).err
    assert "" == rig.type(*_single(rig, "--keys", '{"ccn": ["ABCD111"]}')).err


def test_a_mistyped_folder_is_told_and_not_made(rig: Rig) -> None:
    """A verb that reads finds the log or says so: an empty new one would say that nothing is held."""
    said = rig.type("status")
    assert 1 == said.code
    assert "there is no log in" in said.err
    assert not (rig.data / "log").exists()
