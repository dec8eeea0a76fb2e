"""Enrolled voices, in a file or in a PostgreSQL database, encrypted where that is asked for."""

from softspoken.speakers.store.lookup import resolve_voice
from softspoken.speakers.store.voices import EnrolmentStore, default_store_path

__all__ = ["EnrolmentStore", "default_store_path", "resolve_voice"]
