"""Queries that want more than the tables. Each ends in a refusal, and whoever asked lives and is answered next."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from uploads.computing.answer import Bounds, Refusal, Result
from uploads.computing.asking import run_query
from uploads.document import Source

BOUNDS = Bounds(seconds=2.0, memory_bytes=128 * 1024**2)
FOREVER = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT"

FILES = [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_csv_auto('{file}')",
    "SELECT content FROM read_text('{file}')",
    "SELECT content FROM read_blob('{file}')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{file}'",
    "FROM '{file}'",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query_table(['{file}'])",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{file}'')'))",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT (SELECT content FROM read_text('{file}')) FROM people",
    "SELECT * FROM sqlite_scan('{file}', 'x')",
    "SELECT getenv('HOME')",
]
NETWORK = [
    "SELECT * FROM read_csv('http://127.0.0.1:{port}/x.csv')",
    "SELECT * FROM 'http://127.0.0.1:{port}/x.csv'",
    "SELECT * FROM read_text('http://127.0.0.1:{port}/x')",
    "SELECT * FROM postgres_scan('host=127.0.0.1 port={port}', 'public', 'x')",
]
CHANGES = [
    "COPY people TO '{folder}/out.csv'",
    "COPY people FROM '{file}'",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/evil.duckdb_extension'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA memory_limit = '100GB'",
    "SET threads = 64",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE MACRO sum(x) AS 42",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "INSERT INTO people VALUES (9, 'Eve', 'North')",
    "DROP TABLE people",
    "WITH x AS (INSERT INTO people VALUES (9, 'Eve', 'North') RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM people RETURNING *) SELECT count(*) FROM x",
    "SELECT 1; SELECT 2",
    "COMMIT; CREATE TABLE mine AS SELECT 1; SELECT 1",
    "PREPARE p AS SELECT 1",
    "CALL pragma_version()",
    "CHECKPOINT",
]
EATERS = [
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b",
    f"{FOREVER} count(*) FROM r",
    "SELECT sum(x) FROM generate_series(1, 1000000000000) g(x)",
    "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
    "SELECT count(DISTINCT i) FROM range(10000000000) r(i)",
    "SELECT i FROM range(10000000000) r(i) ORDER BY hash(i)",
    "SELECT list(i) FROM range(10000000000) r(i)",
    "SELECT string_agg(i::VARCHAR, ',') FROM range(10000000000) r(i)",
    "SELECT length(repeat('x', 10000000000))",
    "SELECT lpad('a', 2000000000, 'b')",
    "SELECT len(list_transform(range(1000000000), lambda x: x + 1))",
    "SELECT " + "(" * 5000 + "1" + ")" * 4990,
    "SELECT '" + "x" * 20_000 + "'",
    "SELECT count(*) FROM people a, people b, range(100000000) c, range(100000000) d WHERE a._row + c.range > d.range",
]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secrets") / "secret.csv"
    path.write_text("secret,word\nhunter2,1\n")
    return path


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def refusal_of(source: Source, sql: str) -> Refusal:
    answer = run_query(source, sql, BOUNDS)
    assert isinstance(answer, Refusal), answer
    assert answer.words
    return answer


def test_an_honest_query_is_answered_within_the_same_bounds(sales: Source) -> None:
    answer = run_query(sales, "SELECT count(*) FROM people", BOUNDS)
    assert isinstance(answer, Result) and answer.rows == ((3,),)


@pytest.mark.parametrize("sql", FILES)
def test_no_other_file_is_read(sales: Source, secret: Path, sql: str) -> None:
    assert "hunter2" in secret.read_text()
    refusal = refusal_of(sales, sql.format(file=secret, folder=secret.parent))
    assert refusal.code in ("not_allowed", "mistake")
    assert "hunter2" not in refusal.words


@pytest.mark.parametrize("sql", NETWORK)
def test_nobody_is_connected_to(sales: Source, listener: socket.socket, sql: str) -> None:
    refusal = refusal_of(sales, sql.format(port=listener.getsockname()[1]))
    assert refusal.code in ("not_allowed", "mistake")
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("sql", CHANGES)
def test_nothing_is_changed(sales: Source, secret: Path, sql: str) -> None:
    before = secret.read_bytes()
    assert refusal_of(sales, sql.format(file=secret, folder=secret.parent)).code == "not_allowed"
    assert [path.name for path in secret.parent.iterdir()] == ["secret.csv"] and secret.read_bytes() == before


@pytest.mark.parametrize("sql", EATERS, ids=[sql[:60] for sql in EATERS])
def test_time_and_memory_have_their_end(sales: Source, sql: str) -> None:
    threads = threading.active_count()
    assert refusal_of(sales, sql).code in ("timeout", "memory", "mistake", "not_allowed")
    assert threading.active_count() == threads


def test_an_endless_answer_is_cut_not_waited_for(sales: Source) -> None:
    answer = run_query(sales, f"{FOREVER} i FROM r", BOUNDS)
    assert isinstance(answer, Result)
    assert len(answer.rows) == BOUNDS.rows and answer.is_truncated


def test_words_of_a_sheet_are_never_taken_for_sql(tmp_path: Path) -> None:
    import openpyxl

    from tests.uploads.computing.workbooks import source_of

    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = 'x"; DROP TABLE y'
    book.active.append(['a"; SELECT 1; --', "{x}", "it's"])
    book.active.append(["'); DROP TABLE x; --", '","', "\\"])
    book.save(tmp_path / "words.xlsx")
    answer = run_query(source_of(tmp_path / "words.xlsx"), "SELECT * EXCLUDE (_row) FROM x_drop_table_y", BOUNDS)
    assert isinstance(answer, Result)
    assert answer.rows == (("'); DROP TABLE x; --", '","', "\\"),)
