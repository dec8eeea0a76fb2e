"""The demo as one HTML file: players, waveforms and transcripts, nothing loaded from outside."""

import base64
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from softspoken.demo.recordings import FloatArray, Mixture, Voice, read_clip
from softspoken.demo.report import DemoReport, Heard, MixtureReport
from softspoken.demo.words import Mark, MarkedWord, mark_by_talker, mark_for_target, split_words
from softspoken.files import replace_text

WAVE_BARS = 220
WAVE_HEIGHT = 64


def write_page(report: DemoReport, folder: Path) -> Path:
    """Write `folder/index.html`, whole or not at all, and return its path; the folder is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    replace_text(page, render_page(report))
    return page


def render_page(report: DemoReport) -> str:
    """The page's HTML. Recordings are embedded as data URLs, so the file can be sent to somebody as it is."""
    style = files("softspoken.demo").joinpath("page.css").read_text(encoding="utf-8")
    script = files("softspoken.demo").joinpath("page.js").read_text(encoding="utf-8")
    used = {voice for mixture in report.mixtures for voice in mixture.speakers}
    voices = "".join(_voice(voice) for voice in report.recordings.voices if voice.name in used)
    # The policy makes the browser itself refuse anything from outside.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src data:; img-src data:">
<title>softspoken demo: one voice out of two</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1>One voice out of two</h1>
<p class="lead">Two people talk at the same time. Plain Whisper writes a blend of both. The same frozen Whisper with a
small prompt, given a clip of ten seconds of one of them, is asked to write that person's words only.</p>
{_figures(report)}
</header>
<section>
<p class="legend"><span class="heard"><span class="t0">first talker's words</span></span>
<span class="heard"><span class="t1">second talker's words</span></span>
<span><span class="wrong">said by nobody</span></span>
<span><span class="missing">said, but not written</span></span></p>
{"".join(_mixture(entry) for entry in report.mixtures)}
</section>
<section>
<h2>The enrolled voices</h2>
<p class="lead">All that the model knows of each voice.</p>
<div class="voices">{voices}</div>
</section>
<footer>
<p>Words are compared without case and punctuation. An error is a word replaced, left out or added; plain Whisper's one
transcript is compared with each talker's words in turn.</p>
<p>The voices are synthetic (Kokoro-82M, Apache-2.0) and the people invented. Recordings and texts: CC0.</p>
</footer>
</main>
<script>{script}</script>
</body>
</html>
"""


def _figures(report: DemoReport) -> str:
    def rate(errors: int) -> str:
        return f"{100 * errors / max(report.words, 1):.0f} %"

    silent = [voice for entry in report.mixtures for voice in entry.mixture.silent]
    absent = f"words written for {escape(', '.join(silent))}, who is not there" if silent else "words written"
    return f"""<dl class="figures">
<div><dt>Plain Whisper</dt><dd>{rate(report.plain_errors)}</dd><small>word errors, as each talker's words</small></div>
<div><dt>With the prompt</dt><dd>{rate(report.prompted_errors)}</dd><small>word errors, for each talker</small></div>
<div><dt>Silent voice</dt><dd>{report.silent_words}</dd><small>{absent}</small></div>
</dl>"""


def _voice(voice: Voice) -> str:
    name = escape(voice.name)
    return f"""<div class="card"><p class="who">{name}</p><p class="meta">{escape(voice.description)}</p>
<audio class="enrolment" controls preload="metadata" aria-label="Enrolment clip of {name}"
  src="{_data_url(voice.enrolment)}"></audio></div>"""


def _mixture(report: MixtureReport) -> str:
    mixture = report.mixture
    talkers = [split_words(talker.text, report.spellings) for talker in mixture.talkers]
    plain = mark_by_talker(split_words(report.plain.text, report.spellings), talkers)
    pairs = "".join(_pair(report, voice, heard) for voice, heard in report.speakers.items())
    names = [talker.voice for talker in mixture.talkers]
    errors = "; ".join(
        f"as the {report.word_count(name)} words of {escape(name)}: {_count(report.errors(name, report.plain))}"
        for name in names
    )
    return f"""<article class="card">
<h2>{escape(mixture.title)}</h2>
<p class="meta">{mixture.duration_s:.1f} s, {100 * mixture.overlap:.0f} % of it both at once</p>
<div class="wave">{waveform_svg(read_clip(mixture.file))}{_lanes(mixture)}<div class="playhead"></div></div>
<audio class="mixture" controls preload="metadata" aria-label="Mixture: {escape(mixture.title)}"
  src="{_data_url(mixture.file)}"></audio>
<div class="plain"><h3>Plain Whisper heard</h3>
<p class="heard" data-raw="{escape(report.plain.text)}">{_words(plain)}</p>
<p class="note">Taken {errors} · {report.plain.took_s:.1f} s</p></div>
{pairs}
</article>
"""


def _pair(report: MixtureReport, voice: str, heard: Heard) -> str:
    """One row: what the voice said, and what the prompted model wrote for it."""
    order = [talker.voice for talker in report.mixture.talkers]
    target = order.index(voice) if voice in order else None
    talkers = [split_words(talker.text, report.spellings) for talker in report.mixture.talkers]
    marked = mark_for_target(split_words(heard.text, report.spellings), talkers, target)
    name, errors = escape(voice), report.errors(voice, heard)
    if target is None:
        said = '<p class="empty">nothing: not in this mixture</p>'
        note = f"{_count(errors)}: nothing is right here" if errors else "as it should be"
        label = f'<span class="who">{name}</span>'
    else:
        said = f"<p>{escape(report.said(voice))}</p>"
        note = f"{_count(errors)} for {report.word_count(voice)} words"
        label = f'<span class="who t{target}">{name}</span>'
    nothing = f'<span class="{"nothing" if target is None else "empty"}">nothing written</span>'
    written = _words(marked, target) if heard.text else " ".join(part for part in (nothing, _words(marked)) if part)
    return f"""<div class="pair">
<div><h3>{label} said</h3>{said}</div>
<div><h3>softspoken wrote for {label}</h3><p class="heard" data-raw="{escape(heard.text)}">{written}</p>
<p class="note">{note} · {heard.took_s:.1f} s</p></div>
</div>
"""


def _count(errors: int) -> str:
    return "1 error" if errors == 1 else f"{errors} errors"


def _words(marked: list[MarkedWord], target: int | None = None) -> str:
    """Marked words as HTML, neighbours of one kind in one span; the target's own right words stay unmarked."""
    runs: list[tuple[str, list[str]]] = []
    for word in marked:
        if word.mark is Mark.WRONG or word.mark is Mark.MISSING:
            kind = str(word.mark)
        else:
            kind = "" if target is not None and word.talker == target else f"t{word.talker}"
        if runs and runs[-1][0] == kind:
            runs[-1][1].append(word.shown)
        else:
            runs.append((kind, [word.shown]))
    pieces = []
    for kind, words in runs:
        text = escape(" ".join(words))
        tag = {"missing": "del", "wrong": "mark"}.get(kind, "span")
        pieces.append(f'<{tag} class="{kind}">{text}</{tag}>' if kind else text)
    return " ".join(pieces)


def _lanes(mixture: Mixture) -> str:
    lanes = ""
    for index, talker in enumerate(mixture.talkers):
        left = 100 * talker.offset_s / mixture.duration_s
        width = min(100 * talker.duration_s / mixture.duration_s, 100 - left)
        gain = f" {talker.gain_db:+.0f} dB".replace("-", "\u2212") if talker.gain_db else ""
        place = f"left:{left:.1f}%;width:{width:.1f}%"
        lanes += f'<div class="lane"><span class="t{index}" style="{place}">{escape(talker.voice)}{gain}</span></div>'
    return lanes


def waveform_svg(audio: FloatArray) -> str:
    """The recording's peaks as one vertical stroke each; the loudest fills the height."""
    chunks = np.array_split(audio, min(WAVE_BARS, max(len(audio), 1)))
    peaks = np.array([np.abs(chunk).max() if len(chunk) else 0.0 for chunk in chunks])
    heights = 0.5 * (WAVE_HEIGHT - 2) * peaks / max(float(peaks.max()), 1e-9)
    middle = WAVE_HEIGHT / 2
    strokes = "".join(f"M{i + 0.5} {middle - h:.1f}V{middle + h:.1f}" for i, h in enumerate(np.maximum(heights, 0.5)))
    box = f"0 0 {len(chunks)} {WAVE_HEIGHT}"
    return f'<svg viewBox="{box}" preserveAspectRatio="none" aria-hidden="true"><path d="{strokes}"/></svg>'


def _data_url(path: Path) -> str:
    return "data:audio/flac;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
