"""Threads of a server share the memory that others have freed."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has pools for threads")

PROGRAM = """
import ctypes, sys, threading
if sys.argv[2] == "shared":
    from softspoken.serve.run import share_freed_memory
    share_freed_memory()
meeting = threading.Barrier(12)
def work():
    held = [bytearray(50_000) for _ in range(100)]
    meeting.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def pools(folder: Path, how: str) -> int:
    """Pools of memory after twelve threads have worked at the same time."""
    subprocess.run([sys.executable, "-c", PROGRAM, str(folder / how), how], check=True, timeout=60)
    return (folder / how).read_text().count("<heap nr=")


def test_threads_share_two_pools_of_memory(tmp_path: Path) -> None:
    assert pools(tmp_path, "shared") == 2
    assert pools(tmp_path, "alone") > 2
