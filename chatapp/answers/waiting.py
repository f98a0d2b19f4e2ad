"""Tells people how many are before them, while every place of the runners is taken."""

from datetime import timedelta

from django.db.models.functions import Now

from chatapp.answers.claims import places
from chatapp.answers.events import Notice
from chatapp.answers.log import BlockingEventLog
from chatapp.answers.models import Answer, Status

# Who has just asked is about to be claimed.
GRACE = timedelta(seconds=2)
BATCH = 100  # whoever stands further back is told when they have come nearer


def tell_places() -> int:
    """Of queued answers whose place is another than they were told; how many. Raises RedisError."""
    told = 0
    known = dict(places(BATCH))
    waiting = Answer.objects.filter(pk__in=known, status=Status.QUEUED, created_at__lt=Now() - GRACE)
    for answer in waiting.select_related("message").only("id", "notices", "message__conversation_id"):
        params = {"position": known[answer.pk]}
        notices = [{"code": "queued", "params": params}]
        if answer.notices == notices:
            continue
        if Answer.objects.filter(pk=answer.pk, status=Status.QUEUED).update(notices=notices):
            notice = Notice(answer.pk, answer.message_id, "queued", params)
            BlockingEventLog().append(answer.message.conversation_id, notice)
            told += 1
    return told
