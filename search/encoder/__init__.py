"""The encoder: a program of its own that makes vectors of texts. Knows no Django, database, passage or scope."""
