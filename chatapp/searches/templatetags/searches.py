"""What went wrong with an engine, said in a template."""

from django import template

from chatapp.searches.words import failure_words

register = template.Library()


@register.simple_tag
def search_failure(engine: str, code: str) -> str:
    """A sentence without its full stop."""
    return failure_words(engine, code)
