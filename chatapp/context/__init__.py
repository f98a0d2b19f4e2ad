"""Context assembly: pure functions from a history and a budget to messages. No database, HTTP, settings or clock."""
