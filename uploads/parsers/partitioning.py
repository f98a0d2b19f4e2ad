"""unstructured's partitioners, without what they would fetch: the one door to that library.

Its tokeniser loads spaCy (and with it torch, 3.8 s) and fetches an English model from GitHub at first use. It
wants words and sentences only to tell prose from other text, which we do not ask it.
"""

import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, cast

# Read when unstructured is imported: no visit to its makers, no advertisement on the child's output.
os.environ["DO_NOT_TRACK"] = "true"
os.environ["SCARF_NO_ANALYTICS"] = "true"
os.environ["UNSTRUCTURED_DISABLE_NOTICE"] = "1"

REPLACED = "unstructured.nlp.tokenize"

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_WORD = re.compile(r"\w+|[^\w\s]")


def sent_tokenize(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_END.split(text) if sentence]


def word_tokenize(text: str) -> list[str]:
    return _WORD.findall(text)


def pos_tag(text: str) -> list[tuple[str, str]]:
    return [(word, "NN") for word in word_tokenize(text)]


def partitioner(form: str) -> Callable[..., list[Any]]:
    """`partition_<form>`; its answer is a list of elements."""
    if REPLACED not in sys.modules:
        module = ModuleType(REPLACED)
        module.__dict__.update(sent_tokenize=sent_tokenize, word_tokenize=word_tokenize, pos_tag=pos_tag)
        sys.modules[REPLACED] = module
    module_of_form = import_module(f"unstructured.partition.{form}")
    return cast(Callable[..., list[Any]], getattr(module_of_form, f"partition_{form}"))
