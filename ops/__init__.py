"""Set-up and supervision: what runs before, around and beside Django. Knows the processes; imports none of their code.

Its commands are modules (`python3 -m ops.run`, `.test`, `.setup`, `.lock`, `.compose`, `.manage`), started from the
repository root; the Makefile does so.
"""

import sys

# In the words of an old Python, so that it can read them.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("Sonde needs Python 3.11 or newer, this is %d.%d: type PYTHON=python3.11 make ..." % sys.version_info[:2])  # noqa: UP031
