"""What went wrong with a file or with one of its chats, in the words of the reader."""

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from chatapp.errors import Words

FAULTS: Mapping[str, Words] = {
    "not_json": _("This is not the JSON that it should be."),
    "too_many": _("There are more chats in it than are taken from one file."),
    "gone": _("The file is not there any more."),
    "crashed": _("Reading it failed several times."),
    "too_large": _("This chat is too large."),
    "too_deep": _("This chat is nested too deeply."),
    "unknown_format": _("This is no chat of ChatGPT, Open WebUI, LibreChat or Sonde."),
    "empty": _("There is nothing said in it."),
    "too_many_messages": _("This chat has too many messages."),
    "too_long": _("A message of it is too long."),
    "broken": _("Its messages do not hang together."),
}
