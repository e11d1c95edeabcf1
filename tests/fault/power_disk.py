"""A disk under SQLite that writes down whatever is done to it, and fails when told to; must not know the log or its records.

It is a file system of SQLite (a VFS) whose files are the real ones, with open, read, write, truncate, sync and delete led through
Python. Made with ctypes on the structures of `sqlite3.h`, since an exception in a file of apsw's reaches the caller also where
SQLite swallows the error (a checkpoint after a durable commit, the close of a connection): this one answers with codes, as a
real disk does, and the engine is told what it would be told.
"""

import ctypes
import gc
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

import apsw

Kind: TypeAlias = Literal["create", "delete", "write", "truncate", "sync", "sync_failed", "sync_folder"]
Call: TypeAlias = Literal["open", "read", "write", "truncate", "sync", "delete", "sync_folder"]

FOLDER: Final = "."
"""The name of the data folder itself among its files: it too is lost when its parent was never synced."""


class Op(NamedTuple):
    """One change of the disk. `file` is a number that no other file gets, also not a later one of the same name.

    `sync_folder` makes the names in the data folder durable, or, with the name FOLDER, that folder itself.
    """

    kind: Kind
    file: int = -1
    offset: int = 0
    data: bytes = b""
    name: str = ""


class Meeting(NamedTuple):
    """A call that is about to be made: the `number`-th of its kind, counted from 0."""

    call: Call
    name: str
    number: int
    offset: int
    size: int


Refuse: TypeAlias = Callable[[Meeting], int]
"""Says what a call answers: SQLITE_OK lets it through, any other code of SQLite's is its error."""


def let_through(_: Meeting) -> int:
    """A disk that works."""
    return apsw.SQLITE_OK


class PowerDisk(AbstractContextManager["PowerDisk"]):
    """The file system `name` while it is entered; `trace` holds what was done to the files of `folder`, in order.

    One at a time in a process: the sync of a folder is seen at a hook of the whole process.
    """

    def __init__(self, folder: Path, *, name: str, known: dict[str, int] | None = None) -> None:
        """`known`: files that the folder holds already, by name, with their numbers; None if the folder is still to be made."""
        self.folder: Final = folder
        self.name: Final = name
        self.trace: Final[list[Op]] = [Op("create", name=FOLDER)] if known is None else []
        self.refuse: Refuse = let_through
        self.partial: Callable[[int], int] = lambda _: 0
        """How many bytes of a refused write reach the file all the same."""
        self.faults: Final[list[BaseException]] = []
        """What went wrong in this module or in `refuse`; leaving the disk raises it."""
        self.calls: Final[Counter[str]] = Counter()
        self._files: Final[dict[str, int]] = dict(known or {})
        self._next = max(self._files.values(), default=-1) + 1
        self._open: Final[dict[int, tuple[int, str]]] = {}
        self._guard: Final = threading.RLock()
        self._vfs: apsw.VFS | None = None
        self._native: _Native | None = None

    def __enter__(self) -> Self:
        """Register it over the default file system."""
        real = apsw.vfs_names()[0]
        self._vfs = apsw.VFS(self.name, real)
        self._native = _Native(self, self._vfs, real=real)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Take it away; raises what went wrong inside, which no caller of SQLite's could see.

        Nothing may be open then: what closes a file later would call into memory that is gone.
        """
        assert self._native is not None
        assert self._vfs is not None
        if self._open:
            gc.collect()
        assert not self._open, f"{self.open_names} are still open: close the log first"
        self._native.restore()
        self._vfs.unregister()
        if self.faults and error is None:
            raise self.faults[0]

    def sync_folder(self, folder: Path) -> None:
        """Somebody makes the names in a folder durable: those in the data folder, or its own."""
        if folder == self.folder:
            self._note(Op("sync_folder"))
        elif folder == self.folder.parent:
            self._note(Op("sync_folder", name=FOLDER))

    def meet(self, call: Call, name: str, *, offset: int = 0, size: int = 0) -> int:
        """Count a call and say what it answers."""
        with self._guard:
            number = self.calls[call]
            self.calls[call] += 1
        return self.refuse(Meeting(call, name, number, offset, size))

    def opened(self, handle: int, path: str) -> None:
        """A file is open; it is new if nobody has seen its name."""
        name = os.path.basename(path)  # noqa: PTH119 (a name from SQLite, thousands of times)
        with self._guard:
            if name not in self._files:
                self._files[name] = self._next
                self._next += 1
                self._note(Op("create", self._files[name], name=name))
            self._open[handle] = self._files[name], name

    def closed(self, handle: int) -> None:
        """A file is closed."""
        self._open.pop(handle, None)

    def deleted(self, path: str) -> None:
        """A name is gone."""
        name = os.path.basename(path)  # noqa: PTH119 (as above)
        with self._guard:
            file = self._files.pop(name, None)
            if file is not None:
                self._note(Op("delete", file, name=name))

    @property
    def open_names(self) -> list[str]:
        """The names of the files that are open, once for each time."""
        return sorted(name for _, name in self._open.values())

    def at(self, handle: int) -> str:
        """The name of an open file."""
        return self._open[handle][1]

    def note(self, kind: Kind, handle: int, *, offset: int = 0, data: bytes = b"") -> None:
        """Something was done to an open file."""
        file, name = self._open[handle]
        self._note(Op(kind, file, offset, data, name))

    def _note(self, op: Op) -> None:
        with self._guard:
            self.trace.append(op)


# -- below: sqlite3.h in ctypes. The layouts are public and never change but by growing at the end (sqlite.org/c3ref/vfs.html).

_P: Final = ctypes.c_void_p
_I: Final = ctypes.c_int
_L: Final = ctypes.c_int64
_S: Final = ctypes.c_char_p

# Names go through as pointers: SQLite keeps the one of an open file, and ctypes would hand on a copy that is soon gone.
_OPEN: Final = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, ctypes.POINTER(_I))
_DELETE: Final = ctypes.CFUNCTYPE(_I, _P, _P, _I)
_CLOSE: Final = ctypes.CFUNCTYPE(_I, _P)
_READ: Final = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_WRITE: Final = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE: Final = ctypes.CFUNCTYPE(_I, _P, _L)
_SYNC: Final = ctypes.CFUNCTYPE(_I, _P, _I)
_OPEN_FOLDER: Final = ctypes.CFUNCTYPE(_I, _P, _P)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, up to what is needed here."""

    _fields_ = (
        ("version", _I), ("file_bytes", _I), ("path_bytes_max", _I), ("next", _P), ("name", _S), ("data", _P),
        ("open", _P), ("delete", _P),
    )  # fmt: skip


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`; what is not led through Python stays the real file system's."""

    _fields_ = (
        ("version", _I), ("close", _P), ("read", _P), ("write", _P), ("truncate", _P), ("sync", _P), ("size", _P), ("lock", _P),
        ("unlock", _P), ("reserved", _P), ("control", _P), ("sector", _P), ("device", _P), ("shm_map", _P), ("shm_lock", _P),
        ("shm_barrier", _P), ("shm_unmap", _P), ("fetch", _P), ("unfetch", _P),
    )  # fmt: skip


class _Native:
    """The C side of one disk: an `apsw.VFS` whose doors were replaced."""

    def __init__(self, disk: PowerDisk, vfs: apsw.VFS, *, real: str) -> None:
        """Take the place of the file system that apsw has just registered under the disk's name, over the `real` one."""
        self._disk = disk
        self._vfs = vfs
        found = _registered()
        self._real, self._ours = found[real], found[disk.name]
        self._real_open = _OPEN(self._real.open)
        self._real_delete = _DELETE(self._real.delete)
        self._real_open_folder = _OPEN_FOLDER(_known(vfs.xGetSystemCall("openDirectory")))
        self._tables: dict[int, _Methods] = {}
        self._kept: list[Any] = []  # ctypes keeps none of the functions that it hands out
        self._before = self._ours.file_bytes, self._ours.open, self._ours.delete
        self._ours.file_bytes = self._real.file_bytes
        self._ours.open, self._ours.delete = self._door(_OPEN, self._opens), self._door(_DELETE, self._deletes)
        vfs.xSetSystemCall("openDirectory", self._door(_OPEN_FOLDER, self._opens_folder))

    def restore(self) -> None:
        """Put everything back as apsw made it."""
        self._vfs.xSetSystemCall("openDirectory", ctypes.cast(self._real_open_folder, _P).value or 0)
        self._ours.file_bytes, self._ours.open, self._ours.delete = self._before

    def _door(self, prototype: Any, method: Callable[..., int]) -> int:
        """The C function of a method; what a method raises is kept, and the caller told that the disk failed."""

        def guarded(*arguments: Any) -> int:
            try:
                return method(*arguments)
            except BaseException as error:  # noqa: BLE001 (C is above us: nobody there could catch it)
                self._disk.faults.append(error)
                return apsw.SQLITE_IOERR

        made = prototype(guarded)
        self._kept.append(made)
        address = ctypes.cast(made, _P).value
        assert address is not None
        return address

    def _opens(self, _: int, path: int | None, handle: int, flags: int, told: Any) -> int:
        name = _text(path)
        real = ctypes.addressof(self._real)
        code: int = self._disk.meet("open", Path(name).name) or self._real_open(real, path, handle, flags, told)
        if code != apsw.SQLITE_OK:
            ctypes.cast(handle, ctypes.POINTER(_P))[0] = None  # SQLite closes no file that has no methods
            return code
        methods = ctypes.cast(handle, ctypes.POINTER(_P))
        methods[0] = ctypes.addressof(self._table(methods[0]))
        self._disk.opened(handle, name)
        return code

    def _deletes(self, _: int, path: int, sync_folder: int) -> int:
        name = _text(path)
        code = self._disk.meet("delete", Path(name).name)
        if code == apsw.SQLITE_OK:
            self._disk.deleted(name)
            code = int(self._real_delete(ctypes.addressof(self._real), path, sync_folder))
        return code

    def _opens_folder(self, path: int, told: int) -> int:
        self._disk.sync_folder(Path(_text(path)).parent)  # SQLite opens a folder for nothing else
        return int(self._real_open_folder(path, told))

    def _table(self, address: int) -> _Methods:
        """The methods of a file, led through Python."""
        if address in self._tables:
            return self._tables[address]
        real = _Methods.from_address(address)
        ours = _Methods.from_buffer_copy(real)
        disk, close, read = self._disk, _CLOSE(real.close), _READ(real.read)
        write, truncate, sync = _WRITE(real.write), _TRUNCATE(real.truncate), _SYNC(real.sync)

        def closes(handle: int) -> int:
            disk.closed(handle)
            return int(close(handle))

        def reads(handle: int, into: int, size: int, offset: int) -> int:
            return disk.meet("read", disk.at(handle), offset=offset, size=size) or int(read(handle, into, size, offset))

        def writes(handle: int, data: int, size: int, offset: int) -> int:
            refused = disk.meet("write", disk.at(handle), offset=offset, size=size)
            size = disk.partial(size) if refused else size
            code = int(write(handle, data, size, offset)) if size else apsw.SQLITE_OK
            if size and code == apsw.SQLITE_OK:
                disk.note("write", handle, offset=offset, data=ctypes.string_at(data, size))
            return refused or code

        def truncates(handle: int, size: int) -> int:
            code = disk.meet("truncate", disk.at(handle), offset=size) or int(truncate(handle, size))
            if code == apsw.SQLITE_OK:
                disk.note("truncate", handle, offset=size)
            return code

        def syncs(handle: int, flags: int) -> int:
            refused = disk.meet("sync", disk.at(handle))
            disk.note("sync_failed" if refused else "sync", handle)
            return refused or int(sync(handle, flags))  # the folder of a new file is synced in there, after the file

        ours.close, ours.read = self._door(_CLOSE, closes), self._door(_READ, reads)
        ours.write, ours.truncate = self._door(_WRITE, writes), self._door(_TRUNCATE, truncates)
        ours.sync = self._door(_SYNC, syncs)
        self._tables[address] = ours
        return ours


def _text(address: int | None) -> str:
    return ctypes.string_at(address).decode() if address else ""


def _known(address: int | None) -> int:
    assert address is not None, "SQLite names no such call"
    return address


def _registered() -> dict[str, _Vfs]:
    """The file systems that SQLite knows, by name, as they lie in its memory."""
    pointer = _P()
    memory = apsw.Connection(":memory:")
    memory.file_control("main", apsw.SQLITE_FCNTL_VFS_POINTER, ctypes.addressof(pointer))
    memory.close()
    found: dict[str, _Vfs] = {}
    # The default stands first in SQLite's list, and it is what a connection without a name uses.
    address = pointer.value
    while address:
        vfs = _Vfs.from_address(address)
        found[vfs.name.decode()] = vfs
        address = vfs.next
    return found
