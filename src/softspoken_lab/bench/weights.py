"""A backbone's weights written in the forms that peers read, so that each loads them in its own way."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import WhisperForConditionalGeneration
from transformers.utils import logging

from softspoken.backbones.checkpoints import read_whisper
from softspoken.backbones.embedded import EMBEDDED
from softspoken.backbones.model import model_of
from softspoken.backbones.openai import DIMENSIONS, RENAMES
from softspoken.backbones.tokens import TIMESTAMP_COUNT, TIMESTAMP_STEP_S, WhisperTokens
from softspoken.files import replacing
from softspoken_lab.bench.contract import AbsentError
from softspoken_lab.bench.specs import WeightsForm


class Weights:
    """One backbone, written into `folder` when and as it is asked for."""

    def __init__(self, reference: str, folder: Path) -> None:
        """Raises BackboneError where there is no such backbone."""
        self.stored = read_whisper(reference)
        self.model = model_of(self.stored)
        self.reference = reference
        self._folder = folder
        self._tokens = WhisperTokens(self.stored.tokenizer, self.model.config.vocab_size)
        self._written: dict[WeightsForm, Path] = {}

    def count_tokens(self, text: str) -> int:
        """Text tokens of this backbone, the same way for all contenders."""
        return len(self._tokens.encode(" " + text)) if text.strip() else 0

    def path(self, form: WeightsForm) -> Path:
        """The folder or file. Raises AbsentError where the weights do not come in this form."""
        if form not in self._written:
            write = {"ctranslate2": self._ctranslate2, "transformers": self._transformers, "openai": self._openai}
            self._written[form] = write[form](self._folder / form)
        return self._written[form]

    def _ctranslate2(self, folder: Path) -> Path:
        own = Path(self.reference).expanduser()
        if (own / "model.bin").is_file():
            return own
        embedded = EMBEDDED.get(self.stored.name)
        if embedded is None:
            raise AbsentError("give an embedded backbone, or a folder in CTranslate2's form, to compare with it")
        folder.mkdir()
        _, parts, _ = embedded.locate()
        with (folder / "model.bin").open("wb") as file:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file)
        self.stored.tokenizer.save(str(folder / "tokenizer.json"))
        write_json(folder / "vocabulary.json", self._vocabulary())
        write_json(folder / "config.json", self._ctranslate2_config())
        return folder

    def _ctranslate2_config(self) -> dict[str, Any]:
        tokens, config = self._tokens, self.model.config
        # The heads that follow the audio are needed for times of words alone, which nobody asks for here.
        heads = [[config.decoder_layers - 1, head] for head in range(config.decoder_attention_heads)]
        return {
            "alignment_heads": heads,
            "lang_ids": sorted(tokens.languages.values()),
            "suppress_ids": list(tokens.suppressed),
            "suppress_ids_begin": [*tokens.encode(" "), tokens.end_of_text],
        }

    def _vocabulary(self) -> list[str]:
        """Every id's entry; times need not be among the tokenizer's."""
        times = {
            self._tokens.timestamp_begin + step: f"<|{step * TIMESTAMP_STEP_S:.2f}|>" for step in range(TIMESTAMP_COUNT)
        }
        size = self.model.config.vocab_size
        entries = (self.stored.tokenizer.id_to_token(index) for index in range(size))
        return [times.get(index, f"<|{index}|>") if entry is None else entry for index, entry in enumerate(entries)]

    def _transformers(self, folder: Path) -> Path:
        tokens, model = self._tokens, self.model
        settings = {
            "is_multilingual": tokens.multilingual,
            "no_timestamps_token_id": tokens.no_timestamps,
            "suppress_tokens": list(tokens.suppressed),
            "begin_suppress_tokens": [*tokens.encode(" "), tokens.end_of_text],
            "max_length": model.config.max_target_positions,
            "decoder_start_token_id": tokens.start_of_transcript,
            "eos_token_id": tokens.end_of_text,
            "pad_token_id": tokens.end_of_text,
            "return_timestamps": False,
        }
        if tokens.multilingual:
            settings["lang_to_id"] = {f"<|{code}|>": index for code, index in tokens.languages.items()}
            settings["task_to_id"] = {"transcribe": tokens.transcribe, "translate": tokens.translate}
        else:
            settings["forced_decoder_ids"] = None
        for name, value in settings.items():
            setattr(model.generation_config, name, value)
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        model.save_pretrained(folder)
        if shown:
            logging.enable_progress_bar()
        self.stored.tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    def _openai(self, folder: Path) -> Path:
        folder.mkdir()
        return save_openai(self.model, folder / "model.pt")


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def rename_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `rename_openai`; the output projection is left out, OpenAI's is the token embedding."""
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("proj_out."):
            continue
        new = name.removeprefix("model.").replace(".embed_positions.weight", ".positional_embedding")
        for replacement, old in RENAMES:
            new = new.replace(old, replacement)
        renamed[new] = tensor
    return renamed


def save_openai(model: WhisperForConditionalGeneration, path: Path) -> Path:
    """Write a model as the OpenAI file that `load_openai` and openai-whisper read."""
    config = model.config
    dims = {theirs: getattr(config, ours) for theirs, ours in DIMENSIONS.items()}
    dims |= {"n_audio_head": config.encoder_attention_heads, "n_text_head": config.decoder_attention_heads}
    state = {name: tensor.detach().contiguous() for name, tensor in rename_transformers(model.state_dict()).items()}
    with replacing(path) as temporary:
        torch.save({"dims": dims, "model_state_dict": state}, temporary)
    return path
