"""Which talkers are put aside for development."""

from zlib import crc32

_ONE_IN = 12


def is_development_talker(corpus: str, speaker: str) -> bool:
    """True for the one talker in twelve of the training part who never trains and is there to choose by.

    Thresholds and checkpoints are chosen on these talkers alone, never on a test split. The choice is a checksum of
    'corpus:speaker', so it is the same on every machine and does not move when talkers are added.
    """
    return crc32(f"{corpus}:{speaker}".encode()) % _ONE_IN == 0
