"""Context assembly: pure functions from a history and a budget to messages. Knows no database, HTTP, settings or clock."""
