"""`{{ person.role|role_name }}`: the word for a role."""

from django import template

from chatapp.people.words import ROLE_NAMES

register = template.Library()


@register.filter
def role_name(role: str) -> str:
    return str(ROLE_NAMES[role])
