"""Reading while computing: the next item is read in a thread while the last one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Request = TypeVar("Request")
Item = TypeVar("Item")


def one_ahead(read: Callable[[Request], Item], requests: Iterable[Request]) -> Iterator[Item]:
    """read(request) of every request, in order. At most two items are in memory; an error comes out where its item would have."""
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Item] | None = None
        for request in requests:
            following = pool.submit(read, request)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
