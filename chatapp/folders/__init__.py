"""Folders: chats kept together, with instructions and collections that every one of them is asked with."""
