"""The web as a source: asking for pages, reading them, safely. Knows no chat, no view, no row."""
