"""What keys may be used for, in people's language."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from chatapp.programs.models import Ability

ABILITY_NAMES: dict[str, str | Promise] = {
    Ability.CHAT: _("asking models"),
    Ability.EMBEDDINGS: _("embeddings"),
    Ability.FILES: _("files"),
}
