"""Several lists made one: each page once, what two name before what one names, and every failure kept."""

from search.web.providers.merging import merged
from search.web.providers.provider import Failure, Result, Results


def result(url: str, engine: str = "one") -> Result:
    return Result(url, "", "", engine)


def test_a_page_that_two_name_comes_first_and_once() -> None:
    one = Results((result("https://a.test/"), result("https://b.test/x")))
    other = Results((result("http://www.b.test/x?utm_medium=mail", "two"), result("https://c.test/", "two")))
    found = merged([one, other], 10)
    assert [each.url for each in found.results] == ["https://b.test/x", "https://a.test/", "https://c.test/"]


def test_a_list_that_repeats_itself_gains_nothing() -> None:
    twice = Results((result("https://a.test/"), result("https://b.test/"), result("https://b.test/")))
    assert [each.url for each in merged([twice], 10).results] == ["https://a.test/", "https://b.test/"]


def test_failures_are_kept_once_beside_results() -> None:
    failed = Results(failures=(Failure("google", "timeout"),))
    found = merged([failed, Results((result("https://a.test/"),)), failed], 10)
    assert (len(found.results), found.failures) == (1, (Failure("google", "timeout"),))


def test_no_more_than_asked_for() -> None:
    many = Results(tuple(result(f"https://a.test/{number}") for number in range(20)))
    assert len(merged([many], 8).results) == 8
    assert merged([], 8) == Results()
