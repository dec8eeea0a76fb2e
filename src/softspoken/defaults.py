"""Which models are taken where none is named."""

DEFAULT_BACKBONE = "tiny.en"
"""Comes with the package, as does a prompt for it."""
DEFAULT_EMBEDDER = "campplus"
"""The one that the shipped prompts follow, and for which the values of `FramePrompt` are made."""
EMBEDDER_FINGERPRINTS = {
    "campplus": "6b178354050fb508182e976937e5be700727add7f492f52e40601becda34b2df",
    "ge2e": "8a18c89b46ea3d83f3f3cd3617fbd65781b7226c90a4e3d2222b78552b2d1f54",
}
"""SHA-256 of the tensors of each embedder whose weights are pinned: a prompt follows the voices of exactly these."""
BACKBONE_SIZES = (
    *("tiny.en", "base", "tiny", "base.en", "small", "small.en", "medium", "medium.en"),
    *("large-v2", "large-v3", "turbo"),
)
"""Whisper models that have a name here, so that a misspelt one is known without loading anything."""
