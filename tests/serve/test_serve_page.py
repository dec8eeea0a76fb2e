"""The page: its own files only, whole, and as a person uses it in a browser, with a mouse."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browsing import lines, transcribe
from served import ADA_HZ, Live, until, wav
from starlette.testclient import TestClient
from voices import voice

from softspoken.serve.answers import as_srt, as_vtt
from softspoken.serve.page_routes import FOLDER
from softspoken.serve.work import Spoken

SCRIPTS = sorted(FOLDER.glob("*.js"))


def test_no_foreign_host_is_named() -> None:
    for file in FOLDER.iterdir():
        text = re.sub(r"http://(www\.w3\.org/2000/svg|schemas\.openxmlformats\.org)", "", file.read_text())
        found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)
        assert found == [], file.name


def test_what_scripts_look_for_is_there() -> None:
    html = (FOLDER / "index.html").read_text()
    ids = set(re.findall(r'\bid="([\w-]+)"', html))
    for script in SCRIPTS:
        assert set(re.findall(r'\$\("([\w-]+)"\)', script.read_text())) <= ids, script.name
    assert set(re.findall(r'for="([\w-]+)"', html)) <= ids
    assert {name for names in re.findall(r'aria-labelledby="([\w -]+)"', html) for name in names.split()} <= ids


def test_no_script_or_style_stands_in_the_page() -> None:
    """The content security policy would not run it."""
    html = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", html) == []
    for script in SCRIPTS:
        assert "innerHTML" not in script.read_text()
        assert "eval(" not in script.read_text()


def test_it_is_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for address in re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text):
        assert client.get(address).status_code == 200
    assert client.get("/page/../config.py").status_code == 404
    assert client.get("/page/%2e%2e/config.py").status_code == 404
    about = client.get("/v1/server").json()
    assert (about["model"], about["needs_key"], about["limits"]["upload_mb"]) == ("fake.en", False, 3)


def test_its_subtitles_are_the_servers() -> None:
    if (node := shutil.which("node")) is None:
        pytest.skip("node is not installed: it runs the page's scripts outside a browser")
    said = [Spoken(0.0, 1.5, "a <b> & c", "Ada"), Spoken(3661.25, 3662.0, "x --> y", "B")]
    segments = [{"start": one.start_s, "end": one.end_s, "speaker": one.speaker, "text": one.text} for one in said]
    code = (
        f"import {{ written }} from '{(FOLDER / 'files.js').as_uri()}';"
        f"for (const f of ['srt', 'vtt']) console.log(await written(f, {segments!r}, 'x').text() + '%%');"
    )
    done = subprocess.run([node, "--input-type=module", "-e", code], capture_output=True, text=True, check=True)
    srt, vtt = (text.lstrip("\n") for text in done.stdout.split("%%")[:2])
    assert (srt, vtt) == (as_srt(said), as_vtt(said))


# In a browser


def test_a_stranger_gets_a_name_and_is_known_next_time(page: Any, live: Live) -> None:
    assert [who for who, _ in transcribe(page)] == ["A", "A", "B", "B", "A"]
    page.get_by_role("button", name="A: say who this is").first.click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Keep this voice").check()
    page.get_by_label("What this person agreed to").fill("Ada said yes")
    page.get_by_role("button", name="Save", exact=True).click()
    # Three half seconds of speech are too few: the server's reason is shown, and nothing is lost.
    page.locator("#voice-error", has_text="give a longer clip").wait_for()
    page.get_by_label("Keep this voice").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    assert [who for who, _ in lines(page)] == ["Ada", "Ada", "B", "B", "Ada"]
    assert live.service.users._everybody.store.list() == []


def test_a_voice_from_a_clip_is_known_and_can_be_followed_alone(page: Any, live: Live, tmp_path: Path) -> None:
    (tmp_path / "ada.wav").write_bytes(wav(voice(5.0, ADA_HZ)))
    page.get_by_role("button", name="Add a voice").click()
    page.get_by_label("Name").fill("Ada")
    page.set_input_files("#clip", str(tmp_path / "ada.wav"))
    page.get_by_label("What this person agreed to").fill("yes, by mail")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Ada", exact=True).check()
    assert [who for who, _ in transcribe(page)] == ["Ada", "Ada", "A", "A", "Ada"]
    page.get_by_label("Only the voices ticked above").check()
    assert transcribe(page) == [("Ada", "word0"), ("Ada", "word1"), ("Ada", "word4")]
    assert live.service.users._everybody.store.get("Ada").sources[-1] == "consent: yes, by mail"
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget the voice Ada").click()
    page.locator("#status", has_text="Ada is forgotten").wait_for()
    assert live.service.users._everybody.store.list() == []


def test_words_are_heard_mended_and_saved(page: Any) -> None:
    transcribe(page)
    page.locator(".word", has_text="word2").click()
    # Where the word is, not where its line begins.
    assert page.locator("#audio").evaluate("audio => audio.currentTime") >= 2.1
    page.get_by_role("button", name="Edit what is said at 0:03").press("Enter")
    page.keyboard.type(" mended")
    page.keyboard.press("Enter")
    assert lines(page)[3] == ("B", "word3 mended")
    # Another number of words than the server's: they share the line.
    shared = page.locator("#segments li").nth(3).locator(".word").last
    assert shared.evaluate("word => word.times.to") == pytest.approx(3.5)
    page.get_by_role("button", name="Edit what is said at 0:04").click()
    page.keyboard.type("not kept")
    page.keyboard.press("Escape")
    assert lines(page)[4] == ("A", "word4")
    for name, says in (("srt", "B: word3 mended"), ("vtt", "<v B>word3 mended"), ("json", '"text": "word3 mended"')):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        assert download.value.suggested_filename == f"talk.{name}"
        assert says in Path(download.value.path()).read_text()


def test_a_word_document(page: Any) -> None:
    transcribe(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="docx", exact=True).click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        document = ElementTree.fromstring(archive.read("word/document.xml"))
        assert set(archive.namelist()) >= {"[Content_Types].xml", "_rels/.rels"}
    space = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    paragraphs = ["".join(part.itertext()) for part in document.iter(f"{space}p")]
    assert paragraphs[0] == "talk.wav"
    assert paragraphs[4] == "B 0:03 word3"


def test_the_microphone(page: Any) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(3500)
    page.get_by_role("button", name="Stop recording").click()
    page.locator("#chosen", has_text="recording.wav, 0:03").wait_for()
    assert {who for who, _ in transcribe(page)} == {"A"}


def test_the_microphone_live(page: Any, live: Live) -> None:
    page.get_by_role("button", name="Live", exact=True).click()
    # The last word may change: it stands behind the confirmed ones, and the server has not heard the end.
    page.locator("#going-on .said", has_text="word0 word1").wait_for()
    assert page.locator("#going-on .maybe").first.inner_text().strip() == "and"
    assert page.locator("#going-on li").inner_text() == "word0 word1 and"
    assert page.locator("#empty").is_hidden()
    assert page.locator("#segments li").count() == 0
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#status", has_text="Done").wait_for()
    assert page.locator("#segments .said").first.inner_text().startswith("word0 word1")
    assert page.locator("#going-on").is_hidden()
    # What was heard can be played, and goes to nobody else.
    page.locator("#chosen", has_text="live.wav, 0:0").wait_for()
    page.locator(".word", has_text="word1").click()
    assert page.locator("#audio").evaluate("audio => audio.currentTime") > 0.2
    until(lambda: live.service.sockets == 0)


def test_live_without_a_server_is_told(page: Any, live: Live) -> None:
    live.service.stopping = True
    page.evaluate("window.addEventListener('unhandledrejection', (event) => console.error(String(event.reason)))")
    page.get_by_role("button", name="Live", exact=True).click()
    page.locator("#status.bad", has_text="cannot be reached").wait_for()
    assert page.get_by_role("button", name="Live", exact=True).is_enabled()


def test_live_begins_with_any_key_and_again_after_a_refusal(page: Any, live: Live) -> None:
    button = page.get_by_role("button", name="Live", exact=True)
    page.evaluate("sessionStorage.setItem('key', 'sk/with+signs==')")
    button.click()
    until(lambda: live.service.sockets == 1)
    page.get_by_role("button", name="Stop", exact=True).click()
    until(lambda: live.service.sockets == 0)
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = async () => { throw new Error('no'); }; }")
    button.click()
    page.locator("#status.bad", has_text="microphone").wait_for()
    assert button.is_enabled()


def test_the_keyboard_moves_in_the_recording(page: Any) -> None:
    transcribe(page)
    slider = page.get_by_role("slider", name="Position in the recording")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "2"
    assert slider.get_attribute("aria-valuetext") == "0:02 of 0:05"
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuenow") == "5"
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuenow") == "0"


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_sticks_out(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    transcribe(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
