"""Presets: how a question is to be answered, prepared once, shared in the team, chosen in the composer."""
