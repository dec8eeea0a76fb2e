"""Pack what a training needs on a machine without a network: `make gpu-package`.

Speech and noise as Opus, texts, speaker embeddings, where long utterances are cut, weights, and wheels of packages that
the other machine lacks. `gpu_session.py` unpacks it there.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from zlib import crc32

from gpu_parts import PartWriter

from softspoken.backbones.embedded import EMBEDDED
from softspoken.data.config import DataConfig, MixingConfig
from softspoken.data.corpus import is_development_talker, load_corpus
from softspoken.data.examples import MixtureDataset
from softspoken.data.manifest import pack_manifest, read_texts, write_texts
from softspoken.data.pauses import cuts_file
from softspoken.data.voices import VoiceCache
from softspoken.packages import PinnedPackage, cache_folder
from softspoken.speakers import load_embedder
from softspoken.speakers.campplus import MEMBER, PACKAGE
from softspoken.training.config import TrainConfig
from softspoken.training.recipes import read_recipe
from softspoken_lab.training.vectors import write_vectors

PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
WHEELS = (
    *(
        "annotated-types",
        "audioread",
        "beartype",
        "cffi",
        "cytoolz",
        "intervaltree",
        "platformdirs",
    ),
    *("jiwer", "pycparser", "pydantic", "pydantic-core", "rapidfuzz", "soundfile", "soxr", "typing-inspection"),
)
"""Of what training imports, what an environment that has PyTorch, transformers and accelerate may lack."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/target-speaker/voices-base.toml"))
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    parser.add_argument("--backbone", nargs="+", default=["base"], help="names of embedded backbones")
    parser.add_argument("--limit-mb", type=float, default=57.0, help="of one part, in 10^6 bytes")
    parser.add_argument("--talkers", type=int, help="only so many that train, and a third of them for development")
    parser.add_argument("--python", default="3.12", help="version on the other machine")
    asked = parser.parse_args()
    config = read_recipe(asked.recipe)
    assert isinstance(config, TrainConfig)
    stage = asked.out / "stage"
    if stage.exists():
        shutil.rmtree(stage)
    begun = time.monotonic()

    def done(what: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {what}", flush=True)

    data = packed_data(config.data, stage, asked.talkers)
    done("speech, noise and texts")
    done(f"embeddings of {packed_voices(data, config.data, stage)} pieces")
    fetch_wheels(stage / "wheels", asked.python)
    done("wheels")
    for old in asked.out.glob("[0-9]*"):
        shutil.rmtree(old)
    writer = PartWriter(asked.out, round(asked.limit_mb * 1e6))
    # Wheels come first: with them the tests can begin before all parts are there.
    staged = (path for path in stage.rglob("*") if path.is_file())
    for path in sorted(staged, key=lambda path: (path.suffix != ".whl", path)):
        writer.add(str(path.relative_to(stage)), path.read_bytes())
    add_weights(writer, PACKAGE, (MEMBER,), 4)
    for name in asked.backbone:
        source, _, _ = EMBEDDED[name].locate()
        for file in source.model:
            add_weights(writer, file.package, (file.member,), 2)
        add_weights(writer, source.tokenizer.package, (source.tokenizer.member,), 1)
    sizes = writer.close()
    shutil.rmtree(stage)
    done("parts: " + ", ".join(f"{size / 1e6:.1f} MB" for size in sizes))


def packed_data(config: DataConfig, stage: Path, talkers: int | None) -> DataConfig:
    """Manifests with their recordings, texts and cuts; where they are, as the recipe for the other machine has it."""
    chosen = [None if talkers is None else some_ids(path, talkers) for path in config.speech]
    speech = tuple(
        pack_manifest(path, stage / path.parent.name, ids=ids) for path, ids in zip(config.speech, chosen, strict=True)
    )
    for old, new in zip(config.speech, speech, strict=True):
        cuts = cache_folder() / cuts_file(old, config.piece_s[1])
        if cuts.is_file():
            target = stage / "cache" / cuts_file(new, config.piece_s[1])
            target.parent.mkdir(parents=True, exist_ok=True)
            ids = {json.loads(line)["id"] for line in new.read_text(encoding="utf-8").splitlines()}
            kept = {name: spans for name, spans in json.loads(cuts.read_text()).items() if name in ids}
            target.write_text(json.dumps(kept), encoding="utf-8")
    noise = tuple(
        pack_manifest(path, stage / path.parent.name, ids=None if talkers is None else first_ids(path, talkers))
        for path in config.noise
    )
    assert config.texts is not None
    write_texts(stage / "texts.jsonl", read_texts(config.texts, rejected=True))
    return config.model_copy(update={"speech": speech, "noise": noise})


def some_ids(manifest: Path, talkers: int) -> set[str]:
    """Utterances of so many talkers that train and a third as many that are put aside, at most eight of each."""
    by_talker: dict[str, list[str]] = defaultdict(list)
    aside = set()
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["split"] == "train":
            name = f"{row['corpus']}:{row['speaker']}"
            by_talker[name].append(row["id"])
            if is_development_talker(row["corpus"], row["speaker"]):
                aside.add(name)
    ordered = sorted(by_talker, key=lambda name: crc32(name.encode()))
    train = [name for name in ordered if name not in aside][:talkers]
    put_aside = [name for name in ordered if name in aside][: max(talkers // 3, 2)]
    return {name for talker in (*train, *put_aside) for name in by_talker[talker][:8]}


def first_ids(manifest: Path, count: int) -> set[str]:
    """The first recordings that train."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    return {row["id"] for row in [row for row in rows if row["split"] == "train"][:count]}


def packed_voices(data: DataConfig, original: DataConfig, stage: Path) -> int:
    """Embeddings of the pieces, those made that no run has made yet: a processor takes half an hour for 34 hours of
    speech, but a GPU, to which every other length is new, cannot spare the minutes. Returns how many."""
    pieces = {piece.id for piece in load_corpus(data).pieces}
    corpus = load_corpus(original)
    embedder = load_embedder("campplus")
    voices = VoiceCache(embedder.name)
    dataset = MixtureDataset(
        corpus,
        {piece.original_id: "" for piece in corpus.pieces},
        embedder.embed,
        lambda audio, voices: voices,
        MixingConfig(),
        seed=0,
        size=1,
        voices=voices,
    )
    wanted = [piece for piece in corpus.pieces if piece.id in pieces]
    write_vectors(stage / "voices.safetensors", {piece.id: dataset.vector(piece) for piece in wanted})
    voices.save()
    return len(wanted)


def fetch_wheels(folder: Path, python: str) -> None:
    """The packages at the versions that are installed here, for the other machine's Python."""
    wanted = [f"{name}=={metadata.version(name)}" for name in WHEELS]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(folder)]
    for platform in PLATFORMS:
        command += ["--platform", f"{platform}_x86_64"]
    subprocess.run([*command, *wanted], check=True)


def add_weights(writer: PartWriter, package: PinnedPackage, members: tuple[str, ...], width: int) -> None:
    """Files of a package as they lie in the cache, with their digests."""
    for member, path in zip(members, package.files(*members), strict=True):
        content = path.read_bytes()
        name = f"cache/packages/{package.folder.name}/{member}"
        writer.add_weights(name, content, width)
        writer.add(f"{name}.sha256", (hashlib.sha256(content).hexdigest() + "\n").encode("ascii"))


if __name__ == "__main__":
    main()
