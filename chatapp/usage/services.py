"""Writes of quotas, by who looks after the team."""

import logging
from typing import Any
from uuid import UUID

from chatapp.accounts.models import User
from chatapp.errors import NotFound
from chatapp.people.rights import may_manage
from chatapp.usage.models import Quota

logger = logging.getLogger(__name__)


def set_quota(viewer: User, principal: str, limits: dict[str, Any]) -> None:
    """`principal` is `each`, `group:<id>` or `person:<id>`. Without any limit the quota ends. Raises NotFound."""
    if not may_manage(viewer):
        raise NotFound
    kind, _, id = principal.partition(":")
    whose = {"everyone": True} if kind == "each" else {"group_id" if kind == "group" else "user_id": UUID(id)}
    if all(limit is None for limit in limits.values()):
        Quota.objects.filter(**whose).delete()
    else:
        Quota.objects.update_or_create(**whose, defaults=limits)
    logger.info("quota of %s set by %s", principal, viewer.pk)
