"""Compiled graphs: kept, made anew where damaged, run by several threads; which rounding is chosen."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from openvino import opset13 as op

from softspoken.speakers import graphs
from softspoken.speakers.graphs import Graph, constant, convolution, processor_folder, settings_for


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SOFTSPOKEN_CACHE", str(tmp_path))
    graphs.processor_folder.cache_clear()
    graphs.fastest_rounding.cache_clear()
    yield tmp_path
    graphs.processor_folder.cache_clear()
    graphs.fastest_rounding.cache_clear()


class Doubling:
    """Builds a graph, and counts how often."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self) -> Any:
        self.built += 1
        given = op.parameter([-1, 3], openvino.Type.f32)
        return openvino.Model([op.multiply(given, constant(2.0))], [given], "doubling")


def doubled(build: Doubling, kept: str | None = "doubling") -> bool:
    given = np.arange(6, dtype=np.float32).reshape(2, 3)
    return np.array_equal(Graph(build, kept=kept)(given)[0], 2 * given)


def test_a_compiled_graph_is_kept(cache: Path) -> None:
    build = Doubling()
    assert doubled(build)
    assert doubled(build)
    assert build.built == 1
    assert [path.name for path in processor_folder().glob("*.blob")] == ["doubling-float32.blob"]


def test_a_damaged_one_is_made_anew(cache: Path) -> None:
    build = Doubling()
    assert doubled(build)
    (processor_folder() / "doubling-float32.blob").write_bytes(b"nothing")
    assert doubled(build)
    assert build.built == 2
    assert doubled(build)
    assert build.built == 2


def test_without_a_name_or_a_place_nothing_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doubled(Doubling(), kept=None)
    assert not list(cache.rglob("*.blob"))
    (cache / "graphs").write_text("no folder")
    assert doubled(Doubling())


def test_threads_run_one_graph_at_once() -> None:
    graph = Graph(Doubling())
    given = [np.full((number + 1, 3), number, np.float32) for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        for one, found in zip(given, pool.map(graph, given), strict=True):
            np.testing.assert_array_equal(found[0], 2 * one)


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("", None), ("many", None), ("0", None)])
def test_threads_are_those_of_the_environment(given: str, threads: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(graphs.THREADS_VARIABLE, given)
    assert settings_for("float32").get("INFERENCE_NUM_THREADS") == threads


def test_a_product_in_int8_is_about_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    given, weight = rng.random((1, 16, 2, 40)).astype(np.float32), rng.standard_normal((8, 16, 1, 3)).astype(np.float32)

    def run(largest: float | None) -> np.ndarray:
        x = op.parameter(list(given.shape), openvino.Type.f32)
        product = convolution(x, weight, padding=(0, 1), largest=largest)
        return Graph(lambda: openvino.Model([product], [x], "product"))(given)[0]

    exact, small = run(None), run(1.0)
    assert 0 < np.abs(small - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(("ratio", "chosen"), [(0.5, "int8"), (0.9, "bfloat16")])
def test_int8_has_to_be_much_faster_than_bfloat16(
    ratio: float, chosen: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is measured once for a processor."""

    class Able:
        def get_property(self, *_: str) -> list[str] | str:
            return ["BF16"]

    monkeypatch.setattr(graphs, "openvino_core", Able)
    monkeypatch.setattr(graphs, "_seconds", lambda graph, _: ratio if graph._precision == "int8" else 1.0)
    assert graphs.fastest_rounding() == chosen
    graphs.fastest_rounding.cache_clear()
    monkeypatch.setattr(graphs, "_measured_rounding", lambda: pytest.fail("measured again"))
    assert graphs.fastest_rounding() == chosen


def test_int8_where_there_is_no_bfloat16(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unable:
        def get_property(self, *_: str) -> list[str] | str:
            return ["FP32", "INT8"]

    monkeypatch.setattr(graphs, "openvino_core", Unable)
    assert graphs.fastest_rounding() == "int8"
