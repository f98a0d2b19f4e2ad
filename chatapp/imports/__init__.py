"""Chats into the house: from exports of ChatGPT, Open WebUI and LibreChat, and our own, by a worker."""
