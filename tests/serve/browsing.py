"""What a person does on the page in a browser."""

from typing import Any


def transcribe(page: Any) -> list[tuple[str, str]]:
    page.get_by_role("button", name="Transcribe").click()
    page.locator("#status", has_text="Done").wait_for()
    return lines(page)


def lines(page: Any) -> list[tuple[str, str]]:
    items = page.locator("#segments li").all()
    return [(item.locator(".who").inner_text(), item.locator(".said").inner_text()) for item in items]
