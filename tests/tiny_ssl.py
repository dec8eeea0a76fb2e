"""Random small HuBERTs, WavLMs and wav2vec 2.0s, made in milliseconds: their shape without their weights."""

from typing import Any, Literal

import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model, WavLMConfig, WavLMModel

from softspoken_lab.noise.ssl import SSLBackbone, SSLKind

WIDTH = 32
LAYERS = 3
KINDS: tuple[SSLKind, ...] = ("hubert", "wavlm", "wav2vec2")

_CLASSES: dict[str, tuple[Any, Any]] = {
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
}


def tiny_config(
    kind: SSLKind = "hubert", prenorm: bool = False, norm: Literal["group", "layer"] | None = None, **values: Any
) -> Any:
    """Three narrow layers behind convolutions with the strides of the real ones: 400 samples a frame, 320 apart.

    Pre-norm models have layer feature norm and biases in their convolutions, as the large ones do; post-norm models
    have group feature norm and none, as the base ones do; `norm` and `values` say otherwise.
    """
    config_class, _ = _CLASSES[kind]
    settings = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "conv_dim": (12,) * 7,
        "conv_bias": prenorm,
        "num_conv_pos_embeddings": 16,
        # Groups of 8 channels under a kernel of 16 come out wrong in bfloat16 on processors with AMX (torch 2.13);
        # those of the real models, 48 and 64 channels, do not.
        "num_conv_pos_embedding_groups": 2,
        "do_stable_layer_norm": prenorm,
        "feat_extract_norm": norm if norm is not None else ("layer" if prenorm else "group"),
        "vocab_size": 30,
    }
    if kind == "wavlm":
        # Few and short, so that distances beyond the last bucket occur.
        settings |= {"num_buckets": 16, "max_bucket_distance": 20}
    return config_class(**{**settings, **values})


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Weights of every kind far from where they start: biases, norms, positions."""
    generator = torch.Generator().manual_seed(seed)

    def random(parameter: torch.Tensor) -> torch.Tensor:
        return torch.randn(parameter.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.3 * random(parameter))
            elif name.endswith("original0"):
                parameter.copy_(1.5 + 0.3 * random(parameter))
            elif parameter.dim() > 1:
                # Wide enough that the audio decides what comes out.
                parameter.copy_(1.2 * parameter[0].numel() ** -0.5 * random(parameter))
            else:
                parameter.copy_(0.2 * random(parameter))


def tiny_model(
    kind: SSLKind = "hubert",
    prenorm: bool = False,
    norm: Literal["group", "layer"] | None = None,
    seed: int = 0,
    **values: Any,
) -> Any:
    """transformers' bare model with random weights, in evaluation mode, the same for the same arguments."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _CLASSES[kind][1](tiny_config(kind, prenorm, norm, **values)).eval()
    randomise(model, seed)
    return model


def tiny_encoder(
    kind: SSLKind = "hubert", prenorm: bool = False, seed: int = 0, normalised: bool = True, **values: Any
) -> SSLBackbone:
    """A frozen encoder with random weights, the same for the same arguments; `values` change its configuration."""
    model = tiny_model(kind, prenorm, seed=seed, **values)
    return SSLBackbone(
        model, f"tiny-{kind}-{seed}", f"tiny-{kind}-{prenorm}-{seed}-{sorted(values.items())}", normalised
    )
