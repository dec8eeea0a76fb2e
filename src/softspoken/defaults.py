"""Which models are taken where none is named."""

DEFAULT_BACKBONE = "tiny.en"
"""Comes with the package, as does a prompt for it."""
DEFAULT_EMBEDDER = "campplus"
"""The one that the shipped prompts follow, and for which the values of `FramePrompt` are made."""
