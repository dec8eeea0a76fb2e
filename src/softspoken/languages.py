"""Languages by the names that people write: 'en', 'English', 'en-US', 'Deutsch'."""

import difflib

from softspoken.errors import ConfigError

_LANGUAGES = """
af afrikaans, am amharic, ar arabic, as assamese, az azerbaijani, ba bashkir, be belarusian, bg bulgarian, bn
bengali, bo tibetan, br breton, bs bosnian, ca catalan, cs czech, cy welsh, da danish, de german, el greek, en
english, es spanish, et estonian, eu basque, fa persian, fi finnish, fo faroese, fr french, gl galician, gu
gujarati, ha hausa, haw hawaiian, he hebrew, hi hindi, hr croatian, ht haitian creole, hu hungarian, hy
armenian, id indonesian, is icelandic, it italian, ja japanese, jw javanese, ka georgian, kk kazakh, km khmer,
kn kannada, ko korean, la latin, lb luxembourgish, ln lingala, lo lao, lt lithuanian, lv latvian, mg malagasy,
mi maori, mk macedonian, ml malayalam, mn mongolian, mr marathi, ms malay, mt maltese, my myanmar, ne nepali, nl
dutch, nn nynorsk, no norwegian, oc occitan, pa punjabi, pl polish, ps pashto, pt portuguese, ro romanian, ru
russian, sa sanskrit, sd sindhi, si sinhala, sk slovak, sl slovenian, sn shona, so somali, sq albanian, sr
serbian, su sundanese, sv swedish, sw swahili, ta tamil, te telugu, tg tajik, th thai, tk turkmen, tl tagalog,
tr turkish, tt tatar, uk ukrainian, ur urdu, uz uzbek, vi vietnamese, yi yiddish, yo yoruba, yue cantonese, zh
chinese
"""
_OTHER_NAMES = """
mandarin zh, castilian es, flemish nl, burmese my, valencian ca, moldavian ro, farsi fa, filipino tl, haitian
ht, bokmål no, nb no, jv jw, iw he, deutsch de, français fr, español es, italiano it, português pt, nederlands
nl, 中文 zh, 日本語 ja, 한국어 ko, русский ru, polski pl, türkçe tr, svenska sv, eng en, deu de, ger de, fra fr, fre fr,
spa es, ita it, por pt, nld nl, dut nl, rus ru, zho zh, chi zh, jpn ja, kor ko, pol pl
"""


def _pairs(text: str) -> dict[str, str]:
    """'a b, c d e': a to b, c to 'd e'."""
    found = (" ".join(entry.split()).partition(" ") for entry in text.split(","))
    return {first: rest for first, _, rest in found}


LANGUAGES = _pairs(_LANGUAGES)
"""Whisper's codes, and what each language is called in English."""
_OTHER = _pairs(_OTHER_NAMES)


def language_code(written: str) -> str:
    """Whisper's code for a language: 'en' for 'English', 'en-US' or 'EN'. ConfigError, with close names, for none."""
    name = written.strip().casefold().replace("_", "-")
    names = {english: code for code, english in LANGUAGES.items()} | _OTHER
    for candidate in (name, name.split("-")[0]):
        if candidate in LANGUAGES:
            return candidate
        if candidate in names:
            return names[candidate]
    close = difflib.get_close_matches(name, [*names, *LANGUAGES], n=3, cutoff=0.6)
    advice = f"did you mean {', '.join(close)}?" if close else "give a code such as 'de', or a name such as 'german'"
    raise ConfigError(f"no language '{written}'; {advice}")
