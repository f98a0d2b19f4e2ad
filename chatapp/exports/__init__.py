"""Chats out of the house: one as a file, and all that a person owns as an archive, made by a worker."""
