"""Whether the target speaks at all: a few calibrated numbers that are stored beside a prompt."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from softspoken.frozen import Frozen

SilenceFeature = Literal["empty", "presence"]
"""What is known of a window before anything is written in it. `empty`: log-odds that the decoder gives to an empty
transcript; `presence`: the highest mean over a second of the cosine to the voice."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class SilenceModel(Frozen):
    """Logistic regression on the features of a window, and from which probability on the target counts as speaking.

    It holds in the mode of decoding that it was fitted in, the prompt's own: an empty transcript is not equally likely
    with timestamps and without.
    """

    weights: dict[SilenceFeature, Finite] = Field(min_length=1)
    """Log-odds of speech for each unit of a feature."""
    bias: Finite
    threshold: Share
    """A window whose probability is lower holds nothing of the target, any other holds something."""
    false_rejection: Share | None = None
    """Share of the speaking targets below the threshold, on the development items it was chosen on."""
    rejection: Share | None = None
    """The same of the silent ones."""
    speaking: int | None = Field(default=None, ge=1)
    """Development items whose target speaks."""
    silent: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _usable(self) -> "SilenceModel":
        if not any(self.weights.values()):
            raise ValueError("weights are all 0; expected at least one feature that counts")
        return self

    def log_odds(self, features: Mapping[SilenceFeature, float]) -> float:
        """Log-odds that the target speaks."""
        return self.bias + sum(weight * features[name] for name, weight in self.weights.items())

    def probability(self, features: Mapping[SilenceFeature, float]) -> float:
        """That the target speaks, where speaking and silent targets are equally frequent."""
        odds = self.log_odds(features)
        # No power of e overflows.
        return 1.0 / (1.0 + math.exp(-odds)) if odds >= 0.0 else math.exp(odds) / (1.0 + math.exp(odds))

    def speaks(self, probability: float) -> bool:
        """Whether something is written in a window of this probability; where it is not, nothing may be."""
        return probability >= self.threshold
