"""The server's page as people see it: what they do there, its accessibility, and pictures of it, with the real model.

pip install playwright; npm install --prefix /tmp/axe axe-core     # and a Chromium on the PATH
python tools/check_page.py --axe /tmp/axe/node_modules/axe-core/axe.min.js --out build/page

It starts a server of its own without any voice, and goes the same way at 1280 and 390 px, in light and dark: the demo's
voices are enrolled, a meeting of them is transcribed, a stranger named and kept, a word mended, files saved, and the
microphone (Chromium's fake one, which plays the same meeting) followed live. Each state is a picture, and axe looks at
it. One line a fault; the exit code is 1 where axe finds a serious or critical one, the browser logs an error, another
host is asked, or something sticks out.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Page, sync_playwright

from softspoken.audio import SAMPLE_RATE_HZ, load_audio
from softspoken.demo.recordings import DemoRecordings, load_recordings

SIZES = {1280: 860, 390: 844}
OVERLAP_S = 0.4
GRAVE = ("serious", "critical")
PATIENCE_MS = 120_000
"""For one answer of the model, on a slow machine."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of axe-core.")
    parser.add_argument("--out", type=Path, default=Path("build/page"), help="Folder for the pictures.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        parser.error("no chromium on the PATH")
    faults = 0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        recordings = load_recordings()
        meeting = meeting_of(recordings, Path(folder) / "meeting.wav")
        fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", *fake, f"--use-file-for-fake-audio-capture={meeting}"]
        )
        for scheme in ("light", "dark"):
            for width, height in SIZES.items():
                with serving(Path(folder) / f"{scheme}-{width}") as url:
                    context = browser.new_context(
                        viewport={"width": width, "height": height}, color_scheme=scheme, permissions=["microphone"]
                    )
                    visit = Visit(context.new_page(), url, f"{scheme}-{width}", given.axe.read_text(), given.out)
                    visit.begin()
                    go(visit, recordings, meeting)
                    context.close()
                print(f"{visit.name}: {visit.states} states, {len(visit.faults)} faults, {visit.lesser} lesser ones")
                faults += len(visit.faults)
        browser.close()
    return int(faults > 0)


def meeting_of(recordings: DemoRecordings, file: Path) -> Path:
    """Ada, Boris, Felix, who is a stranger, and Ada again; each begins before the one before has ended."""
    talks = [("Ada", 0.0, 5.3), ("Boris", 0.0, 5.5), ("Felix", 0.0, 6.1), ("Ada", 5.3, 10.1)]
    meeting, at_s = np.zeros(25 * SAMPLE_RATE_HZ, np.float32), 0.0
    for name, from_s, to_s in talks:
        clip = load_audio(recordings.by_name[name].enrolment)
        part = clip[round(from_s * SAMPLE_RATE_HZ) : round(to_s * SAMPLE_RATE_HZ)]
        first = round(at_s * SAMPLE_RATE_HZ)
        meeting[first : first + part.size] += part
        end = first + part.size
        at_s += part.size / SAMPLE_RATE_HZ - OVERLAP_S
    soundfile.write(file, meeting[: end + SAMPLE_RATE_HZ // 2], SAMPLE_RATE_HZ)
    return file


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """A server on a free port of 127.0.0.1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "softspoken.cli.main", "serve", "--port", str(port), "--data", str(data)]
    log = data.with_suffix(".log")
    with log.open("wb") as written:
        server = subprocess.Popen(command, stdout=written, stderr=written, env=os.environ)
    url = f"http://127.0.0.1:{port}"
    try:
        while not answers(f"{url}/ready"):
            if server.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@dataclass
class Visit:
    """One visitor: a width, a colour scheme, and what went wrong."""

    page: Page
    url: str
    name: str
    axe: str
    out: Path
    faults: list[str] = field(default_factory=list)
    states: int = 0
    lesser: int = 0

    def begin(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on(
            "console", lambda message: self.fault(message.text) if message.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.fault(str(error)))
        own = (self.url, "blob:", "data:")
        self.page.on("request", lambda asked: None if asked.url.startswith(own) else self.fault(f"asked {asked.url}"))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(self.url)
        self.page.locator("#server", has_text="on 127").wait_for()

    def fault(self, told: str) -> None:
        # A browser notes every refusal, also one that the page explains.
        if "status of 4" in told:
            return
        self.faults.append(told)
        print(f"{self.name}: {told}")

    def look(self, state: str, whole: bool = True) -> None:
        """A picture, and what axe says. `whole`: of the page, not of what is seen of it."""
        self.states += 1
        self.page.screenshot(path=self.out / f"{state}-{self.name}.png", full_page=whole)
        sticks_out = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if sticks_out > 0:
            self.fault(f"{state}: something sticks out by {sticks_out} px")
        self.page.evaluate(self.axe)
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        for one in found["violations"]:
            told = f"{state}: {one['impact']} {one['id']}: {one['nodes'][0]['target']} ({len(one['nodes'])})"
            if one["impact"] in GRAVE:
                self.fault(told)
            else:
                self.lesser += 1
                print(f"{self.name}: {told}")


def go(visit: Visit, recordings: DemoRecordings, meeting: Path) -> None:
    """The way of one visitor."""
    page = visit.page
    visit.look("empty")
    for voice in recordings.voices[:2]:
        enrol(visit, voice.name, voice.enrolment)
    page.set_input_files("#recording", str(meeting))
    page.locator("#chosen", has_text="meeting.wav, 0:2").wait_for()
    page.get_by_role("button", name="Transcribe").click()
    visit.look("transcribing")
    finished(page)
    page.locator(".word").nth(9).click()
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Pause").click()
    visit.look("transcript")
    page.locator("#transcript").evaluate("part => scrollTo(0, part.getBoundingClientRect().top + scrollY - 12)")
    visit.look("docs", whole=False)
    name_the_stranger(visit)
    mend(visit)
    save(visit)
    live(visit)
    page.locator("#key-form").evaluate("form => { form.hidden = false; }")
    visit.look("key")


def enrol(visit: Visit, name: str, clip: Path) -> None:
    page = visit.page
    page.get_by_role("button", name="Add a voice").click()
    page.get_by_label("Name").fill(name)
    if name == "Ada":
        page.get_by_role("button", name="Save", exact=True).click()
        page.locator("#voice-error", has_text="Choose or record a clip").wait_for()
        visit.look("add-voice", whole=False)
    page.set_input_files("#clip", str(clip))
    page.get_by_label("What this person agreed to").fill("a synthetic voice")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("#voices li", has_text=name).wait_for()


def finished(page: Page) -> None:
    page.locator("#status", has_text="Done").wait_for()


def name_the_stranger(visit: Visit) -> None:
    """Who is not Ada and not Boris is A; as Felix he is known when the meeting is transcribed again."""
    page = visit.page
    page.get_by_role("button", name="A: say who this is", exact=True).first.click()
    page.get_by_label("Name").fill("Felix")
    page.get_by_label("Keep this voice").check()
    page.get_by_label("What this person agreed to").fill("a synthetic voice")
    visit.look("stranger", whole=False)
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator("#status", has_text="Felix is known from now on").wait_for()
    visit.look("named")
    page.get_by_role("button", name="Transcribe").click()
    finished(page)
    page.get_by_role("button", name="Felix: say who this is", exact=True).first.wait_for()


def mend(visit: Visit) -> None:
    page = visit.page
    page.locator(".edit").first.click()
    page.keyboard.type(" Mended.")
    visit.look("editing")
    page.keyboard.press("Enter")


def save(visit: Visit) -> None:
    """Each kind of file, with what was mended in it."""
    page = visit.page
    for kind in ("txt", "srt", "vtt", "json", "docx"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind, exact=True).click()
        file = Path(download.value.path())
        if kind == "docx":
            with zipfile.ZipFile(file) as archive:
                text = archive.read("word/document.xml").decode()
        else:
            text = file.read_text(encoding="utf-8")
        if "Mended." not in text or "Felix" not in text:
            visit.fault(f"{download.value.suggested_filename} lacks what was mended, or a name")


def live(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("button", name="Live", exact=True).click()
    page.locator("#going-on .said", has_text=re.compile(".{20}")).wait_for()
    visit.look("live")
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    visit.look("live-ended")


if __name__ == "__main__":
    sys.exit(main())
