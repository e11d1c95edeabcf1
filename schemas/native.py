"""Finds the compiled twin of these sources, where one was built from just them; must not know what it holds or how it is built.

`make native` compiles the fold, the facts and the workers with mypyc into the environment's own folder, under a name that follows
from the sources. A changed line names another folder, so that nothing stale is ever run: until it is built anew, the plain
sources run. This is the one thing that importing reads from outside: which modules there are must be known before the first.
"""

import os
import sys
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

ROOMS: Final = ("schemas", "lane", "eventlog", "gateway", "replay", "consumers", "console")
"""The packages of which modules are compiled. All of each counts: mypyc copies constants from where they stand."""

PLAIN_SETTING: Final = "TIDEGATE_PLAIN"
"""Set to anything, it runs the plain sources although a compiled twin is there."""

FOLDER: Final = Path(sys.prefix, "lib", "tidegate")
"""Where twins lie: in the environment whose Python they were built for."""

_ROOT: Final = Path(__file__).parent.parent
_NAME_BYTES: Final = 10


def runs() -> bool:
    """Whether the compiled twin is what this process runs."""
    return _TWIN is not None


def twin(root: Path = _ROOT) -> Path:
    """The folder where the compiled twin of the sources there lies, or would lie."""
    said = blake2b(EXTENSION_SUFFIXES[0].encode(), digest_size=_NAME_BYTES)  # which Python, and which machine
    for room in ROOMS:
        for path in sorted((root / room).glob("*.py")):
            said.update(f"{room}/{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return FOLDER / said.hexdigest()


def path_of(room: str) -> list[str]:
    """Where a package's compiled modules lie; nothing where they were not built, or are not wanted."""
    return [str(_TWIN / room)] if _TWIN is not None else []


def _found() -> Path | None:
    if os.environ.get(PLAIN_SETTING) or not FOLDER.is_dir():
        return None
    folder = twin()
    if not folder.is_dir():
        return None
    sys.path.append(str(folder))  # all compiled modules share one library, which stands beside the packages
    return folder


_TWIN: Final = _found()
