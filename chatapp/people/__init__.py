"""The team: who is in it and as what, groups, invitations, leaving. Stands above accounts, conversations and files."""
