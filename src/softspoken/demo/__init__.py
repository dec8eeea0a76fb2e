"""The demo: recordings that the package carries, what is heard in them, and a page that shows it."""

from softspoken.demo.page import render_page, write_page
from softspoken.demo.recordings import DemoRecordings, Mixture, Talker, Voice, load_recordings
from softspoken.demo.report import DemoReport, Heard, MixtureReport, run_demo

__all__ = [
    "DemoRecordings",
    "DemoReport",
    "Heard",
    "Mixture",
    "MixtureReport",
    "Talker",
    "Voice",
    "load_recordings",
    "render_page",
    "run_demo",
    "write_page",
]
