"""`{% num_working_keys user as n %}`: how many keys of this person work; None for who has none at all."""

from django import template

from chatapp.accounts.models import User
from chatapp.programs import keys
from chatapp.programs.words import ABILITY_NAMES

register = template.Library()


@register.simple_tag
def num_working_keys(person: User) -> int | None:
    return keys.working(person).count() if keys.may_have_keys(person) else None


@register.filter
def ability_name(ability: str) -> str:
    return str(ABILITY_NAMES[ability])
