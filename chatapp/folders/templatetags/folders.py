"""The folders beside the list of chats."""

from collections.abc import Iterable

from django import template

from chatapp.accounts.models import User
from chatapp.folders import access
from chatapp.folders.models import Folder

register = template.Library()


@register.simple_tag
def folders_of(person: User) -> Iterable[Folder]:
    return access.folders(person)
