"""Celery tasks of endpoints, queue `default`. Thin, and safe to run twice."""

import asyncio
import logging
from uuid import UUID

from celery import shared_task

from chatapp.endpoints.client import EndpointClient
from chatapp.endpoints.dialects import Target
from chatapp.endpoints.models import Endpoint
from chatapp.endpoints.probe import ProbeLine, ProbeReport, probe
from chatapp.endpoints.secrets import KeyUnreadable
from chatapp.endpoints.services import store_probe, target_of
from chatapp.endpoints.trials import is_wanted

logger = logging.getLogger(__name__)


@shared_task(name="chatapp.endpoints.tasks.try_endpoint")
def try_endpoint(endpoint_id: str, trial: str) -> None:
    if not is_wanted(UUID(endpoint_id), trial):
        return
    endpoint = Endpoint.objects.get(pk=endpoint_id)
    try:
        report = asyncio.run(_probe(target_of(endpoint)))
    except KeyUnreadable as error:
        report = ProbeReport(False, (ProbeLine("answer", "no", str(error)),))
    logger.info("endpoint %s tried ok=%s", endpoint_id, report.ok)
    if is_wanted(UUID(endpoint_id), trial):
        store_probe(endpoint.id, report)


async def _probe(target: Target) -> ProbeReport:
    async with EndpointClient() as client:
        return await probe(client, target)
