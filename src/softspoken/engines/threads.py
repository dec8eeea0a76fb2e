"""How many threads an engine gets, and PyTorch's threads out of the way of another runtime's.

Between two tokens there is little for PyTorch to do. When it shares that among threads, those wait for more work in a
busy loop, on the processors that the runtime needs: it doubles the time of a token.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

THREADS_VARIABLE = "OMP_NUM_THREADS"
_LOCK = threading.Lock()
_inside = 0
_before = 1


def share_threads(asked: int | None) -> int | None:
    """Give PyTorch the threads that were asked for; how many another runtime is to use, None: all.

    None: those of OMP_NUM_THREADS, which PyTorch follows by itself, and without it all.
    """
    if asked is not None:
        torch.set_num_threads(asked)
        return asked
    given = os.environ.get(THREADS_VARIABLE, "")
    return int(given) if given.isdecimal() and int(given) > 0 else None


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Inside, PyTorch computes in the calling thread alone; several threads of the program may be inside at once."""
    global _inside, _before
    with _LOCK:
        if _inside == 0:
            _before = torch.get_num_threads()
            torch.set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_before)
