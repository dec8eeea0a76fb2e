"""The default prompt follows the backbone, and what does not fit is refused by its name, before it is fetched."""

import pytest

from softspoken.decoding import TargetSpeakerTranscriber
from softspoken.errors import PromptMismatch
from softspoken.prompts.checkpoint import load_prompts
from softspoken.prompts.fit import prompt_for, require_fit


@pytest.mark.parametrize(
    ("prompt", "backbone", "meant"),
    [
        ("shipped", "base", "base"),
        ("shipped", "tiny.en", "tiny.en"),
        ("shipped", None, "shipped"),
        ("shipped", "./folder", "shipped"),
        ("mine", "base", "mine"),
    ],
)
def test_the_default_prompt_follows_the_backbone(prompt: str, backbone: str | None, meant: str) -> None:
    assert prompt_for(prompt, backbone) == meant


def test_what_does_not_fit_is_refused_before_it_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(*_: object) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr("softspoken.decoding.transcriber.load_engine", fetched)
    with pytest.raises(PromptMismatch, match="'small' comes with this package"):
        TargetSpeakerTranscriber.from_pretrained(backbone="small")
    with pytest.raises(PromptMismatch, match=r"trained on backbone 'tiny\.en', got 'base'"):
        TargetSpeakerTranscriber.from_pretrained("tiny.en", backbone="base")
    require_fit(load_prompts("base").info, "base")
