"""What chats are found by: the lexemes of every message and title, the words in them, and what waits to be read.

Nothing here is the only copy of anything: all of it can be made again from messages and titles.
"""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import models


class Said(models.Model):
    """A message; gone with it. One without text has none."""

    message = models.OneToOneField(
        "conversations.Message", on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    said_at = models.DateTimeField()
    terms = SearchVectorField()  # made by finding.lexemes, without places: snippets are cut from the text itself

    class Meta:
        indexes = (
            # Written at once: a list of what is still to be sorted in would be read by every search.
            GinIndex(fields=["terms"], name="said_terms", fastupdate=False),
            models.Index(fields=["conversation", "-said_at"], name="said_in_order"),
            models.Index(fields=["-said_at"], include=["conversation"], name="said_newest"),
        )


class Named(models.Model):
    """The title of a conversation."""

    conversation = models.OneToOneField(
        "conversations.Conversation", on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    terms = SearchVectorField()

    class Meta:
        indexes = (GinIndex(fields=["terms"], name="named_terms", fastupdate=False),)


class Word(models.Model):
    """A word as somebody has written it, folded: where the misspelt, and parts of compounds, are looked up."""

    word = models.TextField(primary_key=True)

    class Meta:
        indexes = (GinIndex(OpClass("word", "gin_trgm_ops"), name="finding_word_trigrams", fastupdate=False),)


class Waiting(models.Model):
    """A message or a title that was written and is not read yet. Put here by the database itself (0001_initial)."""

    message_id = models.UUIDField(null=True)
    conversation_id = models.UUIDField(null=True)
