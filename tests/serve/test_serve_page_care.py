"""The page by keyboard alone, and where somebody's work or voice could be lost."""

import json
import threading
from pathlib import Path
from typing import Any

from browsing import lines, transcribe
from fake_backend import FakeBackend
from served import ADA_HZ, BEN_HZ, Live, wav
from voices import voice


def focused(page: Any) -> str:
    """What the focused element is called, as a screen reader says it, nearly."""
    said: str = page.evaluate(
        "(([e]) => e.getAttribute('aria-label') ?? e.labels?.[0]?.innerText ?? e.innerText)([document.activeElement])"
    )
    return said.strip()


def tab_to(page: Any, name: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page).startswith(name):
            return
    raise AssertionError(f"the Tab key never comes to '{name}'")


def test_all_of_it_by_keyboard(page: Any) -> None:
    tab_to(page, "Transcribe")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="Done").wait_for()
    # It goes on where the transcript is.
    tab_to(page, "A: say who this is")
    page.keyboard.press("Enter")
    page.locator("#voice-dialog").wait_for()
    assert focused(page) == "Name"
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    assert [who for who, _ in lines(page)] == ["Ada", "Ada", "B", "B", "Ada"]
    assert focused(page) == "Ada: say who this is"
    tab_to(page, "Edit what is said at 0:00")
    page.keyboard.press("Enter")
    page.keyboard.type(" and one word")
    page.keyboard.press("Enter")
    assert focused(page) == "Edit what is said at 0:00"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "word0"
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert focused(page) == "word"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.locator("#audio").evaluate("audio => audio.currentTime") > 0.05
    page.keyboard.press("Tab")
    assert focused(page) == "Edit what is said at 0:00"


def test_a_line_that_is_emptied_goes(page: Any) -> None:
    transcribe(page)
    page.get_by_role("button", name="Edit what is said at 0:04").click()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    assert [said for _, said in lines(page)] == ["word0", "word1", "word2", "word3"]
    assert focused(page) == "Edit what is said at 0:03"


def test_corrections_are_not_lost_unasked(page: Any, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    transcribe(page)
    page.get_by_role("button", name="Edit what is said at 0:03").click()
    page.keyboard.type(" mended")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Transcribe").click()
    page.set_input_files("#recording", str(tmp_path / "talk.wav"))
    page.get_by_role("button", name="Live", exact=True).click()
    assert asked == ["Your corrections are not saved yet. Go on without them?"] * 3
    assert lines(page)[3] == ("B", "word3 mended")
    with page.expect_download() as download:
        page.get_by_role("button", name="json", exact=True).click()
    assert json.loads(Path(download.value.path()).read_text())["segments"][3]["text"] == "word3 mended"
    assert transcribe(page)[3] == ("B", "word3")
    assert len(asked) == 3


def test_another_recording_ends_what_runs(page: Any, backend: FakeBackend, tmp_path: Path) -> None:
    """Nothing of the first one is shown under the second one's name."""
    backend.gate = threading.Event()
    (tmp_path / "ben.wav").write_bytes(wav(voice(2.0, BEN_HZ)))
    page.get_by_role("button", name="Transcribe").click()
    page.locator("#busy").wait_for()
    page.set_input_files("#recording", str(tmp_path / "ben.wav"))
    page.locator("#chosen", has_text="ben.wav, 0:02").wait_for()
    backend.gate.set()
    assert page.locator("#busy").is_hidden()
    assert lines(page) == []
    assert transcribe(page) == [("A", "word0"), ("A", "word1")]


def test_a_known_voice_is_replaced_only_on_purpose(page: Any, live: Live, tmp_path: Path) -> None:
    store = live.service.users._everybody.store
    for pitch_hz, clip in ((ADA_HZ, "first.wav"), (BEN_HZ, "second.wav")):
        (tmp_path / clip).write_bytes(wav(voice(5.0, pitch_hz)))
        page.get_by_role("button", name="Add a voice").click()
        page.get_by_label("Name").fill("Ada")
        page.set_input_files("#clip", str(tmp_path / clip))
        page.get_by_role("button", name="Save", exact=True).click()
        if clip == "first.wav":
            page.locator("#voices li").wait_for()
    page.locator("#voice-error", has_text="A voice Ada is known already").wait_for()
    page.get_by_label("Name").fill("Adam")
    assert page.locator("#voice-error").is_hidden()
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Save", exact=True).click()
    assert store.get("Ada").sources == ("first.wav",)
    page.get_by_role("button", name="Replace", exact=True).click()
    page.locator("#voice-dialog").wait_for(state="hidden")
    assert store.get("Ada").sources == ("second.wav",)


def test_what_is_live_plays_nothing_old_and_can_be_saved(page: Any) -> None:
    transcribe(page)
    page.locator(".word", has_text="word0").click()
    page.get_by_role("button", name="Live", exact=True).click()
    assert page.locator("#audio").evaluate("audio => audio.paused && !audio.hasAttribute('src')")
    page.locator("#going-on .said", has_text="word0 word1").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator("#status", has_text="Done").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="srt", exact=True).click()
    assert download.value.suggested_filename == "live.srt"


def test_live_follows_nobody_unasked(page: Any) -> None:
    page.get_by_label("Only the voices ticked above").check()
    page.get_by_role("button", name="Live", exact=True).click()
    page.locator("#status.bad", has_text="Tick a voice first").wait_for()
    assert page.get_by_role("button", name="Stop", exact=True).is_hidden()
