"""How long a search takes over 100,000 messages: `python -m tests.chatapp.finding.bench [--messages N]`.

Chats of twenty messages in seven made-up languages, of forty people, in a PostgreSQL of this run's own. A search is
all of it but the door: `find` with its queries and snippets, and the partial as HTML.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from tests.chatapp.finding.languages import Language, languages
from tests.search.standing_site import standing_site

NAMESPACE = UUID(int=5)
A_CHAT = 20
PEOPLE = 40
DIFFERENT = 6_000  # texts of each role; saying more of them takes longer than everything else here
READ_ONE_BY_ONE = 2_000  # as the worker does it, to say how long that takes; the others are written as they would be
NOW = datetime(2026, 11, 26, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    lexemes: list[str]


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    ask: Callable[[], str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=60)
    parser.add_argument("--slowest", action="store_true", help="name the slowest search of each kind")
    options = parser.parse_args()
    chance = random.Random(7)
    told = languages(chance)
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    with standing_site("finding-bench"):
        people = fill(options.messages, told, chance)
        print(f"load {os.getloadavg()[0]:.1f}")
        for person, scope in ((people[0], "all shared with the team"), (people[1], "own and of a group")):
            print(f"\n{scope}: {num_in_scope(person)} messages")
            for kind in kinds(told, chance):
                report(person, kind, options.searches, options.slowest)
        print(f"load {os.getloadavg()[0]:.1f}")
    return 0


def kinds(told: Sequence[Language], chance: random.Random) -> list[Kind]:
    by_name = {language.name: language for language in told}
    spaced = [by_name[name] for name in ("en", "de", "fr", "ru", "ar")]

    def any_of(made: Callable[[Language], str], among: Sequence[Language] = spaced) -> Callable[[], str]:
        return lambda: made(chance.choice(among))

    def long_word(language: Language) -> str:
        return next(word for word in iter(lambda: language.rare(chance), None) if len(word) >= 7)

    def slip(language: Language) -> str:
        word, place = long_word(language), chance.randrange(1, 5)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return [
        Kind("a rare word", any_of(lambda language: language.rare(chance) + " ")),
        Kind("a common word", any_of(lambda language: language.common(chance) + " ")),
        Kind("a rare and a common word", any_of(lambda each: f"{each.rare(chance)} {each.common(chance)} ")),
        Kind("three common words", any_of(lambda each: " ".join(each.common(chance) for _ in range(3)))),
        Kind("two letters, still typed", any_of(lambda language: long_word(language)[:2])),
        Kind("four letters, still typed", any_of(lambda language: long_word(language)[:4])),
        Kind("a slip", any_of(slip)),
        Kind("a slip beside a common word", any_of(lambda each: f"{each.common(chance)} {slip(each)} ")),
        Kind("part of a compound", lambda: long_word(by_name["de"])[2:8]),
        Kind(
            "Chinese, two characters",
            lambda: next(w for w in iter(lambda: by_name["zh"].rare(chance), "") if len(w) == 2),
        ),
        Kind("Chinese, one character", lambda: by_name["zh"].common(chance)[0]),
        Kind("Japanese", lambda: by_name["ja"].rare(chance)),
        Kind("Russian", lambda: by_name["ru"].rare(chance)),
        Kind("Arabic", lambda: by_name["ar"].rare(chance)),
        Kind(
            "words that stand nowhere",
            lambda: " ".join("".join(chance.choices("abcdeilmnorst", k=8)) for _ in range(3)),
        ),
        Kind("five words, never together", any_of(lambda each: " ".join(each.rare(chance) for _ in range(5)))),
    ]


def report(person: Any, kind: Kind, num: int, names_slowest: bool) -> None:
    from django.template.loader import render_to_string

    from chatapp.finding.selectors import find

    wall, cpu, found = [], [], 0
    slowest = (0.0, "")
    for number in range(num + 3):
        query = kind.ask()
        began, began_cpu = time.perf_counter(), cpu_s()
        findings = find(person, query)
        render_to_string("finding/_options.html", {"findings": findings})
        took = (time.perf_counter() - began) * 1000
        if number < 3:
            continue  # the first ones read pages that the others find in memory
        wall.append(took)
        cpu.append((cpu_s() - began_cpu) * 1000)
        found += bool(findings.found)
        slowest = max(slowest, (took, query))
    print(f"{kind.name:>28}: {percentiles(wall)}; on the processor {percentiles(cpu)}; found {found / num:.2f}")
    if names_slowest:
        print(f"{'':>30}slowest {slowest[0]:.0f} ms: {slowest[1]!r}")


def fill(num: int, told: Sequence[Language], chance: random.Random) -> list[Any]:
    from django.db import connection

    from chatapp.accounts.models import Group, User
    from chatapp.conversations.models import Grant
    from chatapp.finding.indexing import index_waiting
    from chatapp.finding.models import Waiting

    people = [User(email=f"{n}@example.org", name=f"Person {n}", password="!") for n in range(PEOPLE)]
    User.objects.bulk_create(people)
    group = Group.objects.create(name="Harbour")
    group.members.add(*people[1:4])
    num_chats = num // A_CHAT
    texts = {language.name: (texts_of(language, chance, 25), texts_of(language, chance, 140)) for language in told}
    began = time.monotonic()
    with connection.cursor() as cursor:
        copy(
            cursor,
            "conversations_conversation (id, owner_id, title, title_source, created_at, updated_at)",
            chats(num_chats, people, told, chance),
        )
        cursor.execute("TRUNCATE finding_waiting")
        lines = [*messages(num_chats, told, texts)]
        copy(
            cursor,
            "conversations_message (id, conversation_id, parent_id, role, text, created_at)",
            (line[:6] for line in lines),
        )
        print(f"{len(lines)} messages written in {time.monotonic() - began:.0f} s")
        cursor.execute(
            "DELETE FROM finding_waiting WHERE id > (SELECT min(id) + %s FROM finding_waiting)", [READ_ONE_BY_ONE - 1]
        )
        cursor.execute("INSERT INTO finding_waiting (conversation_id) SELECT id FROM conversations_conversation")
        began, num_waiting = time.monotonic(), Waiting.objects.filter(conversation_id=None).count()
        while index_waiting():
            pass
        took = time.monotonic() - began
        print(f"{num_waiting} of them and {num_chats} titles read in {took:.1f} s, as the worker does")
        began = time.monotonic()
        cursor.execute("DROP INDEX said_terms")
        copy(
            cursor,
            "finding_said (message_id, conversation_id, said_at, terms)",
            ((line[0], line[1], line[5], line[6]) for line in lines[READ_ONE_BY_ONE:]),
        )
        words = {word for language in told if language.space for word in language.words}
        add_words(words)
        cursor.execute("CREATE INDEX said_terms ON finding_said USING gin (terms) WITH (fastupdate = off)")
        print(f"the others written in {time.monotonic() - began:.0f} s")
        # Everything is shared with the first person; the next ones share what the group may read.
        everyone = [
            Grant(conversation_id=uuid5(NAMESPACE, f"c{n}"), user=people[0], access="read") for n in range(num_chats)
        ]
        grouped = [
            Grant(conversation_id=uuid5(NAMESPACE, f"c{n}"), group=group, access="read")
            for n in range(0, num_chats, 40)
        ]
        Grant.objects.bulk_create([*everyone, *grouped], batch_size=1000)
        cursor.execute("VACUUM ANALYZE")  # as autovacuum does after a while
        for table in ("conversations_message", "finding_said", "finding_word"):
            cursor.execute(
                "SELECT pg_size_pretty(pg_table_size(%s)), pg_size_pretty(pg_indexes_size(%s))", [table, table]
            )
            print(f"{table}: {' and indexes '.join(cursor.fetchone())}")
    return people


def texts_of(language: Language, chance: random.Random, num_words: int) -> list[Text]:
    from chatapp.finding.lexemes import lexemes, written_words

    told = []
    for _ in range(DIFFERENT // 7):
        text = language.say(chance, chance.randint(num_words // 3, num_words * 2))
        told.append(Text(text, lexemes(written_words(text))))
    return told


def chats(
    num: int, people: Sequence[Any], told: Sequence[Language], chance: random.Random
) -> Iterator[Sequence[object]]:
    for n in range(num):
        moment = NOW - timedelta(hours=num - n)
        yield (
            str(uuid5(NAMESPACE, f"c{n}")),
            str(people[n % len(people)].pk),
            told[n % len(told)].say(chance, 4)[:200],
            "question",
            moment,
            moment,
        )


def messages(num_chats: int, told: Sequence[Language], texts: Any) -> Iterator[Sequence[object]]:
    for chat in range(num_chats):
        questions, answers = texts[told[chat % len(told)].name]
        parent = None
        for n in range(A_CHAT):
            among = answers if n % 2 else questions
            text = among[(chat * A_CHAT + n) * 7 % len(among)]
            key = str(uuid5(NAMESPACE, f"m{chat}.{n}"))
            moment = NOW - timedelta(hours=num_chats - chat, minutes=A_CHAT - n)
            literal = " ".join(f"'{lexeme}'" for lexeme in text.lexemes)
            yield (
                key,
                str(uuid5(NAMESPACE, f"c{chat}")),
                parent,
                "assistant" if n % 2 else "user",
                text.text,
                moment,
                literal,
            )
            parent = key


def add_words(words: set[str]) -> None:
    from chatapp.finding.indexing import _add_words
    from chatapp.finding.lexemes import written_words

    _add_words([list(written_words(" ".join(words)))])


def copy(cursor: Any, target: str, lines: Iterator[Sequence[object]]) -> None:
    with cursor.copy(f"COPY {target} FROM STDIN") as out:
        for line in lines:
            out.write_row(line)


def num_in_scope(person: Any) -> int:
    from chatapp.conversations.access import allowed
    from chatapp.finding.models import Said

    return Said.objects.filter(conversation__in=allowed(person)).count()


def percentiles(times_ms: Sequence[float]) -> str:
    return f"p50 {statistics.median(times_ms):5.1f} ms, p95 {statistics.quantiles(times_ms, n=20)[-1]:5.1f} ms"


def machine() -> str:
    models = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{len(models)} cores, {models[0] if models else 'unknown'}"


def cpu_s() -> float:
    """What this process and its database server have computed: the time a search takes on a machine left alone."""
    from django.db import connection

    connection.ensure_connection()
    backend = connection.connection.info.backend_pid
    on_cpu = Path(f"/proc/{backend}/schedstat").read_text(encoding="ascii").split()[0]
    return time.process_time() + int(on_cpu) / 1e9


if __name__ == "__main__":
    sys.exit(main())
