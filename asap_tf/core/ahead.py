"""Reading ahead: a function mapped over items by threads, in order, a few results in advance."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int = 1, ahead: int = 4
) -> Iterator[Iterator[Result]]:
    """Results of `function` in the order of `items`, computed while earlier ones are in use.

    An error of `function` is raised where its result would have come. At the end of the block
    nothing runs any more: what has begun is waited for, what has not is dropped.

    Args:
        function: Called by the threads; with a single one, on one item after the other.
        items: Taken from the calling thread, at most `ahead` beyond the result in use, so that
            they may be endless.
        threads: Number of threads.
        ahead: Number of results, finished or not, that wait to be used.

    Yields:
        An iterator over the results.

    Examples:
        >>> with map_ahead(read_image, paths, threads=4) as frames:
        ...     for frame in frames:
        ...         segmenter.predict(frame[np.newaxis])
    """
    pool = ThreadPoolExecutor(threads)

    def results() -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield results()
    finally:
        pool.shutdown(cancel_futures=True)
