"""Work done ahead by threads, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Barrier


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


def one_core_each() -> ThreadPoolExecutor | None:
    """As many threads as torch uses, each running its torch operations alone; None where torch uses one.

    For many small operations that is several times faster than OpenMP's way, which makes all threads meet after
    each of them, and wait long where another program holds a core.
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1:
        return None
    ready = Barrier(threads + 1)

    def alone():
        torch.get_num_threads()  # torch sets up a thread at its first use, and would undo the next line then
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, initializer=alone)
    for _ in range(threads):
        pool.submit(int)  # starts a thread
    ready.wait()
    torch.set_num_threads(threads)  # what threads that are born later take over
    return pool
