"""Files that softspoken reads, one whole sample of each kind, and how each is read. For tests with damaged ones."""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from prompt_samples import FACTS, prompts_of, reseal
from safetensors.torch import save
from speech_folder import make_speech_folder
from tiny import tiny_backbone
from voices import voice
from whisper_files import ctranslate2_variables, openai_checkpoint, pack_ctranslate2, tiny_model

from softspoken.audio import load_audio
from softspoken.backbones import WhisperBackbone
from softspoken.backbones.ctranslate2 import load_ctranslate2
from softspoken.backbones.openai import load_openai
from softspoken.data.corpus import cut_into_pieces
from softspoken.data.manifest import read_manifest, read_noises, read_texts
from softspoken.errors import SoftspokenError
from softspoken.evaluation.manifest import read_evaluation_manifest
from softspoken.prompts.checkpoint import load_prompts, save_prompts
from softspoken.prompts.folder import CARD_FILE, CONFIG_FILE, TENSOR_FILE
from softspoken.prompts.integrity import INTEGRITY_FILE, verified
from softspoken.prompts.signatures import SIGNATURE_FILE, make_key, sign, signer
from softspoken.speakers.enrolment import Enrolment, from_json, to_json
from softspoken.speakers.store import EnrolmentStore
from softspoken.training.log import LOG
from softspoken.training.recipes import read_recipe
from softspoken.training.run_folder import begin_run, check_same_run
from softspoken.training.state import UNREADABLE, Progress, load_state, save_state, unreadable
from softspoken_lab.noise.language_model import load_language_model
from softspoken_lab.prompts.authors import import_authors
from softspoken_lab.training.fixed_mixtures import read_fixed_mixtures
from softspoken_lab.training.vectors import read_vectors, write_vectors

ARPA = (
    "\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-99\t<s>\t-0.3\n-0.9\t</s>\n-0.6\tthe\t-0.2\n-0.8\tcat\t-0.4\n\n"
    "\\2-grams:\n-0.3\t<s> the\n-0.5\tthe cat\n\n\\end\\\n"
)
RECIPE = 'backbone = "tiny.en"\nsteps = 10\n[prompts.encoder]\nlength = 4\n[data]\nspeech = ["a.jsonl"]\n'


@dataclass(frozen=True)
class Target:
    """A kind of file. `make` writes the sample's folder and returns the file that is damaged; `read` reads that."""

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]


def _written(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content())
        return path

    return make


def _sound(kind: str, subtype: str | None = None) -> Callable[[], bytes]:
    def content() -> bytes:
        file = io.BytesIO()
        soundfile.write(file, voice(0.3, 200.0, seed=1), 16000, format=kind, subtype=subtype)
        return file.getvalue()

    return content


def _prompt(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        save_prompts(prompts_of(), folder / "prompt", backbone=tiny_backbone(), **FACTS)
        return folder / "prompt" / name

    return make


def _resealed(path: Path) -> Any:
    """As a hostile tool would hand it on: damaged, and whole by its digests."""
    reseal(path.parent)
    return load_prompts(path.parent)


def _signed(folder: Path) -> Path:
    path = _prompt(SIGNATURE_FILE)(folder)
    make_key(folder / "key")
    sign(path.parent, folder / "key")
    return path


@cache
def _backbone() -> WhisperBackbone:
    return tiny_backbone()


def _authors() -> bytes:
    state = {
        "soft_prompt_extra_encoder": torch.ones(2, 4, 32),
        "spk_embed_layer.weight": torch.ones(32, 512),
        "spk_embed_layer.bias": torch.ones(32),
    }
    return save(state)


def _voices() -> bytes:
    vector = np.full(4, 0.5, np.float32)
    made = Enrolment("ada", "ge2e", vector, 5.0, "2026-01-01", ("a.wav",), (), voice(0.2, 200.0, seed=1))
    return to_json([made]).encode()


def _store(key: str | None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        store = EnrolmentStore(folder / "voices.db")
        store.import_json(_voices().decode())
        if key is not None:
            store.encrypt(folder / key)
        return store.path

    return make


def _lines(folder: Path, *rows: dict[str, object]) -> Path:
    make_speech_folder(folder, talkers=1, utterances=2, seconds=0.3)
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


_MIXTURE: dict[str, object] = {
    "audio": "s0-0.flac", "enrolment": "s0-1.flac", "text": "one", "target": "a", "talkers": ["a", "b"],
    "duration_s": 0.3, "split": "train", "clean": "s0-0.flac", "tags": ["x"],
    "words": [["one", 0.0, 0.2]],
}  # fmt: skip


def _speech(path: Path) -> Any:
    return cut_into_pieces(read_manifest(path), 0.1, 9.0)


def _run(folder: Path) -> Path:
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    save_state(folder / "state.safetensors", module, optimiser, Progress(3, 0.5, 1.0))
    return folder / "state.safetensors"


def _state(path: Path) -> Any:
    module = torch.nn.Linear(3, 2)
    return load_state(path, module, torch.optim.AdamW(module.parameters()))


def _run_config(folder: Path) -> Path:
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    begin_run(read_recipe(recipe), folder / "run")
    save_state(folder / "run" / "last.safetensors", torch.nn.Linear(1, 1), torch.optim.SGD([torch.ones(1)]), Progress())
    return folder / "run" / "config.json"


def _same_run(path: Path) -> Any:
    check_same_run(read_recipe(path.parent.parent / "recipe.toml"), path.parent)


TARGETS = {
    "ctranslate2": Target(
        _written("model.bin", lambda: pack_ctranslate2(ctranslate2_variables(tiny_model()))), load_ctranslate2
    ),
    "openai": Target(_written("model.pt", lambda: _torch_saved(openai_checkpoint(tiny_model()))), load_openai),
    "authors": Target(_written("a.safetensors", _authors), lambda path: import_authors(path, _backbone())),
    "arpa": Target(_written("lm.arpa", ARPA.encode), load_language_model),
    "arpa, gzip": Target(_written("lm.arpa.gz", lambda: gzip.compress(ARPA.encode())), load_language_model),
    "prompt config": Target(_prompt(CONFIG_FILE), _resealed),
    "prompt tensors": Target(_prompt(TENSOR_FILE), _resealed),
    "prompt card": Target(_prompt(CARD_FILE), _resealed),
    "prompt integrity": Target(_prompt(INTEGRITY_FILE), lambda path: verified(path.parent)),
    "prompt signature": Target(_signed, lambda path: signer(path.parent, path.parent.parent / "key.pub")),
    "training state": Target(_run, _state),
    "run config": Target(_run_config, _same_run),
    "unreadable list": Target(
        _written(UNREADABLE, lambda: b'{"item": 1, "problem": "cut off"}\n' * 2), lambda path: unreadable(path.parent)
    ),
    "recipe": Target(_written("recipe.toml", RECIPE.encode), read_recipe),
    "speech manifest": Target(lambda folder: make_speech_folder(folder, 1, 2, 0.3), _speech),
    "noise manifest": Target(
        lambda folder: _lines(folder, {"path": "s0-0.flac", "split": "train", "duration_s": 0.3}),
        lambda path: read_noises([path]),
    ),
    "evaluation manifest": Target(lambda folder: _lines(folder, _MIXTURE), read_evaluation_manifest),
    "mixture manifest": Target(lambda folder: _lines(folder, _MIXTURE), read_fixed_mixtures),
    "texts": Target(lambda folder: _lines(folder, {"id": "a", "text": "one"}), read_texts),
    "voices of training": Target(lambda folder: _vectors(folder / "v.safetensors"), read_vectors),
    "exported voices": Target(
        _written("voices.json", _voices), lambda path: from_json(path.read_text(encoding="utf-8", errors="replace"))
    ),
    "voices": Target(_store(None), lambda path: EnrolmentStore(path).list()),
    "encrypted voices": Target(_store("key"), lambda path: EnrolmentStore(path).list()),
    "wav": Target(_written("a.wav", _sound("WAV")), load_audio),
    "wav, float": Target(_written("a.wav", _sound("WAV", "FLOAT")), load_audio),
    "aiff": Target(_written("a.aiff", _sound("AIFF")), load_audio),
    "au": Target(_written("a.au", _sound("AU")), load_audio),
    "caf": Target(_written("a.caf", _sound("CAF")), load_audio),
    "flac": Target(_written("a.flac", _sound("FLAC")), load_audio),
    "ogg": Target(_written("a.ogg", _sound("OGG", "VORBIS")), load_audio),
    "mp3": Target(_written("a.mp3", _sound("MP3")), load_audio),
}
_EXTREMES = [
    bytes(4),
    b"\xff" * 4,
    b"\xff" * 8,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"9" * 30,
    b"-1",
    b"1e999",
    b'"',
    b"[" * 20_000,
]


def _torch_saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _vectors(path: Path) -> Path:
    write_vectors(path, {"a": np.ones(4), "b": np.full(4, 2.0)})
    return path


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Up to four changes: bytes flipped, extreme numbers, parts lost, doubled or moved, noise put in."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if not out:
            break
        # Half of them near the beginning, where headers are.
        limit = len(out) if rng.random() < 0.5 else min(len(out), 256)
        at, size = int(rng.integers(limit)), int(2 ** rng.uniform(0, np.log2(len(out)) + 1e-9))
        match int(rng.integers(6)):
            case 0:
                out[at] ^= int(rng.integers(1, 256))
            case 1:
                extreme = _EXTREMES[int(rng.integers(len(_EXTREMES)))]
                out[at : at + len(extreme)] = extreme
            case 2:
                del out[at : at + size]
            case 3:
                out[at:at] = out[at : at + size]
            case 4:
                del out[at:]
            case _:
                out[at:at] = rng.bytes(min(size, 64))
    return bytes(out)


def attempts(name: str, folder: Path, seed: int) -> Iterator[bool]:
    """Endlessly: damage the sample and read it; True where it was taken, False where our own error refused it.

    Whatever else is raised goes on to the caller, as does a message of more than one line (AssertionError).
    """
    target, rng = TARGETS[name], np.random.default_rng(seed)
    path = target.make(folder)
    content = path.read_bytes()
    target.read(path)
    while True:
        path.write_bytes(damaged(content, rng))
        taken = False
        try:
            target.read(path)
            taken = True
        except SoftspokenError as error:
            if "\n" in str(error):
                raise AssertionError(f"several lines: {error}") from error
        yield taken
        for stale in (LOG, INTEGRITY_FILE):
            if stale != path.name:
                with suppress(FileNotFoundError):
                    (path.parent / stale).unlink()


def tried(name: str, folder: Path, count: int, seed: int = 0) -> tuple[int, int]:
    """So many attempts: how many were taken, and how many refused."""
    outcomes = list(islice(attempts(name, folder, seed), count))
    return sum(outcomes), len(outcomes) - sum(outcomes)
