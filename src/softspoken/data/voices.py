"""Speaker embeddings of pieces of training speech, kept in the user's cache: every run enrols with the same ones."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from softspoken.data.corpus import Piece
from softspoken.files import replacing
from softspoken.packages import cache_folder

SAVE_EVERY = 200
"""New embeddings after which the file is written again."""


class VoiceCache:
    """Embeddings by piece. They depend on the recording's path and size and on the stretch that is embedded."""

    def __init__(self, embedder: str, folder: Path | None = None) -> None:
        """`embedder`: its name; `folder`: where they are kept, None: the user's cache."""
        self._file = (cache_folder() / "voices" if folder is None else folder) / f"{embedder}.safetensors"
        self._known = self._read()
        self._sizes: dict[str, int] = {}
        self._new = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, piece: Piece) -> np.ndarray | None:
        """The piece's embedding (S,), if it is kept."""
        return self._known.get(self._key(piece))

    def put(self, piece: Piece, vector: np.ndarray) -> None:
        """Keep an embedding (S,), for other runs too after a while."""
        self._known[self._key(piece)] = np.asarray(vector, np.float32)
        self._new += 1
        if self._new >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write what is new, together with what other runs have written meanwhile."""
        if not self._new:
            return
        self._known = self._read() | self._known
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._file) as temporary:
            save_file(self._known, temporary)
        self._new = 0

    def _read(self) -> dict[str, np.ndarray]:
        try:
            return dict(load_file(self._file)) if self._file.is_file() else {}
        except (SafetensorError, OSError):
            # It only saves time.
            return {}

    def _key(self, piece: Piece) -> str:
        if piece.path not in self._sizes:
            self._sizes[piece.path] = Path(piece.path).stat().st_size
        path = str(Path(piece.path).resolve())
        return f"{path}:{self._sizes[piece.path]}:{piece.start_s:.3f}:{piece.duration_s:.3f}:{piece.speed:g}"
