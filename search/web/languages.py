"""Which language a question is in, well enough to tell an engine. Pure."""

import re

_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
)
_WORDS = {
    "en": frozenset("the of and to is in what who when where how which why does did was are it for on with by".split()),
    "de": frozenset(
        "der die das und ist was wer wann wo wie warum ein eine den dem im von zu für mit nicht hat".split()
    ),
    "fr": frozenset(
        "le la les des et est que qui quand où comment pourquoi un une du en dans pour avec quel il".split()
    ),
    "es": frozenset("el los las y es que quién cuándo dónde cómo por un una del en para con cuál qué su".split()),
}


def language_of(text: str) -> str | None:
    """An ISO code, or None where too little says so."""
    for language, script in _SCRIPTS:
        if script.search(text):
            return language
    words = re.findall(r"\w+", text.lower())
    counts = sorted(((sum(word in known for word in words), name) for name, known in _WORDS.items()), reverse=True)
    (most, language), (second, _) = counts[:2]
    return language if most > second else None
