"""The Django project: accounts, conversations, the stream to browsers, the public API."""
