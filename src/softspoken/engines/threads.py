"""PyTorch's threads out of the way of another runtime's.

Between two tokens there is little for PyTorch to do. When it shares that among threads, those wait for more work in a
busy loop, on the processors that the runtime needs: it doubles the time of a token.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.Lock()
_inside = 0
_before = 1


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
