"""The API for programs: keys, `/v1`, and calls, which are answers without a conversation."""
