"""Tasks that swallow their cancellation, as those that wait for Valkey sometimes do, are ended all the same."""

import asyncio

from chatapp.ending import end_tasks


async def test_a_task_that_swallows_its_cancellation_is_asked_again() -> None:
    swallowed = 0

    async def deaf() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed == 2:
                    raise
                swallowed += 1

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end_tasks(task)
    assert task.cancelled() and swallowed == 2


async def test_errors_stay_in_the_tasks() -> None:
    async def failing() -> None:
        raise ValueError("seen")

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    await end_tasks(task, asyncio.create_task(asyncio.sleep(60)))
    assert isinstance(task.exception(), ValueError)


async def test_nothing_to_end_is_fine() -> None:
    await end_tasks()
