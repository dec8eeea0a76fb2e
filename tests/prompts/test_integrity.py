"""A stored folder is refused as soon as one byte of it is another, with the name of what was changed."""

import ast
import json
import sys
from pathlib import Path

import pytest
from prompt_samples import SILENCE, contents, prompts_of, reseal
from safetensors.torch import load_file, save
from tiny import tiny_backbone

from softspoken.defaults import EMBEDDER_FINGERPRINTS
from softspoken.errors import PromptDamaged, PromptMismatch
from softspoken.prompts import integrity, signatures
from softspoken.prompts.checkpoint import SHIPPED, load_prompts, save_prompts, shipped_prompts
from softspoken.prompts.folder import CARD_FILE, CONFIG_FILE, TENSOR_FILE
from softspoken.prompts.integrity import INTEGRITY_FILE, read_integrity, verified
from softspoken.speakers import campplus, torch_embedders
from softspoken_lab.measures.silence_fit import store_silence

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from tamper import tampered


def said_of(folder: Path) -> str:
    with pytest.raises(PromptDamaged, match="refused") as caught:
        load_prompts(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def replace(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_byte_of_a_prompt_counts(stored: Path) -> None:
    """All of its small files and of the header, and some of the tensors."""
    outcomes = list(tampered(stored, sampled=200, stride=7))
    assert {name for name, _, _ in outcomes} == {CONFIG_FILE, TENSOR_FILE, CARD_FILE, INTEGRITY_FILE}
    assert [(name, position, said) for name, position, said in outcomes if said is None or name not in said] == []


@pytest.mark.parametrize("name", shipped_prompts())
def test_bytes_of_the_shipped_prompts_count(name: str) -> None:
    """A sample; `tools/tamper.py` tries them all."""
    outcomes = list(tampered(SHIPPED / name, sampled=100, stride=97))
    assert len(outcomes) > 50
    assert [(name, position, said) for name, position, said in outcomes if said is None or name not in said] == []


def test_what_was_changed_is_named(stored: Path) -> None:
    replace(stored, CONFIG_FILE, '"window": "30s"', '"window": "audio"')
    assert f"was changed: {CONFIG_FILE}: 'window'; refused" in said_of(stored)
    replace(stored, CONFIG_FILE, '"window": "audio"', '"window":  "30s"')
    assert f"{CONFIG_FILE} (spelling or header; no part)" in said_of(stored)
    replace(stored, CONFIG_FILE, '"window":  "30s"', '"window": "30s"')
    load_prompts(stored)
    tensors = load_file(stored / TENSOR_FILE)
    tensors["stacks.encoder.vectors"][1, 2, 3] += 1e-4
    tensors["speaker_mean"][0] += 1e-4
    (stored / TENSOR_FILE).write_bytes(save(tensors, metadata={"format": "pt"}))
    said = said_of(stored)
    assert f"{TENSOR_FILE}: tensor 'speaker_mean'" in said or f"{TENSOR_FILE}: tensor 'stacks.encoder.vectors'" in said
    assert "and 1 more" in said


@pytest.mark.parametrize(
    "change", [lambda text: text.replace('"bytes"', '"bytes" '), lambda text: text + "\n", lambda text: text[:-2]]
)
def test_the_integrity_file_has_one_spelling(stored: Path, change: object) -> None:
    path = stored / INTEGRITY_FILE
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    assert f"{INTEGRITY_FILE} was changed" in said_of(stored)


def test_a_folder_without_it_is_refused(stored: Path) -> None:
    (stored / INTEGRITY_FILE).unlink()
    with pytest.raises(PromptDamaged, match="nobody can tell whether it was changed"):
        load_prompts(stored)


def test_only_files_of_the_folder_are_read(stored: Path) -> None:
    (stored.parent / "secret").write_bytes(b"secret")
    reseal(stored)
    files = contents(stored)
    files.pop(INTEGRITY_FILE)
    made = integrity.sealed(files | {"../secret": b"secret"})
    (stored / INTEGRITY_FILE).write_bytes(made[INTEGRITY_FILE])
    assert "outside of the folder" in said_of(stored)
    made = integrity.sealed({CONFIG_FILE: files[CONFIG_FILE]})
    (stored / INTEGRITY_FILE).write_bytes(made[INTEGRITY_FILE])
    assert f"knows no {TENSOR_FILE}" in said_of(stored)


def test_the_identity_is_that_of_what_is_heard(tmp_path: Path) -> None:
    def identity(name: str, seed: int = 1, **facts: object) -> str:
        save_prompts(prompts_of(seed=seed), tmp_path / name, backbone=tiny_backbone(), **facts)
        return read_integrity(tmp_path / name).identity

    first = identity("first", embedder="ge2e", training={"steps": 1})
    assert identity("noted otherwise", embedder="ge2e", training={"steps": 2}, licence="mit") == first
    others = [
        identity("other voices", embedder="campplus"),
        identity("other tensors", seed=2, embedder="ge2e"),
        identity("other windows", embedder="ge2e", window="30s"),
    ]
    store_silence(tmp_path / "first", SILENCE, tmp_path / "silent")
    others.append(read_integrity(tmp_path / "silent").identity)
    assert len({first, *others}) == 5
    assert verified(tmp_path / "first").identity == first


def test_a_prompt_knows_its_embedder(stored: Path) -> None:
    assert {"campplus": campplus.TENSORS_SHA256, "ge2e": torch_embedders.TENSORS_SHA256} == EMBEDDER_FINGERPRINTS
    assert load_prompts(stored).info.embedder_fingerprint == torch_embedders.TENSORS_SHA256
    path = stored / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"embedder_fingerprint": "0" * 64}))
    reseal(stored)
    with pytest.raises(PromptMismatch, match="fingerprint 000000000000, this version has 8a18c89b46ea; update"):
        load_prompts(stored)


@pytest.mark.parametrize("module", [integrity, signatures])
def test_checking_needs_no_torch(module: object) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())  # type: ignore[attr-defined]
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "torch" not in imported
