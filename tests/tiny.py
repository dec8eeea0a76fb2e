"""Random small backbones and a byte tokenizer, made in milliseconds: the shape of Whisper without its weights."""

from types import SimpleNamespace

import numpy as np
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from softspoken.backbones import WhisperBackbone
from softspoken.backbones.tokens import TIMESTAMP_COUNT

WIDTH = 32
LAYERS = 2
MAX_FRAMES = 200
"""Encoder positions: windows of up to 4 s."""
MAX_TOKENS = 64

_MERGED = (" -", " '", *(" " + chr(code) for code in (*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1))))
_LANGUAGES = ("en", "zh", "de", "es")
_MULTILINGUAL_SIZE = 51865


class TinyTokenizer:
    """Has the four methods of `tokenizers.Tokenizer` that `WhisperTokens` calls. Bytes, and a space with a letter."""

    def __init__(self, multilingual: bool = False) -> None:
        text = 256 + len(_MERGED)
        special = ["<|endoftext|>", "<|startoftranscript|>"]
        if multilingual:
            special += [f"<|{code}|>" for code in _LANGUAGES]
        special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
        special += ["<|notimestamps|>"]
        if multilingual:
            # Unused text ids: whether a vocabulary is multilingual is told by its size.
            text = _MULTILINGUAL_SIZE - TIMESTAMP_COUNT - len(special)
        self._merged = {piece: 256 + index for index, piece in enumerate(_MERGED)}
        self._pieces = {index: piece for piece, index in self._merged.items()}
        self._special = {token: text + index for index, token in enumerate(special)}
        self.size = text + len(special) + TIMESTAMP_COUNT

    def token_to_id(self, token: str) -> int | None:
        return self._special.get(token)

    def id_to_token(self, index: int) -> str | None:
        return next((token for token, i in self._special.items() if i == index), self._pieces.get(index))

    def encode(self, text: str, add_special_tokens: bool = True) -> SimpleNamespace:
        ids: list[int] = []
        position = 0
        while position < len(text):
            piece = text[position : position + 2]
            if piece in self._merged:
                ids.append(self._merged[piece])
                position += 2
            else:
                ids += text[position].encode()
                position += 1
        return SimpleNamespace(ids=ids)

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        """Special, timestamp and unused ids are left out."""
        known = (bytes([i]) if i < 256 else self._pieces.get(i, "").encode() for i in ids)
        return b"".join(known).decode(errors="replace")


def tiny_backbone(
    seed: int = 0,
    *,
    width: int = WIDTH,
    layers: int = LAYERS,
    mels: int = 80,
    max_frames: int = MAX_FRAMES,
    max_tokens: int = MAX_TOKENS,
    multilingual: bool = False,
) -> WhisperBackbone:
    """A frozen Whisper with random weights, the same for the same arguments. Its transcripts are gibberish."""
    tokenizer = TinyTokenizer(multilingual)
    config = WhisperConfig(
        vocab_size=tokenizer.size,
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * width,
        decoder_ffn_dim=2 * width,
        max_source_positions=max_frames,
        max_target_positions=max_tokens,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Wide enough that the audio and the tokens before decide what comes next.
            if parameter.dim() > 1 and "embed_positions" not in name:
                parameter.normal_(std=1.5 * (parameter[0].numel() ** -0.5))
        model.model.decoder.embed_positions.weight.normal_(std=1.0)
    torch.random.set_rng_state(state)
    return WhisperBackbone(model, tokenizer, f"tiny-{seed}", f"tiny-{seed}-{width}-{layers}")


def tone(seconds: float, seed: int = 0) -> np.ndarray:
    """Something to listen to: a few gliding tones in noise, mono 16 kHz, peak under 0.5."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    sound = sum(np.sin(2 * np.pi * (rng.uniform(100, 2000) + rng.uniform(-200, 200) * time) * time) for _ in range(3))
    return (0.1 * sound + 0.02 * rng.standard_normal(time.size)).astype(np.float32)
