"""Retrieval: web search and page reading, passages, ranking. Knows no chat, upload or model."""
