"""Files made to harm whoever reads them. `python -m tests.uploads.hostile FOLDER` writes them all."""

from tests.uploads.hostile import archives, mails, markup, names, pdfs, pictures, texts, torn
from tests.uploads.hostile.corpus import CORPUS, SECRET, Bait, Hostile

__all__ = ["CORPUS", "SECRET", "Bait", "Hostile"]
# Importing them is what fills the list.
assert all((archives, mails, markup, names, pdfs, pictures, texts, torn))
