"""Files of the chat: who may read an upload, how it comes over HTTP, what its chip says, which message carries it.

Joins uploads (bytes and located text) to conversations, and to search, which know nothing of one another.
"""
