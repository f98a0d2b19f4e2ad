"""Search over one's chats: every message and title by its words, and only what the viewer may read."""
