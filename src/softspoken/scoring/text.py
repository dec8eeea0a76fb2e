"""Text as Whisper's own papers score it: case, punctuation, titles, contractions and numbers do not count.

Radford et al., "Robust speech recognition via large-scale weak supervision" (2022), appendix C. The rules are those of
`transformers.models.whisper.english_normalizer`. Their list of British spellings is part of model folders, not of the
code, and would make scores depend on where a backbone came from; `_american_spellings` derives the common ones instead.
"""

from functools import cache
from typing import Any, Literal

TextRules = Literal["english", "basic"]
"""`english`: Whisper's English normaliser; `basic`: any language, only case, punctuation and brackets."""

_OUR = (
    "ard arm behavi cand clam clang col demean endeav enam fav ferv flav harb hon hum lab neighb od parl ranc rig rum "
    "sav splend succ tum val vap vig"
)
_OUR_ENDINGS = (
    "", "s", "ed", "er", "ers", "ing", "ings", "able", "ably", "ite", "ites", "ful", "fully", "less", "hood", "ly",
    "y", "ies", "al", "ist",
)  # fmt: skip
_ISE = (
    "apolog author baptis brutal capital category character civil colon critic crystall emphas equal familiar fertil "
    "general harmon immortal jeopard legal local memor mesmer mobil modern monopol natural neutral organ patron "
    "popular real recogn reorgan scandal special stabil standard steril summar symbol sympath terror util "
    "victim vocal"
)
_ISE_ENDINGS = ("ise", "ised", "iser", "isers", "ises", "ising", "isation", "isations")
_SINGLE_L = "cancel channel counsel dial duel enamel equal fuel jewel label level marvel model quarrel signal travel"
_SINGLE_L_ENDINGS = ("ed", "er", "ers", "ing", "ings", "ous", "ously")
_IRREGULAR = {
    "analyse": "analyze", "analysed": "analyzed", "calibre": "caliber", "catalogue": "catalog", "centre": "center",
    "centred": "centered", "centres": "centers", "cheque": "check", "cheques": "checks", "cosy": "cozy",
    "defence": "defense", "defences": "defenses", "dialogue": "dialog", "fibre": "fiber", "fibres": "fibers",
    "fulfil": "fulfill", "grey": "gray", "greyer": "grayer", "greys": "grays", "instalment": "installment",
    "jewellery": "jewelry", "licence": "license", "licences": "licenses", "litre": "liter", "litres": "liters",
    "lustre": "luster", "manoeuvre": "maneuver", "manoeuvres": "maneuvers", "meagre": "meager", "metre": "meter",
    "metres": "meters", "mould": "mold", "moulds": "molds", "moustache": "mustache", "offence": "offense",
    "offences": "offenses", "plough": "plow", "ploughed": "plowed", "ploughs": "plows", "practise": "practice",
    "practised": "practiced", "pretence": "pretense", "programme": "program", "programmes": "programs",
    "pyjamas": "pajamas", "sabre": "saber", "saviour": "savior", "sceptre": "scepter", "sceptical": "skeptical",
    "skilful": "skillful", "skilfully": "skillfully", "smoulder": "smolder", "smouldering": "smoldering",
    "sombre": "somber", "spectre": "specter", "theatre": "theater", "theatres": "theaters", "tyre": "tire",
    "tyres": "tires", "wilful": "willful", "wilfully": "willfully", "woollen": "woolen", "woollens": "woolens",
}  # fmt: skip


class TextNormalizer:
    """A callable from any text to the words that are compared, joined by single spaces."""

    def __init__(self, rules: TextRules = "english") -> None:
        from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

        self.rules = rules
        self._normalize: Any = (
            EnglishTextNormalizer(_american_spellings()) if rules == "english" else BasicTextNormalizer()
        )

    def __call__(self, text: str) -> str:
        return " ".join(str(self._normalize(text)).split())


@cache
def _american_spellings() -> dict[str, str]:
    spellings = dict(_IRREGULAR)
    for stem in _OUR.split():
        spellings |= {f"{stem}our{ending}": f"{stem}or{ending}" for ending in _OUR_ENDINGS}
    for stem in _ISE.split():
        spellings |= {f"{stem}{ending}": f"{stem}{ending.replace('is', 'iz', 1)}" for ending in _ISE_ENDINGS}
    for stem in _SINGLE_L.split():
        spellings |= {f"{stem}l{ending}": f"{stem}{ending}" for ending in _SINGLE_L_ENDINGS}
    return spellings


def writes_something(text: str) -> bool:
    """Whether any letter or digit was written. Stricter than the normaliser, which takes 'um' and '[noise]' away."""
    return any(character.isalnum() for character in text)
