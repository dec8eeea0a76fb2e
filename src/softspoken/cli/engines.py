"""Engines and precisions by the names that commands take."""

from enum import StrEnum


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
