"""What is done to a group. Whoever comes in or goes out sees at once what is shared with it, or no longer."""

import logging
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Group, User
from chatapp.accounts.signals import announce_rights
from chatapp.errors import Invalid, NotFound
from chatapp.people.rights import may_manage

logger = logging.getLogger(__name__)

MAX_NAME = 100  # characters, the column's width


def groups(viewer: User) -> QuerySet[Group]:
    return Group.objects.order_by("name") if may_manage(viewer) else Group.objects.none()


def get_group(viewer: User, group_id: UUID) -> Group:
    """Raises NotFound."""
    group = groups(viewer).filter(pk=group_id).first()
    if group is None:
        raise NotFound
    return group


def make(viewer: User, name: str) -> Group:
    """Raises NotFound, Invalid."""
    if not may_manage(viewer):
        raise NotFound
    group = _save(Group(name=_clean(name)))
    logger.info("group %s made by=%s", group.pk, viewer.pk)
    return group


def rename(viewer: User, group_id: UUID, name: str) -> Group:
    """Raises NotFound, Invalid."""
    group = get_group(viewer, group_id)
    group.name = _clean(name)
    return _save(group)


def add_member(viewer: User, group_id: UUID, person_id: UUID) -> None:
    """Safe to repeat. Raises NotFound."""
    with transaction.atomic():
        group, person = get_group(viewer, group_id), _person(person_id)
        group.members.add(person)
        announce_rights(person.pk)
    logger.info("group %s has person %s by=%s", group_id, person_id, viewer.pk)


def remove_member(viewer: User, group_id: UUID, person_id: UUID) -> None:
    """Safe to repeat. Raises NotFound."""
    with transaction.atomic():
        group, person = get_group(viewer, group_id), _person(person_id)
        group.members.remove(person)
        announce_rights(person.pk)
    logger.info("group %s has lost person %s by=%s", group_id, person_id, viewer.pk)


def delete(viewer: User, group_id: UUID) -> None:
    """What was shared with it is no longer shared with its members. Raises NotFound."""
    with transaction.atomic():
        group = get_group(viewer, group_id)
        for person_id in group.members.values_list("pk", flat=True):
            announce_rights(person_id)
        group.delete()
    logger.info("group %s deleted by=%s", group_id, viewer.pk)


def _person(person_id: UUID) -> User:
    person = User.objects.filter(pk=person_id).first()
    if person is None:
        raise NotFound
    return person


def _save(group: Group) -> Group:
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError as error:
        raise Invalid("name", _("There is a group of this name already.")) from error
    return group


def _clean(name: str) -> str:
    name = " ".join(name.replace("\0", "").split())
    if not 1 <= len(name) <= MAX_NAME:
        words = _("The name of a group has 1 to %(limit)s characters; this one has %(length)s.")
        raise Invalid("name", words % {"limit": MAX_NAME, "length": len(name)})
    return name
