"""Model endpoints: where they are, what they can do, and the client that speaks to them."""
