"""What the team has chosen about the web. Knows no engine's code."""

from chatapp.searches.models import WebSetting


def web_setting() -> WebSetting:
    """The row, or the defaults where there is none. To be read, not to be saved."""
    return WebSetting.objects.filter(pk=1).first() or WebSetting()
