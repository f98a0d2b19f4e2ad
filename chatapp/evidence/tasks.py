"""Celery tasks of evidence, queue `default`. Thin, and safe to run twice."""

import logging
from uuid import UUID

from celery import current_app, shared_task
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from chatapp.answers.events import AnswerChecked
from chatapp.answers.log import BlockingEventLog
from chatapp.answers.models import ENDED, Answer
from chatapp.evidence.checking import check_sentences
from chatapp.evidence.models import Evidence
from chatapp.evidence.services import remove_unused_excerpts, store_checks

logger = logging.getLogger(__name__)

CHECK_ANSWER = "chatapp.evidence.tasks.check_answer"


def ask_for_check(answer_id: UUID) -> None:
    """Called when an answer has ended: its cited sentences are held against what they cite."""
    if not Evidence.objects.filter(answer=answer_id).exists():
        return
    try:
        current_app.send_task(CHECK_ANSWER, (str(answer_id),), expires=3600, retry=False)
    except OperationalError as error:
        logger.warning("check of answer %s not asked for: %s", answer_id, type(error).__name__)


@shared_task(name=CHECK_ANSWER)
def check_answer(answer_id: str) -> None:
    answer = Answer.objects.select_related("message").filter(pk=UUID(answer_id), status__in=ENDED).first()
    if answer is None:
        return
    checks = check_sentences(answer)
    store_checks(answer.pk, checks)
    logger.info("answer %s checked sentences=%d", answer.pk, len(checks))
    if not checks:
        return
    try:
        BlockingEventLog().append(answer.message.conversation_id, AnswerChecked(answer.pk, answer.message_id))
    except RedisError as error:
        logger.warning("check of answer %s not announced: %s", answer.pk, type(error).__name__)


@shared_task(name="chatapp.evidence.tasks.remove_unused_texts")
def remove_unused_texts() -> None:
    """Nightly: the texts of evidence whose answers were purged."""
    logger.info("evidence: %d unused texts removed", remove_unused_excerpts())
