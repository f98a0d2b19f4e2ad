"""`manage.py run_answers`: the runner process. SIGTERM and SIGINT save and release what is running."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from chatapp.answers.runner import Runner, prepare_site


class Command(BaseCommand):
    help = "Answers queued questions: the runner."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_run())


async def _run() -> None:
    runner = Runner()
    loop = asyncio.get_running_loop()
    working = asyncio.create_task(_work(runner))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runner.stop)
    await working


async def _work(runner: Runner) -> None:
    await prepare_site()
    await runner.run()
