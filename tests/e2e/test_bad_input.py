"""Stories of what people get wrong: one sentence that says what to do, the right exit code, and the rest of the work goes on."""

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.town import Said, Town, cargo, command, typed

NOWHERE = "127.0.0.1:1"
"""Where no Kafka listens, on any machine."""


def line(key: str, **fields: Any) -> str:
    """A line of a batch."""
    return json.dumps({"key": key, "tenant": "sloppy", "mode": "highway", "kind": "cargo", "payload": "ISA*00*", **fields})


def assert_told(said: Said, code: int, *words: str) -> None:
    """The exit code, one sentence on standard error that says what to do, and nothing that a programmer would have to read."""
    assert code == said.code, said
    assert 1 == len(said.err.splitlines()), said.err
    for word in words:
        assert word in said.err, said.err


def assert_work_goes_on(border: Town, key: str) -> None:
    """A message that is right is captured by the same `up`."""
    border.publish(cargo(key, f"CCN-{key}", tenant="sloppy"))
    border.until_state(key, "captured")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["publsih", "x"], 2, "publsih"),
        (["status", "--jsno"], 2, "--jsno"),
        (["why"], 2, "'key'"),
        (["publish", "FILE", "--mode", "road", "--kind", "cargo", "--tenant", "sloppy", "--key", "k"], 2, "highway, rail"),
        (["publish", "FILE", "--mode", "highway", "--kind", "cargo", "--tenant", "sloppy"], 2, "--key"),
        (["publish", "no-such-file", "--mode", "highway", "--kind", "cargo", "--tenant", "t", "--key", "k"], 2, "name a file"),
        (["why", "nobody-published-this"], 3, "does tidegate up run"),
        (["message", "show", "nobody-published-this"], 3, "no message"),
        (["bulletin", "add", "no-such-notice"], 2, "name a file"),
        (["replay", "start", "--reason", "x"], 3, "no replay"),
    ],
)
def test_what_is_typed_wrong_is_told_in_a_sentence(border: Town, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    """INTERFACES 1: usage is 2, nothing matched is 3; nothing is written that a worker would stumble over."""
    (tmp_path / "FILE").write_text("ISA*00*")
    assert_told(border.type(*(str(tmp_path / word) if word == "FILE" else word for word in words)), code, said)


def test_a_bad_line_in_a_batch_keeps_nobody_else_back(border: Town, tmp_path: Path) -> None:
    """INTERFACES 1: exit 6; each bad line with its number and what to mend; the others get receipts and are captured."""
    batch = tmp_path / "batch.jsonl"
    good = [line(f"batch-{number}", keys={"ccn": [f"CCN-BATCH{number}"]}) for number in range(4)]
    bad = ['{"key": "batch-torn", "tena', line("batch-road", mode="road", keys={"ccn": ["X"]}), line("batch-keyless")]
    batch.write_text("\n".join([good[0], bad[0], good[1], bad[1], good[2], bad[2], good[3]]) + "\n")
    said = border.type("publish", "--batch", str(batch))
    assert (6, [f"batch-{number}" for number in range(4)]) == (said.code, [each["key"] for each in said.value])
    turned_away = [json.loads(each) for each in said.err.splitlines() if each.startswith("{")]
    assert [2, 4, 6] == [each["line"] for each in turned_away]
    assert all(each["code"] and each["reason"] for each in turned_away)
    assert "Traceback" not in said.err
    for number in range(4):
        border.until_state(f"batch-{number}", "captured")
    assert_work_goes_on(border, "after-batch")


def test_a_payload_over_the_limit_is_refused_with_the_limit(border: Town, tmp_path: Path) -> None:
    """Every limit says itself: exit 4, and what to do."""
    big = tmp_path / "big.edi"
    big.write_bytes(b"x" * (5 * 1024 * 1024 + 1))
    words = ["--mode", "highway", "--kind", "cargo", "--tenant", "sloppy", "--key", "big", "--keys", '{"ccn": ["CCN-BIG"]}']
    assert_told(border.type("publish", str(big), *words), 4, "5,242,880", "split it")
    assert_work_goes_on(border, "after-big")


def test_an_unreadable_notice_changes_nothing_and_asks_for_a_person(border: Town, tmp_path: Path) -> None:
    """I9c: it is kept raw, a person is asked for, nothing opens or closes, and messages flow."""
    notice = tmp_path / "notice.txt"
    notice.write_text("TCC25-9998 - Something is partly resolved\n\nSystems may or may not be up.\n")
    said = border.type("bulletin", "add", str(notice))
    assert_told(said, 6, "can't be read", "tidegate channel hold")
    border.until(lambda: bool(unread(border)), "a person to be asked for")
    (asked,) = unread(border)
    assert {"up"} == {each["state"] for each in border.tidegate("status")["channels"]}
    border.tidegate("bulletin", "handled", str(asked["position"]), "--reason", "rang CBSA: nothing is down")
    assert [] == unread(border)
    assert_work_goes_on(border, "after-notice")


def unread(border: Town) -> list[dict[str, Any]]:
    """The notices that can't be read and need a person; the town is shared, other stories leave other work behind."""
    found: list[dict[str, Any]] = border.tidegate("status")["needs_a_person"]
    return [each for each in found if "a notice could not be read" in each["reason"]]


def test_an_act_that_came_too_late_is_refused_by_its_rule(border: Town) -> None:
    """R15, R34, R57: what CBSA has can't be withdrawn, filed by hand or settled; exit 4, the rule, and the story goes on."""
    border.publish(cargo("late-act", "CCN-LATE", tenant="sloppy"))
    border.until_state("late-act", "captured")
    why = ["--reason", "changed our mind"]
    for words, rule in [
        (["withdraw", "late-act", *why], "R15"),
        (["filed", "late-act", "--reference", "none"], "R34"),
        (["settle", "late-act", "--to", "held", "--evidence", "none", *why], "R57"),
    ]:
        said = border.type("message", *words)
        assert_told(said, 4, rule)
        assert rule == said.value["rule"]
    assert "captured" == border.message("late-act").state
    assert_work_goes_on(border, "after-late-act")


def test_a_log_that_is_not_there_or_not_ours_is_told_in_a_sentence(tmp_path: Path) -> None:
    """INTERFACES 1: exit 1; what is at fault is named, what to do is said, and the other program's file is left alone."""
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert_told(typed("status", "--json", "--data", str(file)), 1, str(file), "name a folder")
    theirs = tmp_path / "theirs" / "tidegate.db"
    theirs.parent.mkdir()
    with sqlite3.connect(theirs) as other:
        other.execute("CREATE TABLE invoices (id)")
    other.close()
    before = theirs.read_bytes()
    assert_told(typed("status", "--json", "--data", str(theirs.parent)), 1, "tidegate.db")
    assert before == theirs.read_bytes()
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "tidegate.db").write_bytes(b"junk " * 1000)
    assert_told(typed("status", "--json", "--data", str(tmp_path / "junk")), 1, "tidegate.db")
    assert_told(typed("status", "--json", "--kafka", NOWHERE), 1, NOWHERE)
    assert_told(typed("status", "--json", "--kafka", NOWHERE, "--data", str(tmp_path)), 2, "not both")


def test_an_up_that_can_not_begin_says_why_and_ends(border: Town, tmp_path: Path) -> None:
    """The service says in one sentence what its start lacks; nothing is left running."""
    file = tmp_path / "file"
    file.write_text("not a folder")
    new, cbsa = ["--data", str(tmp_path / "new")], ["--authority", border.authority.base_url]
    starts = [
        (["--data", str(file), *cbsa], 1, "name a folder"),
        ([*new], 2, "--authority"),
        ([*new, "--authority", "carrier-pigeon"], 2, "http"),
        ([*new, *cbsa, "--drain", "maybe"], 2, "automatic or operator"),
        ([*new, *cbsa, "--rate-max", "0"], 2, "or none"),
    ]
    running = [subprocess.Popen(command(["up", *words]), stderr=subprocess.PIPE, text=True) for words, _, _ in starts]
    for process, (_, code, said) in zip(running, starts, strict=True):
        _, err = process.communicate(timeout=60)
        assert_told(Said(process.returncode, "", err), code, said)
