"""Which prompt goes with which backbone, known by their names, before either is fetched."""

from pathlib import Path

from softspoken.defaults import BACKBONE_SIZES
from softspoken.errors import PromptMismatch
from softspoken.prompts.checkpoint import shipped_prompts
from softspoken.prompts.info import PromptInfo

SHIPPED_NAME = "shipped"


def prompt_for(prompt: str | Path, backbone: str | None) -> str | Path:
    """The prompt that is meant: of 'shipped', the one for this backbone.

    Raises PromptMismatch for a backbone that none comes with the package for.
    """
    if prompt != SHIPPED_NAME or backbone not in BACKBONE_SIZES:
        return prompt
    if backbone not in shipped_prompts():
        known = " and ".join(f"'{name}'" for name in shipped_prompts())
        raise PromptMismatch(
            f"no prompt for backbone '{backbone}' comes with this package, only for {known}; give one, or train one"
        )
    return str(backbone)


def require_fit(info: PromptInfo, backbone: str | None) -> None:
    """Raise PromptMismatch for a backbone whose name says that it is another one; its weights are checked later."""
    wanted = info.backbone.name
    if backbone in BACKBONE_SIZES and wanted in BACKBONE_SIZES and backbone != wanted:
        raise PromptMismatch(
            f"the prompt was trained on backbone '{wanted}', got '{backbone}'; give --backbone {wanted}"
        )
