"""Who takes part: names, what makes them, and how each is set. Nothing heavy is imported before it is loaded.

A new engine of ours is one more entry of `ENGINES`, and `ours.make_engine` makes it.
"""

from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Literal

ENGINES: tuple[tuple[str, str], ...] = (
    ("torch", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)
"""Engines of ours and their precisions, as `engines.load_engine` has them."""
_MODULES = {"openvino": "openvino"}
"""What an engine needs besides torch."""
VERSIONS = (
    *("faster-whisper", "ctranslate2", "transformers", "openai-whisper", "torch", "openvino", "onnxruntime", "numpy"),
)
"""Packages on whose version speed depends."""

WeightsForm = Literal["ctranslate2", "transformers", "openai"]
"""What a peer reads its weights from; see `weights`."""


@dataclass(frozen=True)
class ContenderSpec:
    """A contender that has not been loaded yet."""

    name: str
    factory: str
    """'module:function' (see `contract`)."""
    arguments: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    """How it is set, for the table."""
    peer: bool = False
    module: str | None = None
    """What must be installed for it."""
    weights: WeightsForm | None = None
    """In which form it gets the backbone's weights (argument `weights`, a path); None: argument `backbone`, a name."""
    together: bool = False
    """All items as one batch."""
    scored: bool = True
    """Whether what it writes means anything."""

    @property
    def engine(self) -> str | None:
        """Of ours, the engine and its precision; None: somebody else's."""
        return None if self.peer else f"{self.arguments['engine']}-{self.arguments['precision']}"

    @property
    def installed(self) -> bool:
        return self.module is None or find_spec(self.module) is not None


def versions() -> dict[str, str]:
    """Of the packages that contenders run on, where they are installed."""
    found = {}
    for package in VERSIONS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def plain() -> list[ContenderSpec]:
    """Ours without a prompt."""
    return [_ours(*each, "plain", "", "no prompt, 30 s windows, greedy") for each in ENGINES]


def short(together: bool = False) -> list[ContenderSpec]:
    """Ours with a prompt for windows as long as their audio, alone and, where `together`, with all clips as a batch."""
    note = "prompted, windows as long as the audio, greedy"
    found = []
    for each in ENGINES:
        found.append(_ours(*each, "short", "-short", note))
        if together:
            batched = _ours(*each, "short", "-short-batch", f"{note}, all clips as one batch")
            found.append(replace(batched, together=True))
    return found


def target() -> list[ContenderSpec]:
    """Ours following enrolled voices."""
    note = "prompted for each voice, all voices as one batch, greedy"
    return [_ours(*each, "target", "-target", note) for each in ENGINES]


def forced() -> list[ContenderSpec]:
    """Each engine of ours with and without prompts, on text that is given."""
    notes = {
        None: "no prompt",
        "short": "the prompt for short windows",
        "target": "the target-speaker prompt, where the voice sounds is known",
        "target-measured": "the same, where the voice sounds is measured within the time",
    }
    return [
        ContenderSpec(
            f"softspoken-{engine}-{precision}-forced{'' if prompt is None else f'-{prompt}'}",
            "softspoken_lab.bench.overhead:forced",
            {"engine": engine, "precision": precision, "prompt": prompt},
            note=f"{note}, windows as long as the audio, a given number of tokens",
            module=_MODULES.get(engine),
            scored=False,
        )
        for engine, precision in ENGINES
        for prompt, note in notes.items()
    ]


def _ours(engine: str, precision: str, function: str, suffix: str, note: str) -> ContenderSpec:
    return ContenderSpec(
        f"softspoken-{engine}-{precision}{suffix}",
        f"softspoken_lab.bench.ours:{function}",
        {"engine": engine, "precision": precision},
        note=note,
        module=_MODULES.get(engine),
    )


def peers(together: bool = False) -> list[ContenderSpec]:
    """Programs that people use today, each with its own defaults but for what `note` says."""
    faster = [
        ContenderSpec(
            f"faster-whisper-{precision}",
            "softspoken_lab.bench.peers:faster_whisper",
            {"compute_type": precision},
            note="beam 1, no conditioning on earlier text, else its defaults",
            peer=True,
            module="faster_whisper",
            weights="ctranslate2",
        )
        for precision in ("int8", "float32")
    ]
    transformers = [
        ContenderSpec(
            f"transformers{'-batch' if batch else ''}",
            "softspoken_lab.bench.peers:transformers",
            note="generate, greedy, 30 s windows, no timestamps" + (", all clips as one batch" if batch else ""),
            peer=True,
            module="transformers",
            weights="transformers",
            together=batch,
        )
        for batch in ((False, True) if together else (False,))
    ]
    return [*faster, *transformers, _openai("openai-whisper", "whisper", "no conditioning on earlier text")]


def hooks() -> ContenderSpec:
    """How the target-speaker paper's authors evaluate."""
    return _openai(
        "openai-whisper-hooks",
        "hooked",
        "the authors' way: one target, 30 s, deep prompts by hooks; random prompts, as many tokens as the reference",
        scored=False,
    )


def engine_names() -> tuple[str, ...]:
    """Every engine of ours that can be asked for."""
    return tuple(f"{engine}-{precision}" for engine, precision in ENGINES)


def peer_names() -> tuple[str, ...]:
    """Every peer that can be asked for."""
    return tuple(spec.name for spec in (*peers(together=True), hooks()))


def _openai(name: str, function: str, note: str, scored: bool = True) -> ContenderSpec:
    return ContenderSpec(
        name,
        f"softspoken_lab.bench.openai_whisper:{function}",
        note=note,
        peer=True,
        module="whisper",
        weights="openai",
        scored=scored,
    )
