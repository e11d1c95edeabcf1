"""A real disk fills up under `tidegate up` and a provider, space returns, and everything is captured once."""

import hashlib
import json
import os
import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from schemas.streams import inbound
from tests.checker.check import check
from tests.checker.history import History, Publish, Told
from tests.e2e.town import Said, Town, town

DISK_BYTES = 24 * 1024 * 1024
"""A disk that a full write-ahead file (4 MB) and the database fit on."""

ROOM_BYTES = 400 * 1024
"""What is left when the provider begins: some ten batches, and the facts that `up` makes of them."""

BATCHES_MAX = 60
"""A disk that takes this many is not full."""

PER_BATCH = 8

ANSWER_MS = 1_000
"""CBSA answers later than the disk fills up: there is something to be written down then."""

LIMIT_OF_OLD = resource.getrlimit(resource.RLIMIT_FSIZE)


class Disk(Protocol):
    """A disk that can be filled."""

    def fill(self, built: Town, up: "subprocess.Popen[str]", *, leave_bytes: int) -> None:
        """Leave so much room."""

    def make_room(self) -> None:
        """Take the ballast away."""


class SmallDisk:
    """A file system of its own; it answers ENOSPC."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, built: Town, up: "subprocess.Popen[str]", *, leave_bytes: int) -> None:
        """Write until no more than that is free."""
        del built, up  # they are on this disk
        free = os.statvfs(self._ballast.parent)
        with self._ballast.open("ab") as ballast:
            ballast.write(bytes(max(0, free.f_bavail * free.f_frsize - leave_bytes)))

    def make_room(self) -> None:
        """Somebody deletes something."""
        self._ballast.unlink()


class FileLimit:
    """No file of `up` or of a provider may grow beyond a size; the system answers EFBIG, which SQLite calls an I/O error."""

    def __init__(self) -> None:
        self._up: int | None = None

    def fill(self, built: Town, up: "subprocess.Popen[str]", *, leave_bytes: int) -> None:
        """The write-ahead file grows first."""
        assert built.settings.data is not None
        grown = max(path.stat().st_size for path in built.settings.data.iterdir() if path.is_file())
        self._up = up.pid
        self._limit(grown + leave_bytes)

    def make_room(self) -> None:
        """As it was."""
        self._limit(LIMIT_OF_OLD[0])

    def _limit(self, size: int) -> None:
        for pid in (0, self._up):
            if pid is not None:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, LIMIT_OF_OLD[1]))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A tmpfs, where we may mount one."""
    folder.mkdir(mode=0o700)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mount.returncode != 0:
        pytest.skip(f"NO SMALL DISK: this user may not mount one ({mount.stderr.strip()}); a limit on files is tested instead")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(params=["small disk", "file limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Each way in which a disk can be full."""
    if request.param == "small disk":
        with small_disk(tmp_path / "data") as found:
            yield found
    else:
        limit = FileLimit()
        yield limit
        resource.setrlimit(resource.RLIMIT_FSIZE, LIMIT_OF_OLD)


class Provider:
    """Publishes batches from a file and remembers what it was told."""

    def __init__(self, built: Town, folder: Path) -> None:
        self._built = built
        self._folder = folder
        self._payloads: dict[str, str] = {}
        self.receipts: dict[str, Any] = {}
        self.told: dict[str, Told] = {}

    def batch(self, number: int) -> Path:
        """A file of messages with keys of its own."""
        path = self._folder / f"batch-{number}.jsonl"
        with path.open("w", encoding="utf-8") as out:
            for part in range(PER_BATCH):
                key = f"m-{number}-{part}"
                self._payloads[key] = f"ISA*00*{key}*" + "X" * 3_000
                fields = {
                    "key": key,
                    "tenant": "acme",
                    "mode": "highway",
                    "kind": "cargo",
                    "keys": {"ccn": [f"FULL{number:03}{part}"]},
                }
                out.write(json.dumps({**fields, "payload": self._payloads[key]}) + "\n")
        return path

    def publish(self, path: Path) -> Said:
        """Publish it, in this process."""
        said = self._built.type("publish", "--batch", str(path))
        self._heard(path, json.loads(said.out), unsure="not known" in said.err)
        return said

    def publish_as_program(self, path: Path) -> Said:
        """Publish it with a process of its own."""
        process = self._built.process("publish", "--batch", str(path))
        out, err = process.communicate(timeout=60)
        self._heard(path, json.loads(out), unsure="not known" in err)
        return Said(process.returncode, out, err)

    def _heard(self, path: Path, receipts: list[Any], *, unsure: bool) -> None:
        for line in path.read_text().splitlines():
            key = json.loads(line)["key"]
            if self.told.get(key) != "acknowledged":
                self.told[key] = "unsure" if unsure else "refused"
        for receipt in receipts:
            self.receipts.setdefault(receipt["key"], receipt)
            self.told[receipt["key"]] = "acknowledged"

    def history(self) -> History:
        """What it was told, and what CBSA has."""
        publishes = [
            Publish(
                mode="highway", tenant="acme", key=key, sha256=hashlib.sha256(self._payloads[key].encode()).hexdigest(), told=told
            )
            for key, told in self.told.items()
        ]
        return History(publishes=publishes, taken=list(self._built.authority.history()))


def test_a_disk_that_fills_up_and_gets_room_again_loses_and_doubles_nothing(disk: Disk, tmp_path: Path) -> None:
    """D1: no receipt without durability, a sentence that says what to do, and both go on by themselves (I1, I4, I12)."""
    with town(tmp_path, answer_latency_ms=ANSWER_MS) as built:
        up = built.up()
        provider = Provider(built, tmp_path)
        assert 0 == provider.publish(provider.batch(0)).code
        disk.fill(built, up, leave_bytes=ROOM_BYTES)
        files = [provider.batch(number) for number in range(1, BATCHES_MAX)]
        published = 0
        while (said := provider.publish(files[published])).code == 0:
            published += 1
            assert published < len(files) - 1, "the disk never filled up: it tested nothing"
        assert published > 0
        disk.fill(built, up, leave_bytes=0)
        refused = provider.publish_as_program(files[published + 1])
        assert (1, "[]") == (refused.code, refused.out.strip())
        for sentence in (said.err, refused.err):
            assert "make room" in sentence
            assert "Traceback" not in sentence
        built.until(lambda: "make room" in (tmp_path / "up-0.log").read_text(), "up to meet the full disk")
        built.stays(lambda: up.poll() is None, "tidegate up on a full disk")

        disk.make_room()
        for path in files[published : published + 2]:
            assert 0 == provider.publish(path).code
        wanted = {f"m-{number}-{part}" for number in range(published + 3) for part in range(PER_BATCH)}
        built.until(lambda: built.counts()["captured"] == len(wanted), "everything to be captured")
        assert dict.fromkeys(wanted, 1) == Counter(built.captured())
        for key, receipt in provider.receipts.items():
            (record,) = built.opened.log.fetch(inbound("highway"), [receipt["position"]])
            assert (receipt["sha256"], key.encode()) == (hashlib.sha256(record.value).hexdigest(), record.header("ce_id"))
        built.assert_sound()
        assert [] == check(built.opened.log, built.opened.codec, provider.history())
        assert "Traceback" not in (tmp_path / "up-0.log").read_text()
        assert 0 == built.end(up)
