import subprocess
import sys

LIFE = """
import os, signal
import openvino
from openvino import opset13 as op
from softspoken.openvino_core import openvino_core

def compiled():
    x = op.parameter([1, 4], openvino.Type.f32)
    return openvino_core().compile_model(openvino.Model([op.relu(x)], [x], "m"), "CPU", {"INFERENCE_NUM_THREADS": 1})

signal.signal(signal.SIGCHLD, lambda *_: None)
first, second, third = compiled(), compiled(), compiled()
for _ in range(3):
    first, second, third = second, third, compiled()
del first, second
del third
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print("alive")
"""


def test_the_process_outlives_a_signal_after_models_came_and_went() -> None:
    """With `openvino.Core` for each model it dies of a segmentation fault, without a word."""
    ended = subprocess.run([sys.executable, "-c", LIFE], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr
