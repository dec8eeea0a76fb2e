"""Damaged files of every kind that is read: they are taken or refused in one line, and never cost much memory.

`tools/fuzz.py` does the same for longer, with the memory of the process limited.
"""

import tracemalloc
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, tried

MOST_BYTES = 200e6
COUNT = 25


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_file_is_taken_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        taken, refused = tried(name, tmp_path, COUNT)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert taken + refused == COUNT
