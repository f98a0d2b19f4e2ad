"""A conversation for others: shared in the team, copied, or shown to whoever has a link."""
