"""`manage.py run_answers`: the runner process. SIGTERM and SIGINT save and release what is running."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from chatapp.answers.runner import Runner, prepare_site
from chatapp.programs.runner import CallRunner


class Command(BaseCommand):
    help = "Answers queued questions, and the calls of programs: the runner."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_run())


async def _run() -> None:
    runners = (Runner(), CallRunner())
    loop = asyncio.get_running_loop()
    working = asyncio.create_task(_work(runners))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: [runner.stop() for runner in runners])
    await working


async def _work(runners: tuple[Runner, CallRunner]) -> None:
    """An error of one ends both, and the process: its supervisor starts it again."""
    await prepare_site()
    async with asyncio.TaskGroup() as group:
        for runner in runners:
            group.create_task(runner.run())
