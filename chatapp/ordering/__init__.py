"""Order in many chats: what one person pins or archives in their list, and many deleted at once."""
