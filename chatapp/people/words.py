"""Words for roles."""

from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Role
from chatapp.errors import Words

ROLE_NAMES: dict[str, Words] = {
    Role.OWNER: _("Owner"),
    Role.ADMIN: _("Admin"),
    Role.MEMBER: _("Member"),
    Role.GUEST: _("Guest"),
}
ROLE_NOTES: dict[str, Words] = {
    Role.OWNER: _("May do everything: connect models, and change anybody."),
    Role.ADMIN: _("Looks after the team: invites, suspends, makes groups; does not touch an owner."),
    Role.MEMBER: _("Asks, shares, and sees what is shared with everyone."),
    Role.GUEST: _("Sees only what is shared with them or with a group of theirs."),
}
