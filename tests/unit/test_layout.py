"""The house stands as drawn: packages are ours and listed, modules are short and say what for, importing does nothing."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS: list[str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
MEASURED = (*ROOMS, "tests", "benchmarks")
"""Folders whose modules keep the house's lengths and names."""

NO_ROOMS = {".venv", ".git", ".kafka", "build", "dist", "node_modules"}

MODULE_LINES_MAX = 400
"""HOUSE 15: a module that is longer is two."""

FUNCTION_LINES_MAX = 60
"""HOUSE 15: a function fits a screen."""

LONG_MODULES = {
    "schemas/facts.py": "the whole of what the log can say stands on one page, one frozen type after another (DESIGN section 2)",
    "tests/unit/test_audit_verify.py": "one altered log for each check, each test stands alone",
}
LONG_FUNCTIONS: dict[str, str] = {}
"""Exceptions by name, each with its reason."""

WAYS_OUT = {
    "aiohappyeyeballs",
    "aiohttp",
    "ftplib",
    "http.client",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "telnetlib",
    "urllib.request",
    "urllib3",
}
"""What opens connections, and so belongs into `gateway/` (HOUSE 9); import-linter sees no part of a package that is not ours."""

WAYS_OUT_ALLOWED = {
    "eventlog/kafka_link.py": {"socket"},  # asks whether a broker listens, before the library waits for it
    "eventlog/kafka_wire.py": {"socket"},  # talks to the brokers, as the library does elsewhere in this room
    "console/health.py": {"aiohttp"},  # listens, and opens nothing out
    "console/watching.py": {"socket"},  # this machine's name
    "console/wiring.py": {"socket"},  # this machine's name
}

IMPORTER = """
import _thread, importlib, sys, threading

def refuse(*arguments, **named):
    raise RuntimeError("importing starts a thread")

def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int):
        path, mode, flags = arguments
        writes = flags & 3 != 0 or (isinstance(mode, str) and set(mode) & set("wax+"))
        if writes and "__pycache__" not in str(path):
            raise RuntimeError(f"importing opens {path} for writing")
    elif event in FORBIDDEN or event.startswith(FORBIDDEN_ROOMS):
        raise RuntimeError(f"importing does {event} {arguments!r}")

FORBIDDEN = {
    "socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.fork", "os.exec", "os.mkdir",
    "os.remove", "os.rename", "os.rmdir", "os.putenv", "os.unsetenv", "sqlite3.connect",
}
FORBIDDEN_ROOMS = ("shutil.", "tempfile.", "urllib.", "http.client.")

for name in LIBRARIES:
    importlib.import_module(name)
_thread.start_new_thread = refuse  # Python 3.11 has no audit event for it
for attribute in {"_start_new_thread", "_start_joinable_thread"} & set(vars(threading)):
    setattr(threading, attribute, refuse)
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""
LIBRARIES = (
    "aiohttp",
    "apsw",
    "fastavro",
    "kafka",
    "kafka.admin",
    "prometheus_client",
    "pydantic",
    "pydantic_settings",
    "rich.console",
    "structlog",
    "typer",
)
"""Imported before the watch begins: what they do while they load is not ours."""


def _modules(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        yield from sorted((ROOT / room).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("room", ROOMS)
def test_a_package_is_ours(room: str) -> None:
    """Decision 0011: the price of plain names is collision, and this is where it would show."""
    found = importlib.import_module(room).__file__
    assert found is not None
    assert ROOT / room / "__init__.py" == Path(found).resolve()


def test_every_package_is_listed_in_the_wheel() -> None:
    """Decision 0011: a folder with an `__init__.py` that is not listed would be missing after an install."""
    tops = {path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in NO_ROOMS}
    assert sorted(ROOMS) == sorted(tops)
    nested = [_name(path) for room in ROOMS for path in (ROOT / room).glob("*/*.py")]
    assert [] == [name for name in nested if not (ROOT / name).parent.joinpath("__init__.py").exists()]


def test_every_room_is_a_layer_with_a_floor() -> None:
    """HOUSE 9: the tool that checks imports knows every room."""
    settings = PYPROJECT["tool"]["importlinter"]
    floors = [room.strip() for floor in settings["contracts"][0]["layers"] for room in floor.split("|")]
    assert sorted(ROOMS) == sorted(floors) == sorted(settings["root_packages"])


def test_only_the_gateway_opens_a_connection_out() -> None:
    """HOUSE 9: what leaves for the authority leaves through one door, with named exceptions and their reasons."""
    rooms = [room for room in ROOMS if room != "gateway"]
    found = {_name(path): _imported(path.read_text(encoding="utf-8")) & WAYS_OUT for path in _modules(*rooms)}
    assert {name: ways for name, ways in found.items() if ways} == WAYS_OUT_ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "import urllib.request",
        "from urllib import request",
        "from urllib.request import urlopen",
        "import http.client as c",
    ],
)
def test_a_way_out_is_seen_however_it_is_imported(line: str) -> None:
    """The test above can fail."""
    assert _imported(f"def later() -> None:\n    {line}\n") & WAYS_OUT


def _imported(source: str) -> set[str]:
    """Every module, and every name of a module, that is imported anywhere in a source."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_ci_ends_by_itself() -> None:
    """HOUSE 17: the wait for the tests has a limit too, and it says so when it strikes."""
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^limit=\d+m # ", text, re.MULTILINE)
    assert re.search(r"^timeout .*\"\$limit\" make test", text, re.MULTILINE)


def test_no_package_takes_a_name_of_the_standard_library() -> None:
    """HOUSE: a room named like one of Python's own would hide it."""
    assert set() == set(ROOMS) & sys.stdlib_module_names


def test_no_module_is_a_bag() -> None:
    """HOUSE 2: a module is named for what it is about."""
    bags = {"utils", "util", "helpers", "helper", "manager", "common", "core", "misc"}
    assert [] == [_name(path) for path in _modules(*MEASURED) if path.stem in bags or path.parent.name in bags]


def test_no_module_is_over_its_length() -> None:
    """HOUSE 15, with named exceptions and their reasons."""
    long = {_name(path) for path in _modules(*MEASURED) if len(path.read_text(encoding="utf-8").splitlines()) > MODULE_LINES_MAX}
    assert set() == long - set(LONG_MODULES)


def test_no_function_is_over_a_screen() -> None:
    """HOUSE 15, with named exceptions and their reasons."""
    long = {
        f"{_name(path)}:{node.name}"
        for path in _modules(*MEASURED)
        for node in _functions(path)
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert set() == long - set(LONG_FUNCTIONS)


def test_every_module_says_what_it_is_for() -> None:
    """HOUSE 1: a module opens with a sentence."""
    silent = [_name(path) for path in _modules(*MEASURED) if not _docstring(path).split("\n\n")[0].strip().endswith((".", ":"))]
    assert [] == silent


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_must_not_know(room: str) -> None:
    """HOUSE 1, DESIGN section 8: a room's `__init__` says what it is for and what it keeps out of."""
    said = _docstring(ROOT / room / "__init__.py")
    assert re.search(r"\b(knows no|knows not|no meaning|must not|writes nothing|the only room that|no rule)\b", said), said


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def test_the_independent_check_knows_nothing_of_the_fold() -> None:
    """I6: what checks the log does not import what made the decisions, by no way round."""
    code = "import sys, audit.verify, audit.exported; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-B", "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert {"audit", "eventlog", "gateway", "schemas"} == set(done.stdout.split()) & set(ROOMS)


def test_importing_a_module_does_nothing() -> None:
    """HOUSE 11: no I/O, no environment, no clients, no threads; seen by Python's own audit events in a fresh process."""
    names = [_name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in _modules(*ROOMS)]
    done = _import_watched(names, libraries=LIBRARIES)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    "line",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import threading; threading.Thread(target=print).start()",
        "open('left-behind.txt', 'w')",
        "import subprocess; subprocess.Popen(['true'])",
    ],
)
def test_the_watch_sees_what_a_module_does(line: str, tmp_path: Path) -> None:
    """The test above can fail: a module that does something while it loads is told."""
    (tmp_path / "busy_module.py").write_text(line + "\n", encoding="utf-8")
    done = _import_watched(["busy_module"], libraries=(), folder=tmp_path)
    assert "RuntimeError: importing " in done.stderr
    assert [] == list(tmp_path.glob("*.txt"))


def _import_watched(names: list[str], *, libraries: tuple[str, ...], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    code = f"LIBRARIES = {libraries!r}\n{IMPORTER}"
    command = [sys.executable, "-B", "-W", "ignore", "-c", code, *names]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
