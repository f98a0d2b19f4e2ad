"""People: sign-in, roles, groups, preferences. Knows no conversation."""
