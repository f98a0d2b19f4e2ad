"""What is searched: passages, the vectors made of them, and the words that occur in them.

A source is known by its id alone: whose it is and who may read it, the caller knows and says by a scope.
"""

from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import models

if TYPE_CHECKING:
    _Text = models.TextField[str, str]
else:
    _Text = models.TextField


class HalfVectorField(_Text):
    """pgvector's halfvec, in its text form: [0.1,-0.2]. Of no fixed length: another encoder, another length."""

    def db_type(self, connection: object) -> str:
        return "halfvec"


class Passage(models.Model):
    source_id = models.UUIDField()
    ordinal = models.PositiveIntegerField()  # from 0, in the order of the source
    text = models.TextField()
    headings = ArrayField(models.TextField())  # outermost first
    place = models.JSONField()
    characters = models.PositiveIntegerField()
    terms = SearchVectorField()  # made by search.terms, not by PostgreSQL's parser

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source_id", "ordinal"], name="passage_in_its_source")]
        indexes = [GinIndex(fields=["terms"], name="passage_terms")]


class Vector(models.Model):
    """A table of its own: a vector written into the passage's row would write all its index entries anew."""

    passage = models.OneToOneField(Passage, models.CASCADE, primary_key=True)
    source_id = models.UUIDField()  # the passage's, so that a scope is filtered before anything is joined
    model = models.TextField()  # vectors of different encoders are never compared
    value = HalfVectorField()

    class Meta:
        indexes = [models.Index(fields=["source_id"], name="vector_source")]


class Word(models.Model):
    """A term that occurs in a passage: where a misspelt one, or a part of a compound, is looked up."""

    term = models.TextField(primary_key=True)

    class Meta:
        indexes = [GinIndex(OpClass("term", "gin_trgm_ops"), name="word_trigrams")]
