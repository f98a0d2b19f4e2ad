"""How well passages are found, over manuals that anybody can fetch. Run: `python -m tests.search.quality`."""
