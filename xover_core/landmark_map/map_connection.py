# SPDX-License-Identifier: Apache-2.0
"""Opening the SQLite file of a map so that a kill or a power cut at any moment leaves it valid.

Rollback journal (TRUNCATE) with `synchronous=FULL` rather than WAL: at rest the map is a single file that can be
copied and read from a read-only medium, whereas a WAL left by a killed mapper must travel with the file and cannot be
read without write access. The price is 1 ms a keyframe (docs/map-format.md).
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xover_core.errors import MapFormatError
from xover_core.landmark_map.map_rows import DamagedRowError
from xover_core.landmark_map.map_schema import APPLICATION_ID, OLDEST_SCHEMA_VERSION, SCHEMA_VERSION

# How long to wait for another process's transaction. Finishing a large map writes hundreds of MB in one transaction.
LOCK_TIMEOUT = 60.0

# A larger file is not looked through when it is opened for reading, which takes a second for each GB at best: its rows
# carry checksums, and damaged pages are met when they are read.
_MAX_CHECKED_BYTES = 256e6

# Enough that a keyframe never spills to the file before its commit, so readers are shut out for its commit only.
_CACHE_KIB = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class MapConnection:
    """An open map file.

    Attributes:
        sqlite: in autocommit mode; transactions are explicit.
        path: as the user gave it.
        read_only: whether it was opened for reading.
        recovered_copy: holds the copy that is being read, when the map lies on a read-only medium and the mapper was
            killed in the middle of a write.
    """

    sqlite: sqlite3.Connection
    path: Path
    read_only: bool
    recovered_copy: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Close the file; a writer leaves no journal behind."""
        if not self.read_only:
            # a lock held by somebody else only means that an empty journal file stays
            with contextlib.suppress(sqlite3.Error):
                self.sqlite.execute("PRAGMA journal_mode = DELETE")
        self.sqlite.close()
        if self.recovered_copy is not None:
            self.recovered_copy.cleanup()


@contextlib.contextmanager
def map_errors(path: Path, action: str) -> Iterator[None]:
    """Turn errors of SQLite and damaged rows into a MapFormatError that names the file and what was being done."""
    try:
        yield
    except (sqlite3.Error, DamagedRowError) as error:
        raise MapFormatError(f"map {path}: cannot {action}: {error}.{_advice(str(error))}") from error


def _advice(message: str) -> str:
    """What to do about an SQLite error, as a further sentence."""
    if "locked" in message:
        return " Another process is writing to it; try again when it is done."
    if "full" in message:
        return " Free some space on the disk; the map keeps everything that was stored before."
    if any(word in message for word in ("malformed", "not a database", "checksum")):
        return " The file is damaged or is no xover map; use a copy or build the map again."
    return ""


def create_file(path: Path) -> MapConnection:
    """Make an empty SQLite file without tables.

    Raises:
        MapFormatError: the file exists already, or its folder cannot be written to.
    """
    if path.exists() and path.stat().st_size > 0:
        raise MapFormatError(f"map {path}: exists already; open it to append to it, or choose another path.")
    with map_errors(path, "be created"):
        return _writable(path)


def open_file(path: Path, *, read_only: bool) -> MapConnection:
    """Open a map file and check that it is one.

    Raises:
        MapFormatError: missing, not SQLite, of another application or schema version, or damaged.
    """
    if not path.is_file():
        raise MapFormatError(f"map {path}: there is no such file; build it with `xover map` or correct the path.")
    with map_errors(path, "be opened"):
        connection = _readable(path) if read_only else _writable(path)
        try:
            _check_kind(connection)
            if not read_only or path.stat().st_size <= _MAX_CHECKED_BYTES:
                _check_pages(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _connect(uri: str) -> sqlite3.Connection:
    """Open in autocommit mode. Callers see to it that one thread at a time uses the connection."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=LOCK_TIMEOUT, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _writable(path: Path) -> MapConnection:
    """Open for reading and writing; a transaction that a killed mapper left open is rolled back by SQLite."""
    connection = _connect(f"{path.absolute().as_uri()}?mode=rwc")
    try:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except sqlite3.Error:
        connection.close()
        raise
    return MapConnection(sqlite=connection, path=path, read_only=False)


def _readable(path: Path) -> MapConnection:
    """Open for reading only, first rolling back what a killed mapper left half-written."""
    connection = _connect(f"{path.absolute().as_uri()}?mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        connection.close()
        if "readonly" not in str(error):
            raise
        return _recover(path)
    return MapConnection(sqlite=connection, path=path, read_only=True)


def _recover(path: Path) -> MapConnection:
    """Roll back a half-written transaction, in place where that is allowed, else in a temporary copy."""
    folder = None
    file = path
    try:
        _roll_back(file)
    except sqlite3.OperationalError:
        folder = tempfile.TemporaryDirectory(prefix="xover-map-")
        file = Path(folder.name) / path.name
        for suffix in ("", "-journal"):
            shutil.copyfile(f"{path}{suffix}", f"{file}{suffix}")
        _roll_back(file)
    connection = _connect(f"{file.absolute().as_uri()}?mode=ro")
    return MapConnection(sqlite=connection, path=path, read_only=True, recovered_copy=folder)


def _roll_back(path: Path) -> None:
    """Let SQLite apply a left journal: it does so before the first read by a connection that may write."""
    connection = _connect(f"{path.absolute().as_uri()}?mode=rw")
    with contextlib.closing(connection):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _check_kind(connection: MapConnection) -> None:
    """Raise MapFormatError unless the file is a map of a schema that this version reads."""
    application = connection.sqlite.execute("PRAGMA application_id").fetchone()[0]
    version = connection.sqlite.execute("PRAGMA user_version").fetchone()[0]
    where = f"map {connection.path}:"
    if application != APPLICATION_ID:
        raise MapFormatError(
            f"{where} expected a xover map (application id {APPLICATION_ID:#x}), got an SQLite file with"
            f" {application:#x}; choose a file written by `xover map` or the mapper node."
        )
    if not OLDEST_SCHEMA_VERSION <= version <= SCHEMA_VERSION:
        remedy = "update xover" if version > SCHEMA_VERSION else "build the map again"
        raise MapFormatError(f"{where} expected schema version {SCHEMA_VERSION}, got {version}; {remedy}.")


def _check_pages(connection: MapConnection) -> None:
    """Raise MapFormatError when the pages do not form sound tables; the blobs are checked as they are read."""
    problem = connection.sqlite.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise MapFormatError(
            f"map {connection.path}: the file is damaged ({problem.splitlines()[0]}); use a copy or build it again."
        )
