"""Requests that come together are answered together: an encoder reads forty short texts in little more than the time
of one."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST = 64  # items that are read at once: more make the first wait


class Batcher(Generic[Item, Answer]):
    """Collects what is asked while the last batch is being answered, in one thread."""

    def __init__(self, answer: Callable[[list[Item]], Sequence[Answer]]) -> None:
        self._answer = answer
        self._waiting: asyncio.Queue[tuple[list[Item], asyncio.Future[list[Answer]]]] = asyncio.Queue()

    async def ask(self, items: list[Item]) -> list[Answer]:
        """The answers to these items, in their order. Raises what `answer` raised."""
        if not items:
            return []
        found: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        await self._waiting.put((items, found))
        return await found

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            together = [await self._waiting.get()]
            while sum(len(items) for items, _ in together) < MOST and not self._waiting.empty():
                together.append(self._waiting.get_nowait())
            asked = [item for items, _ in together for item in items]
            try:
                said = list(await asyncio.to_thread(self._answer, asked))
            except Exception:  # one request may be at fault: each by itself, and whoever is at fault gets the error
                for items, found in together:
                    await self._alone(items, found)
                continue
            for items, found in together:
                _settle(found, said[: len(items)])
                said = said[len(items) :]

    async def _alone(self, items: list[Item], found: "asyncio.Future[list[Answer]]") -> None:
        try:
            _settle(found, list(await asyncio.to_thread(self._answer, items)))
        except Exception as error:
            if not found.done():
                found.set_exception(error)


def _settle(found: "asyncio.Future[list[Answer]]", said: list[Answer]) -> None:
    if not found.done():  # else a caller that went away
        found.set_result(said)
