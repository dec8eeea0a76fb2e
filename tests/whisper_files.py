"""Small random Whispers written in every layout that can be read; the writers share no code with the readers."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

from softspoken.backbones.checkpoints import read_whisper
from softspoken.backbones.model import filled, model_of
from softspoken.backbones.weights import Arrays, StoredWeights, checked_weights
from softspoken.backbones.weights import WhisperConfig as Sizes

HEADS = 2
WORDS = ("th", "the", "Ġthe", "in", "Ġin", "an", "and", "Ġand")
SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)


def tiny_tokenizer() -> Tokenizer:
    """Byte-level BPE with a handful of merges and Whisper's special entries."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {entry: index for index, entry in enumerate([*letters, *WORDS])}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("Ġ", "in"), ("a", "n"), ("an", "d"), ("Ġ", "and")]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(entry, special=True, normalized=False) for entry in SPECIAL])
    return tokenizer


def vocabulary_of(tokenizer: Tokenizer) -> list[str]:
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)


def tiny_model(
    seed: int = 0, mels: int = 80, vocabulary: int = 300, frames: int = 50
) -> WhisperForConditionalGeneration:
    """Two layers, width 32, random weights and biases."""
    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=64,
        decoder_ffn_dim=48,
        num_mel_bins=mels,
        vocab_size=vocabulary,
        max_source_positions=frames,
        max_target_positions=40,
        pad_token_id=None,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name != "model.encoder.embed_positions.weight":
                parameter.normal_(std=0.3)
    return model


def weights_of(model: WhisperForConditionalGeneration) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def write_hub(model: WhisperForConditionalGeneration, folder: Path, shard_size: str = "1GB") -> Path:
    """transformers' own layout, written by transformers."""
    model.save_pretrained(folder, max_shard_size=shard_size)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def write_hub_for_converters(model: WhisperForConditionalGeneration, folder: Path) -> Path:
    """The same with the files that other programs want beside it."""
    write_hub(model, folder)
    PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer(), unk_token="<|endoftext|>").save_pretrained(folder)
    return folder


def openai_checkpoint(model: WhisperForConditionalGeneration) -> dict[str, object]:
    """What OpenAI's code saves: the dimensions and the weights under its own names."""
    state = weights_of(model)
    config = model.config
    renamed: dict[str, torch.Tensor] = {}

    def copy(theirs: str, ours: str, *kinds: str) -> None:
        for kind in kinds or ("weight", "bias"):
            renamed[f"{theirs}.{kind}"] = state[f"model.{ours}.{kind}"]

    def attention(theirs: str, ours: str) -> None:
        for their, our in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("out", "out_proj")):
            copy(f"{theirs}.{their}", f"{ours}.{our}", *(("weight",) if their == "key" else ()))

    for stack, final in (("encoder", "ln_post"), ("decoder", "ln")):
        renamed[f"{stack}.positional_embedding"] = state[f"model.{stack}.embed_positions.weight"]
        copy(f"{stack}.{final}", f"{stack}.layer_norm")
        for layer in range(2):
            theirs, ours = f"{stack}.blocks.{layer}", f"{stack}.layers.{layer}"
            attention(f"{theirs}.attn", f"{ours}.self_attn")
            copy(f"{theirs}.attn_ln", f"{ours}.self_attn_layer_norm")
            if stack == "decoder":
                attention(f"{theirs}.cross_attn", f"{ours}.encoder_attn")
                copy(f"{theirs}.cross_attn_ln", f"{ours}.encoder_attn_layer_norm")
            copy(f"{theirs}.mlp.0", f"{ours}.fc1")
            copy(f"{theirs}.mlp.2", f"{ours}.fc2")
            copy(f"{theirs}.mlp_ln", f"{ours}.final_layer_norm")
    copy("encoder.conv1", "encoder.conv1")
    copy("encoder.conv2", "encoder.conv2")
    copy("decoder.token_embedding", "decoder.embed_tokens", "weight")
    dims = {
        "n_mels": config.num_mel_bins,
        "n_vocab": config.vocab_size,
        "n_audio_ctx": config.max_source_positions,
        "n_audio_state": config.d_model,
        "n_audio_head": HEADS,
        "n_audio_layer": 2,
        "n_text_ctx": config.max_target_positions,
        "n_text_state": config.d_model,
        "n_text_head": HEADS,
        "n_text_layer": 2,
    }
    return {"dims": dims, "model_state_dict": renamed}


def ctranslate2_variables(model: WhisperForConditionalGeneration) -> dict[str, np.ndarray]:
    """The variables of a CTranslate2 WhisperSpec in float32; the output projection is left to an alias."""
    state = {name.removeprefix("model."): tensor.numpy() for name, tensor in weights_of(model).items()}
    out: dict[str, np.ndarray] = {}

    def linear(target: str, *sources: str) -> None:
        width = state[f"{sources[0]}.weight"].shape[0]
        empty = np.zeros(width, np.float32)
        out[f"{target}/weight"] = np.concatenate([state[f"{source}.weight"] for source in sources])
        out[f"{target}/bias"] = np.concatenate([state.get(f"{source}.bias", empty) for source in sources])

    def norm(target: str, source: str) -> None:
        out[f"{target}/gamma"], out[f"{target}/beta"] = state[f"{source}.weight"], state[f"{source}.bias"]

    for stack in ("encoder", "decoder"):
        out[f"{stack}/num_heads"] = np.array(HEADS, np.int16)
        out[f"{stack}/position_encodings/encodings"] = state[f"{stack}.embed_positions.weight"]
        norm(f"{stack}/layer_norm", f"{stack}.layer_norm")
        for layer in range(2):
            target, source = f"{stack}/layer_{layer}", f"{stack}.layers.{layer}"
            norm(f"{target}/self_attention/layer_norm", f"{source}.self_attn_layer_norm")
            linear(f"{target}/self_attention/linear_0", *(f"{source}.self_attn.{x}_proj" for x in "qkv"))
            linear(f"{target}/self_attention/linear_1", f"{source}.self_attn.out_proj")
            if stack == "decoder":
                norm(f"{target}/attention/layer_norm", f"{source}.encoder_attn_layer_norm")
                linear(f"{target}/attention/linear_0", f"{source}.encoder_attn.q_proj")
                linear(f"{target}/attention/linear_1", *(f"{source}.encoder_attn.{x}_proj" for x in "kv"))
                linear(f"{target}/attention/linear_2", f"{source}.encoder_attn.out_proj")
            norm(f"{target}/ffn/layer_norm", f"{source}.final_layer_norm")
            linear(f"{target}/ffn/linear_0", f"{source}.fc1")
            linear(f"{target}/ffn/linear_1", f"{source}.fc2")
    for name in ("conv1", "conv2"):
        out[f"encoder/{name}/weight"] = state[f"encoder.{name}.weight"]
        out[f"encoder/{name}/bias"] = state[f"encoder.{name}.bias"]
    out["decoder/embeddings/weight"] = state["decoder.embed_tokens.weight"]
    out["decoder/pre_norm"] = np.array(1, np.int8)
    out["decoder/activation"] = np.array(3, np.int8)
    return out


TIED = {"decoder/projection/weight": "decoder/embeddings/weight"}


def pack_ctranslate2(
    variables: Mapping[str, np.ndarray],
    aliases: Mapping[str, str] = TIED,
    *,
    version: int = 6,
    specification: str = "WhisperSpec",
    revision: int = 3,
) -> bytes:
    """The bytes of a model.bin."""
    types = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    out = struct.pack("<I", version) + text(specification) + struct.pack("<II", revision, len(variables))
    for name, array in variables.items():
        out += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        out += struct.pack("<BI", types[array.dtype.name], array.nbytes) + array.tobytes()
    return out + struct.pack("<I", len(aliases)) + b"".join(text(a) + text(b) for a, b in aliases.items())


def write_ctranslate2(model: WhisperForConditionalGeneration, folder: Path, vocabulary: str = "tokenizer.json") -> Path:
    """A faster-whisper folder in float16, with one of the three vocabulary files."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        name: array.astype(np.float16) if array.dtype == np.float32 else array
        for name, array in ctranslate2_variables(model).items()
    }
    (folder / "model.bin").write_bytes(pack_ctranslate2(variables))
    (folder / "config.json").write_text("{}")
    if vocabulary == "tokenizer.json":
        tiny_tokenizer().save(str(folder / vocabulary))
    elif vocabulary == "vocabulary.json":
        (folder / vocabulary).write_text(json.dumps(vocabulary_of(tiny_tokenizer())))
    else:
        (folder / vocabulary).write_text("".join(f"{entry}\n" for entry in vocabulary_of(tiny_tokenizer())))
    return folder


@dataclass(frozen=True)
class LoadedWhisper:
    """What a reference means, and transformers' model of it."""

    model: WhisperForConditionalGeneration
    tokenizer: Tokenizer
    name: str
    fingerprint: str
    source: str


def load_whisper(reference: str) -> LoadedWhisper:
    stored = read_whisper(reference)
    return LoadedWhisper(model_of(stored), stored.tokenizer, stored.name, stored.fingerprint, stored.source)


def build_model(config: Sizes, state: Arrays | StoredWeights, origin: str) -> WhisperForConditionalGeneration:
    """The model of weights that are checked first; raises BackboneError as `checked_weights` does."""
    return filled(config, checked_weights(config, state, origin))
