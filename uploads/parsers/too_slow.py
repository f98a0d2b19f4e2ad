"""What every reader of pictures may raise."""


class TooSlow(Exception):
    """The page took more than Limits.page_seconds."""
