"""Engines and precisions by the names that commands take."""

from enum import StrEnum
from typing import Annotated

import typer


class EngineChoice(StrEnum):
    """What `--engine` takes."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class PrecisionChoice(StrEnum):
    """What `--precision` takes."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    INT8 = "int8"


MeasuringEngine = Annotated[
    EngineChoice, typer.Option("--engine", help="Software that runs the model; 'torch', in float32, is the reference.")
]
"""`--engine` of what measures."""
