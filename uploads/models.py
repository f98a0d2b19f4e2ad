"""A file's bytes, the upload that brought them, what reading them gave, and its located text."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Blob(models.Model):
    """Bytes, once each; storage holds them under `uploads.storage.key_of(sha256)`."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    size_bytes = models.BigIntegerField()
    media_type = models.CharField(max_length=100)  # by content
    created_at = models.DateTimeField(db_default=Now())


class ReadingState(models.TextChoices):
    QUEUED = "queued"
    PARSING = "parsing"
    READY = "ready"
    PARTLY = "partly"  # some units gave no text, or it broke off after some
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (ReadingState.QUEUED, ReadingState.PARSING)


class Reading(models.Model):
    """What one version of our parsers made of a blob. Ends exactly once, by compare-and-set on (state, fence)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="readings")
    media_type = models.CharField(max_length=100)  # a name may break a tie: the same text as .csv and as .txt
    version = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=255)  # of the upload that asked first

    state = models.CharField(max_length=10, choices=ReadingState.choices, default=ReadingState.QUEUED)
    code = models.CharField(max_length=20, blank=True, default="")  # the fault, of `failed` and of what broke off
    unit = models.CharField(max_length=5, blank=True, default="")
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    unreadable = models.JSONField(default=list, blank=True)  # [{"number", "code"}]
    characters = models.PositiveBigIntegerField(default=0)

    # The claim, on the database's clock.
    fence = models.PositiveIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)  # to the queue
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(null=True, blank=True)  # every listener has heard of its end

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["blob", "media_type", "version"], name="reading_once"),
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "parsing"], ended_at__isnull=True)
                | models.Q(state__in=["ready", "partly", "failed", "cancelled"], ended_at__isnull=False),
                name="reading_ended_has_time",
            ),
        )
        indexes = (
            models.Index(
                fields=["created_at"], condition=models.Q(state__in=["queued", "parsing"]), name="reading_open"
            ),
            models.Index(
                fields=["ended_at"], condition=models.Q(announced_at__isnull=True), name="reading_unannounced"
            ),
        )


class Block(models.Model):
    """`place` is a uploads.place.Place; `index` counts from 0 in the order of reading."""

    reading = models.ForeignKey(Reading, on_delete=models.CASCADE, related_name="blocks")
    index = models.PositiveIntegerField()
    kind = models.CharField(max_length=7)
    text = models.TextField()
    headings = models.JSONField(default=list)
    place = models.JSONField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["reading", "index"], name="block_once"),)


class ComputationState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"  # answered, be it by a refusal
    FAILED = "failed"  # nobody has answered in time
    CANCELLED = "cancelled"


COMPUTING = (ComputationState.QUEUED, ComputationState.RUNNING)


class Computation(models.Model):
    """One SELECT over the tables of a file; without `sql`, the question what its tables are.

    Ends exactly once, by compare-and-set on the state. `answer` is the JSON of uploads.computing.codec.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reading = models.ForeignKey(Reading, on_delete=models.CASCADE, related_name="computations")
    sql = models.TextField(blank=True, default="")
    state = models.CharField(max_length=9, choices=ComputationState.choices, default=ComputationState.QUEUED)
    answer = models.TextField(blank=True, default="")
    deadline = models.DateTimeField()  # first for a worker to come, then for the answer
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "running"], ended_at__isnull=True)
                | models.Q(state__in=["done", "failed", "cancelled"], ended_at__isnull=False),
                name="computation_ended_has_time",
            ),
        )
        indexes = (
            models.Index(
                fields=["deadline"], condition=models.Q(state__in=["queued", "running"]), name="computation_open"
            ),
            models.Index(fields=["ended_at"], name="computation_ended"),
        )


class Upload(models.Model):
    """One file as one person has given it. `offset` bytes of it are safe."""

    class State(models.TextChoices):
        RECEIVING = "receiving"
        WHOLE = "whole"
        REFUSED = "refused"

    class Origin(models.TextChoices):
        COMPOSER = "composer"
        COLLECTION = "collection"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=255)
    size_bytes = models.BigIntegerField()
    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.COMPOSER)
    offset = models.BigIntegerField(default=0)
    state = models.CharField(max_length=9, choices=State.choices, default=State.RECEIVING)
    refusal = models.CharField(max_length=20, blank=True, default="")
    # What is unfinished has neither; a whole one has both.
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, blank=True, related_name="uploads")
    reading = models.ForeignKey(Reading, on_delete=models.PROTECT, null=True, blank=True, related_name="uploads")
    created_at = models.DateTimeField(db_default=Now())
    active_at = models.DateTimeField(db_default=Now())  # the last byte
    cancelled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state="whole", blob__isnull=False, reading__isnull=False)
                | models.Q(state__in=["receiving", "refused"], blob__isnull=True, reading__isnull=True),
                name="upload_whole_has_bytes",
            ),
            models.CheckConstraint(
                condition=models.Q(offset__gte=0, offset__lte=models.F("size_bytes")), name="upload_offset_within"
            ),
        )
        indexes = (models.Index(fields=["active_at"], condition=~models.Q(state="whole"), name="upload_unfinished"),)
