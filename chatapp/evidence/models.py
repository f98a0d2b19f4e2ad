"""Evidence: the passages that one answer was given, as they were then; and what became of the sentences that cite."""

import uuid

from django.db import models


class Excerpt(models.Model):
    """A text by its hash: a document that is asked about twenty times is kept once."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    text = models.TextField()


class Evidence(models.Model):
    """One numbered passage of one answer. `excerpt` is None once its source was deleted: the number stays.

    `source_id` is the reading of a file, `source_sha256` the version of its bytes; of a page of the web, the page and
    its text.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    answer = models.ForeignKey("answers.Answer", on_delete=models.CASCADE, related_name="evidence")
    number = models.PositiveIntegerField()  # the mark [n] in the answer's text
    upload = models.ForeignKey("uploads.Upload", on_delete=models.SET_NULL, null=True, related_name="+")
    page = models.ForeignKey("searches.WebPage", on_delete=models.SET_NULL, null=True, related_name="+")
    source_id = models.UUIDField(db_index=True)
    source_sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=255)
    headings = models.JSONField(default=list)
    place = models.JSONField()
    excerpt = models.ForeignKey(Excerpt, on_delete=models.PROTECT, null=True, related_name="+")
    score = models.FloatField(null=True)  # of retrieval; None where the whole document was read
    # Of a result that was computed from the file: see chatapp.evidence.computed.Computed. None for a passage.
    computed = models.JSONField(null=True)
    # Brought by a tool that the model has called: told behind its call, not with the question.
    by_tool = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["answer", "number"], name="evidence_numbered_once"),)
        ordering = ("number",)

    @property
    def text(self) -> str:
        return self.excerpt.text if self.excerpt else ""


class Check(models.Model):
    """A sentence of an answer that carries marks, held against the passages it names.

    `start` and `end` are UTF-16 offsets in the message's text; `evidence` is the passage that supports it best.
    """

    class Verdict(models.TextChoices):
        SUPPORTED = "supported"
        PARTLY = "partly"
        NOT_FOUND = "not_found"

    answer = models.ForeignKey("answers.Answer", on_delete=models.CASCADE, related_name="checks")
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    numbers = models.JSONField(default=list)
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    evidence = models.ForeignKey(Evidence, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["answer", "start"], name="check_once"),)
        ordering = ("start",)


class Note(models.Model):
    """What the model found in one part of sources that were too long to be read at once.

    `level` 0 was read from the passages `first` to `last`; higher levels from the notes below, which were too long too.
    """

    answer = models.ForeignKey("answers.Answer", on_delete=models.CASCADE, related_name="reading_notes")
    level = models.PositiveSmallIntegerField()
    part = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["answer", "level", "part"], name="note_once"),)
        ordering = ("level", "part")
