"""What the web process may import: the words, values and marks of a search, without the libraries that read pages."""

import subprocess
import sys

LIGHT = """
    canonical events excerpts fragments keywords languages mentioned page providers.fields ranking unread untrusted
""".split()
HEAVY = "bs4 ddgs django lxml primp protego trafilatura".split()


def test_values_and_rules_load_no_library_that_reads_pages() -> None:
    names = ", ".join(f"search.web.{name}" for name in LIGHT)
    code = f"import sys, {names}; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []
    heavy = "import sys, search.web.session; print('trafilatura' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True).stdout.strip() == "True"
