"""Compiles the fold, the facts and the workers with mypyc into the environment's own folder; must not change what they mean.

    python -m schemas.native_build            # or: make native

It takes a C compiler and two minutes. What it makes is found by the hash of the sources (`schemas.native`): without it, or after
a change, the plain sources run: a fold takes three times as long, a drain a fifth more CPU, and all is otherwise the same.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Final

from schemas import native_readers as readers
from schemas.native import FOLDER, ROOMS, twin

ROOT: Final = Path(__file__).parent.parent
COMPILED: Final = (
    "schemas/codec.py", "schemas/facts.py", "schemas/cursor.py", "schemas/streams.py", readers.MODULE, "lane/*.py",
    "gateway/answers.py", "gateway/connections.py", "gateway/https.py", "eventlog/kafka_batch.py", "eventlog/sqlite_rows.py",
    "replay/*.py", "consumers/responses.py", "consumers/intake.py", "console/driver.py", "console/follower.py",
)  # fmt: skip
"""What is compiled; the rest of these rooms lies beside it so that its types are known. No `finally` in these awaits or yields:
mypyc 2.4 keeps the error that went through it and raises it again in a later call that has none."""

LEFT_PLAIN: Final = frozenset({
    "__init__.py", "canonical.py", "columns.py", "desk.py", "desk_snapshot.py", "policy.py", "shapes.py", "snapshot.py",
    "summary.py", "why.py",
})  # fmt: skip
"""Compiled, these gain nothing: a snapshot is taken and read column by column by what is C already (what it fills is compiled),
the others run once a question, and mypyc forgets the types of a policy's fields, by which a person's changes are judged."""

KEPT_COUNT: Final = 5
"""Twins that are kept, some 5 MB each."""

BUILD_WAIT_S: Final = 1_800
"""Longest wait for mypyc and the C compiler: two minutes at rest, more where the machine is busy."""

OPTIMISED: Final = "2"
"""The C compiler's level. On a busy machine the first built in 82 s and folded a fact in 13 us, this one in 102 s and 11 us."""

FLAGS: Final = "-fvisibility=hidden -fno-plt"
"""What else the compiler is told. Nobody but this code calls its functions, so they may become parts of each other: a fact took
5.3 us to fold instead of 5.8, the middle of 60 pages of 30,000 in turns."""

_SETUP: Final = """
import sys
from mypyc.build import mypycify
from setuptools import setup
level, *modules = sys.argv[1:]
sys.argv[1:] = ["--quiet", "build_ext", "--inplace"]
setup(name="tidegate-native", packages=[], ext_modules=mypycify(modules, opt_level=level, debug_level="0"))
"""


def build(target: Path) -> None:
    """Make the twin there, whole or not at all. Raises CalledProcessError, TimeoutExpired and OSError."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as made:
        folder = Path(made)
        for room in ROOMS:
            shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        if twin(folder) != target:
            raise OSError("the sources changed while they were read: build again")
        for room in ROOMS:
            (folder / room / "__init__.py").write_text("")
        (folder / readers.MODULE).write_text(readers.text(), encoding="utf-8")
        with (folder / "schemas" / "facts.py").open("a", encoding="utf-8") as facts:
            facts.write(readers.hints())
        (folder / "mypy.ini").write_text("[mypy]\nfollow_imports = silent\nignore_missing_imports = true\n")
        found = (path for pattern in COMPILED for path in folder.glob(pattern) if path.name not in LEFT_PLAIN)
        modules = sorted(str(path.relative_to(folder)) for path in found)
        told = os.environ | {"CFLAGS": f"{os.environ.get('CFLAGS', '')} {FLAGS}"}
        subprocess.run(
            [sys.executable, "-c", _SETUP, OPTIMISED, *modules], cwd=folder, env=told, check=True, timeout=BUILD_WAIT_S
        )
        twin_folder = folder / "twin"
        for path in [*folder.glob("*.so"), *(path for room in ROOMS for path in folder.glob(f"{room}/*.so"))]:
            kept = twin_folder / path.relative_to(folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            path.rename(kept)
        twin_folder.rename(target)


def lacking() -> str:
    """What a build needs and this machine has not; empty where it has all."""
    if not any(map(shutil.which, ("cc", "gcc"))):
        return "C compiler (gcc)"
    return "" if Path(sysconfig.get_path("include"), "Python.h").is_file() else "header of Python (Python.h)"


def _say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def _remove_old(folder: Path) -> None:
    """Keep the newest twins: an older process, or another checkout in the same environment, may run one of them."""
    twins = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for older in twins[:-KEPT_COUNT]:
        shutil.rmtree(older)


def main() -> None:
    """Build what is missing, and say how long it took."""
    target = twin()
    missing = lacking()
    if missing:
        _say(f"There is no {missing} here, so the plain sources run: slower, and otherwise the same. Install it, then build.")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "building.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one build at a time; the next one finds what it wants
        _build_once(target)


def _build_once(target: Path) -> None:
    if target.is_dir():
        _say("The compiled twin is there already: nothing has changed since it was built.")
        return
    _say("Compiling the fold, the facts and the workers; it takes two minutes.")
    started = time.monotonic()
    build(target)
    _remove_old(target.parent)
    _say(f"The compiled twin is ready after {time.monotonic() - started:,.0f} s.")


if __name__ == "__main__":
    main()
