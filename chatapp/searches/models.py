"""Rows of the web: the team's setting, one search of an answer, and the pages that it has read, as they were then."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class WebSetting(models.Model):
    """The one row of the team's choice; without it the defaults below hold. Keys are encrypted, as an endpoint's are.

    `engine_url`: the team's SearXNG, or the template of any engine that answers with JSON; `engine_fields` are the
    paths of search.web.providers.generic.Fields, `engine_header` the name of the header that carries the key.
    """

    class Engine(models.TextChoices):
        DEFAULT = "default"  # the SearXNG of the configuration; ddgs where it names none
        DDGS = "ddgs"
        SEARXNG = "searxng"
        BRAVE = "brave"
        TAVILY = "tavily"
        JSON = "json"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    is_on = models.BooleanField(default=True)  # off: nothing of a search or a page leaves the house
    confirms_queries = models.BooleanField(default=False)  # whoever asks sees and may change a query before it leaves
    reads_pasted_urls = models.BooleanField(default=True)  # of a question, without the toggle
    engine = models.CharField(max_length=8, choices=Engine.choices, default=Engine.DEFAULT)
    engine_url = models.CharField(max_length=1000, blank=True, default="")
    engine_key = models.BinaryField(blank=True, default=b"")
    engine_header = models.CharField(max_length=100, blank=True, default="")
    engine_fields = models.JSONField(default=dict, blank=True)
    trial = models.JSONField(default=dict, blank=True)  # the report of "try it", as of endpoints
    tried_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="web_setting_one"),)


class SearchState(models.TextChoices):
    PROPOSED = "proposed"  # waits for the person who asked to let its queries go
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"  # what was found, be it nothing
    FAILED = "failed"  # no worker came, or its own code broke
    CANCELLED = "cancelled"  # by the person: skipped, or the answer was stopped


OPEN = (SearchState.PROPOSED, SearchState.QUEUED, SearchState.RUNNING)


class Search(models.Model):
    """One search for an answer: of `queries`, or of `urls` that its question or its model names. Ends exactly once.

    `progress` is what people watch, rewritten while it runs: see chatapp.searches.progress. `changes` counts what they
    could see change. `tries` is the fence: a worker writes only under the number that its claim has given.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    answer = models.ForeignKey("answers.Answer", on_delete=models.CASCADE, related_name="searches")
    ordinal = models.PositiveSmallIntegerField()  # from 1
    call = models.CharField(max_length=20, blank=True, default="")  # of a model that searches: "<round>.<call>"
    question = models.TextField()  # what passages are ranked by
    queries = ArrayField(models.CharField(max_length=400), default=list, blank=True)
    urls = ArrayField(models.CharField(max_length=4096), default=list, blank=True)
    max_pages = models.PositiveSmallIntegerField(default=8)
    prompt_tokens = models.PositiveIntegerField(default=0)  # what writing its queries has cost
    completion_tokens = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=9, choices=SearchState.choices)
    tries = models.PositiveSmallIntegerField(default=0)
    changes = models.PositiveIntegerField(default=0)
    progress = models.JSONField(default=dict, blank=True)
    found = models.JSONField(default=list, blank=True)  # chatapp.searches.found.FoundPassage, best first
    deadline = models.DateTimeField()  # for the person, then for a worker to come, then for its end
    sent_at = models.DateTimeField(null=True, blank=True)  # to the broker, which may lose it
    lease_expires_at = models.DateTimeField(null=True, blank=True)  # unless its worker shows that it lives
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["answer", "ordinal"], name="search_numbered_once"),
            models.UniqueConstraint(
                fields=["answer", "call"], condition=~models.Q(call=""), name="search_of_a_call_once"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["proposed", "queued", "running"], ended_at__isnull=True)
                | models.Q(state__in=["done", "failed", "cancelled"], ended_at__isnull=False),
                name="search_ended_has_time",
            ),
        )
        indexes = (
            models.Index(
                fields=["deadline"],
                condition=models.Q(state__in=["proposed", "queued", "running"]),
                name="search_open",
            ),
        )
        ordering = ("ordinal",)


class SiteIcon(models.Model):
    """A site's small picture, drawn anew as PNG of 32 x 32: no browser asks the site. Empty: it has none."""

    host = models.CharField(primary_key=True, max_length=255)
    png = models.BinaryField(blank=True, default=b"")
    fetched_at = models.DateTimeField(db_default=Now())


class WebPage(models.Model):
    """A page as a search has read it: the frozen copy that citations open. Goes with its search.

    `blocks` are those of search.web.page, or of a PDF's parser, in order: {"kind", "text", "headings", "place"};
    `sha256` is of their texts.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    search = models.ForeignKey(Search, on_delete=models.CASCADE, related_name="pages")
    ordinal = models.PositiveSmallIntegerField()
    url = models.CharField(max_length=4096)
    title = models.CharField(max_length=500, blank=True, default="")
    site = models.CharField(max_length=255, blank=True, default="")
    date = models.DateField(null=True, blank=True)  # what the page says of itself
    language = models.CharField(max_length=20, blank=True, default="")
    is_cut = models.BooleanField(default=False)
    sha256 = models.CharField(max_length=64)
    blocks = models.JSONField()
    read_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["search", "ordinal"], name="web_page_numbered_once"),)
        ordering = ("ordinal",)
