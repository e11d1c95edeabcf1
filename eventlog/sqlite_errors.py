"""What SQLite's errors mean for the port: retry, hold or refuse; must not know statements or tables."""

from pathlib import Path
from typing import Final

import apsw

from eventlog.port import AppendAmbiguous, AppendNotDone, LogError, LogRegressed, LogUnavailable, LogUnfit

_OURS: Final = "this is a fault in Tidegate, please report it"

ADVICE: Final[dict[type[apsw.Error], str]] = {
    apsw.Error: _OURS,
    apsw.AbortError: "the statement was broken off, try again",
    apsw.AuthError: _OURS,
    apsw.BindingsError: _OURS,
    apsw.BusyError: "another process holds the log, try again, and look for one that hangs",
    apsw.CantOpenError: "the file or its folder can't be opened, check that both exist and may be written",
    apsw.ConnectionClosedError: "the log was closed, open it again",
    apsw.ConnectionNotClosedError: _OURS,
    apsw.ConstraintError: "a position was taken already, look for another program that writes into the file",
    apsw.CorruptError: "the file is damaged, stop and restore it from a backup",
    apsw.CursorClosedError: "the log was closed, open it again",
    apsw.EmptyError: _OURS,
    apsw.ExecTraceAbort: _OURS,
    apsw.ExecutionCompleteError: _OURS,
    apsw.ExtensionLoadingError: _OURS,
    apsw.ForkingViolationError: "the log was opened before a fork, open it in the process that uses it",
    apsw.FormatError: "the file is damaged, stop and restore it from a backup",
    apsw.FullError: "the disk is full, make room",
    apsw.IOError: "the disk fails or is full, make room and read the system's log",
    apsw.IncompleteExecutionError: _OURS,
    apsw.InternalError: "SQLite found a fault in itself, restart the process",
    apsw.InterruptError: "the statement was broken off, try again",
    apsw.InvalidContextError: _OURS,
    apsw.LockedError: "another statement holds the log, try again",
    apsw.MismatchError: _OURS,
    apsw.MisuseError: _OURS,
    apsw.NoFTS5Error: _OURS,
    apsw.NoLFSError: "the system can't hold files this large, move the folder to another file system",
    apsw.NoMemError: "memory ran out, free some",
    apsw.NotADBError: "the file is no SQLite database, move it away or restore it from a backup",
    apsw.NotFoundError: "the file system lacks an operation that SQLite needs, move the folder to a local disk",
    apsw.PermissionsError: "permission is missing, give the user that runs Tidegate the right to read and write the folder",
    apsw.ProtocolError: "the locks of the file are in disorder, move the folder to a local disk",
    apsw.RangeError: _OURS,
    apsw.ReadOnlyError: "the file can't be written, give the user that runs Tidegate the right to write the folder",
    apsw.SQLError: "the file lacks a table or column of the log, restore it from a backup",
    apsw.SchemaChangeError: "another program changed the tables, try again, and look for that program",
    apsw.ThreadingViolationError: _OURS,
    apsw.TooBigError: "the entry is larger than SQLite takes, send a smaller document",
    apsw.VFSFileClosedError: "the log was closed, open it again",
    apsw.VFSNotImplementedError: "the file system lacks an operation that SQLite needs, move the folder to a local disk",
}
"""One sentence for each error class of apsw, also those that our statements can't cause; a test finds a class that is missing."""

_DAMAGED: Final = (apsw.CorruptError, apsw.FormatError, apsw.NotADBError, apsw.SQLError)
"""Waiting does not mend these: a reader must stop."""

_PASSING: Final = (apsw.BusyError, apsw.FullError, apsw.IOError, apsw.LockedError, apsw.NoMemError, apsw.ProtocolError)
"""These may end by themselves or by making room: an opener tries again."""


def not_done(error: apsw.Error) -> AppendNotDone:
    """Translate an error from before COMMIT: the transaction was rolled back, or will be when its connection is gone."""
    return AppendNotDone(f"Nothing was written: {_reason(error)}.")


def ambiguous(error: apsw.Error) -> AppendAmbiguous:
    """Translate an error of COMMIT: the commit mark may be on the disk, and recovery after a crash would find it."""
    return AppendAmbiguous(f"It is not known whether the batch was written: {_reason(error)}. Read the stream to its end.")


def unreadable(error: apsw.Error) -> LogError:
    """Translate an error of a read: LogRegressed when the file is damaged, else LogUnavailable."""
    if isinstance(error, _DAMAGED):
        return LogRegressed(f"The log can't be read: {_reason(error)}.")
    return LogUnavailable(f"The log can't be read now: {_reason(error)}.")


def unopened(error: apsw.Error, path: Path) -> LogError:
    """Translate an error of opening: LogUnavailable when it may pass, else LogUnfit."""
    kind = LogUnavailable if isinstance(error, _PASSING) else LogUnfit
    return kind(f"The log {path} can't be opened: {_reason(error)}.")


def _reason(error: apsw.Error) -> str:
    return f"{ADVICE.get(type(error), ADVICE[apsw.Error])} ({type(error).__name__}: {error})"
