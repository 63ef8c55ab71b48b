"""Work done ahead by threads, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice


def in_order(function: Callable, items: Iterable, threads: int, ahead: int) -> Iterator:
    """`map(function, items)` by `threads` threads, at most `ahead` items before the one that is asked for.

    Threads, not processes: Pillow, NumPy and torch work outside of Python's lock, and threads need no `__main__`
    guard on macOS, copy nothing between processes, and leave no orphans when the process is killed.
    """
    pool, todo, waiting = ThreadPoolExecutor(threads), iter(items), deque()
    try:
        while True:
            for item in islice(todo, ahead - len(waiting)):  # not all at once: results wait in memory
                waiting.append(pool.submit(function, item))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
