"""Lifts one limit of a copy of the sources, so that whoever drives it over its edge must fail; must not know what it is for.

As a plugin of pytest it keeps the tests honest: they know the limit as it is on its page, the code has three times as much, and
setting a smaller one does nothing. What a test then finds is no limit at all, for all that it can see.
"""

import os
import re
import shutil
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pytest

from schemas.native import PLAIN_SETTING
from tests.unit.limits_driven import LIMITS_DRIVEN

ROOT: Final = Path(__file__).resolve().parents[2]

ROOMS: Final = ("schemas", "lane", "eventlog", "gateway", "producers", "consumers", "replay", "audit", "console")

COPIED: Final = (*ROOMS, "tests", "docs", "benchmarks", "pyproject.toml", "README.md", "CHANGELOG.md")

TIMES: Final = 3
"""So many times the limit: a test goes one over it, or sets a small one."""

LIFTED: Final = "TIDEGATE_TEST_LIFTED"
"""The limit that is lifted, and its own value: MODULE NAME VALUE."""

TEST_WAIT_S: Final = 20
"""Longest time of one test: who waits for a limit that is lifted fails by that."""

RUN_WAIT_S: Final = 300.0
"""Longest time of one run."""

CONTRACT: Final = {"tests/contract/log_contract.py": "tests/contract/test_memory_log.py"}
"""Where the tests of a contract are run, by one engine."""

Found: TypeAlias = Literal["red", "green", "not run"]


class Copy:
    """A copy of the sources, in which one limit at a time is lifted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "out"))
            else:
                shutil.copy(source, folder / name)

    def control(self) -> tuple[Found, str]:
        """Run every registered test with nothing lifted."""
        files = sorted({_run_by(test)[0] for test in LIMITS_DRIVEN.values()})
        names = sorted({_run_by(test)[1] for test in LIMITS_DRIVEN.values()})
        return self._run(files, " or ".join(names), lifted="")

    def lifted(self, limit: str) -> tuple[Found, str]:
        """Lift this limit and run its test; what came of it, and pytest's last words."""
        module, name = limit.split()
        file, test = _run_by(LIMITS_DRIVEN[limit])
        value = getattr(import_module(module.removesuffix(".py").replace("/", ".")), name)
        path = self._folder / module
        source = path.read_text(encoding="utf-8")
        changed, count = re.subn(rf"^({name}: Final(?:\[.*?\])? = )(.+)$", rf"\g<1>{TIMES} * (\g<2>)", source, flags=re.MULTILINE)
        assert 1 == count, f"{limit} is not defined on one line"
        path.write_text(changed, encoding="utf-8")
        try:
            return self._run([file], test, lifted=f"{module} {name} {value!r}")
        finally:
            path.write_text(source, encoding="utf-8")

    def _run(self, files: list[str], names: str, *, lifted: str) -> tuple[Found, str]:
        asked = [
            sys.executable, "-m", "pytest", "-q", "-p", "tests.fault.limits_lift", "-p", "no:randomly", "-p", "no:cacheprovider",
            "--timeout", str(TEST_WAIT_S), "-k", names, *files,
        ]  # fmt: skip
        environment = {**os.environ, PLAIN_SETTING: "1", LIFTED: lifted, "PYTHONPATH": str(self._folder)}
        done = subprocess.run(
            asked, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=RUN_WAIT_S, check=False
        )
        lines = done.stdout.splitlines()
        words = [*(line for line in lines if line.startswith("FAILED"))][:5] + (lines or done.stderr.splitlines())[-1:]
        found: dict[int, Found] = {0: "green", 1: "red"}
        if "passed" not in done.stdout and done.returncode == 0:
            return "not run", "no test was run"
        return found.get(done.returncode, "not run"), "; ".join(words)


def _run_by(test: str) -> tuple[str, str]:
    """The file to run and the test's name in it."""
    file, _, name = test.partition("::")
    return CONTRACT.get(file, file), name


# -- what pytest calls, in the process in which a limit is lifted


def pytest_configure(config: pytest.Config) -> None:
    """Import the code, which then has the lifted limit wherever it needs it."""
    told = os.environ.get(LIFTED, "")
    if not told:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library's own, which the tests see only where they import it
        for room in ROOMS:
            for path in sorted((Path.cwd() / room).glob("*.py")):
                if path.stem not in ("__init__", "native_readers"):
                    import_module(f"{room}.{path.stem}")
    config.pluginmanager.register(_Lifted(*told.split(" ", 2)))


class _Lifted:
    """One lifted limit: tests are imported as if it were as it was, and are run with it lifted."""

    def __init__(self, module: str, name: str, value: str) -> None:
        self._name = name
        self._lifted = getattr(import_module(module.removesuffix(".py").replace("/", ".")), name)
        kind = type(self._lifted)
        self._own = kind(value) if kind is not int else int(value)
        assert self._own < self._lifted, f"{name} is not lifted"
        self._holders = [
            each
            for room_module, each in sys.modules.items()
            if room_module.split(".")[0] in ROOMS and getattr(each, name, None) == self._lifted
        ]
        self._set(self._own)

    def pytest_collection_finish(self) -> None:
        """From here on the code has the lifted limit, and nobody sets it lower."""
        self._set(self._lifted)
        set_attribute, set_item = pytest.MonkeyPatch.setattr, pytest.MonkeyPatch.setitem
        holders, name, lifted = self._holders, self._name, self._lifted

        def setattr_but_this(patch: pytest.MonkeyPatch, target: Any, *rest: Any, **more: Any) -> None:
            if not (target in holders and rest and rest[0] == name):
                set_attribute(patch, target, *rest, **more)

        def setitem_but_this(patch: pytest.MonkeyPatch, mapping: Any, key: Any, value: Any) -> None:
            if mapping.get(key) != lifted:
                set_item(patch, mapping, key, value)

        pytest.MonkeyPatch.setattr = setattr_but_this  # type: ignore[method-assign, assignment]
        pytest.MonkeyPatch.setitem = setitem_but_this  # type: ignore[method-assign, assignment]

    def _set(self, value: Any) -> None:
        for each in self._holders:
            setattr(each, self._name, value)
