"""Engines on one tiny backbone, exported once for all tests of this folder."""

import pytest
from tiny import tiny_backbone

from softspoken.backbones import WhisperBackbone
from softspoken.engines import Engine, load_engine
from softspoken.packages import CACHE_VARIABLE


@pytest.fixture(scope="session")
def backbone() -> WhisperBackbone:
    return tiny_backbone()


@pytest.fixture(scope="session")
def engines(backbone: WhisperBackbone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("engines")))
        return {
            "torch": load_engine(backbone, "torch"),
            "openvino": load_engine(backbone, "openvino", threads=1),
        }


@pytest.fixture(params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    return engines[request.param]
