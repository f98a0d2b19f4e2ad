"""An in-memory DuckDB that, once locked, answers one SELECT over its tables and does nothing else.

What it refuses by itself: files, the network, extensions, settings, changes (the query runs in a read-only
transaction). The fence around this process refuses the same again. Knows no spreadsheet.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
from duckdb import DuckDBPyConnection

from uploads.computing.answer import Refusal, RefusalCode

MAX_SQL_CHARACTERS = 10_000
ONLY_TABLES = "Only the tables of this file can be read. Write one SELECT over them: no files, no network, no settings."
MAX_WORDS = 1_500
UNKNOWN_NAME = (duckdb.BinderException, duckdb.CatalogException)


class Refused(Exception):
    def __init__(self, code: RefusalCode, words: str) -> None:
        super().__init__(code)
        self.refusal = Refusal(code, words[:MAX_WORDS])


def open_database(memory_bytes: int) -> DuckDBPyConnection:
    return duckdb.connect(
        ":memory:",
        config={
            "threads": "1",
            "memory_limit": f"{memory_bytes // 1024**2}MiB",
            "temp_directory": "",  # what does not fit in memory is not spilled
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",  # a variable of this program is no table
        },
    )


def reserved_words(database: DuckDBPyConnection) -> frozenset[str]:
    rows = database.execute(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    ).fetchall()
    return frozenset(word for (word,) in rows)


def lock(database: DuckDBPyConnection) -> None:
    """After this no setting can be changed back."""
    for statement in (
        "SET allow_community_extensions = false",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        database.execute(statement)


@contextmanager
def reading(database: DuckDBPyConnection) -> Iterator[None]:
    """A transaction that changes nothing: a SELECT may hold an INSERT in its WITH."""
    database.execute("BEGIN TRANSACTION READ ONLY")
    try:
        yield
    finally:
        database.execute("ROLLBACK")


def check_is_one_select(database: DuckDBPyConnection, sql: str) -> None:
    """Raises Refused. DuckDB's own parser says what it is."""
    if len(sql) > MAX_SQL_CHARACTERS:
        raise Refused("not_allowed", f"The query is longer than {MAX_SQL_CHARACTERS} characters.")
    with failures_in_words():
        statements = database.extract_statements(sql)
    if not statements:
        raise Refused("mistake", "The query is empty. Write one SELECT.")
    if len(statements) > 1:
        raise Refused("not_allowed", f"These are {len(statements)} statements. Write one SELECT.")
    if statements[0].type is not duckdb.StatementType.SELECT:
        raise Refused("not_allowed", f"This is {statements[0].type.name}. {ONLY_TABLES}")


@contextmanager
def at_most(database: DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupts what runs longer. A step that does not look up meanwhile is the fence's to end."""
    timer = threading.Timer(seconds, database.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def failures_in_words(names: str = "") -> Iterator[None]:
    """DuckDB's exceptions as Refused, with its own words. `names`: the tables and columns that there are."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise Refused(
            "timeout", "The query took too long. Ask for less: aggregate, filter, join fewer rows."
        ) from error
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise Refused("memory", "The query needs too much memory. Ask for less: aggregate or filter first.") from error
    except duckdb.PermissionException as error:
        raise Refused("not_allowed", ONLY_TABLES) from error
    except duckdb.Error as error:
        if "read-only mode" in str(error):
            raise Refused("not_allowed", f"Nothing can be changed. {ONLY_TABLES}") from error
        there_are = f" There are: {names}" if names and isinstance(error, UNKNOWN_NAME) else ""
        raise Refused("mistake", words_of(error) + there_are) from error


def words_of(error: Exception) -> str:
    """Without the query repeated under it, which whoever wrote it has."""
    said = str(error).partition("\nLINE ")[0].partition("\n\nLINE ")[0]
    return " ".join(said.split())
