import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from softspoken_lab.report.drawing import svg
from softspoken_lab.report.heatmap import COLOURS, HeatCell, HeatMap, heat_maps, letters_on, luminance


def test_the_scale_gets_darker_all_the_way_and_letters_stay_readable() -> None:
    shades = [luminance(COLOURS(step / 255)) for step in range(256)]
    assert all(later < earlier for earlier, later in pairwise(shades))
    assert COLOURS(-1.0) == COLOURS(0.0)
    assert COLOURS(2.0) == COLOURS(1.0)
    cells = tuple(HeatCell(step / 100, str(step), "below") for step in range(101))
    figure = heat_maps("t", "s", [[HeatMap("p", ("r",), ("c",) * 101, (cells,))]], ("a", "b", "c"))
    axes = figure.axes[0]
    colours = axes.collections[0].to_rgba(np.arange(101) / 100)
    assert [word.get_text() for word in axes.texts[::2]] == [str(step) for step in range(101)]
    for step, colour in enumerate(colours):
        assert {word.get_color() for word in axes.texts[2 * step : 2 * step + 2]} == {letters_on(step / 100)}
        letters = luminance(letters_on(step / 100))
        lighter, darker = sorted((luminance(tuple(colour)), letters), reverse=True)
        # WCAG 2, level AA for large text is 3, for other text 4.5.
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize("columns", [1, 3])
def test_every_cell_is_there_with_its_words_and_nothing_lies_outside(columns: int) -> None:
    cell = HeatCell(0.41, "41", "30 to 50")
    empty = HeatCell(None, "no words")
    panel = HeatMap(
        "one <two> $3$", ("r1", "r2"), tuple(f"c{i}" for i in range(columns)), ((cell,) * columns, (empty,) * columns)
    )
    figure = heat_maps("title", "sub", [[panel, panel], [panel, panel]], ("down", "across", "share"))
    drawn = ET.fromstring(svg(figure))
    texts = [node.text for node in drawn.iter() if node.tag.endswith("}text")]
    assert texts.count("41") == texts.count("30 to 50") == texts.count("no words") == 4 * columns
    assert texts.count("one <two> $3$") == 4
    figure.draw_without_rendering()
    for axes in figure.axes[:4]:
        inside = axes.get_window_extent()
        for word in axes.texts:
            box = word.get_window_extent()
            assert inside.x0 <= box.x0 < box.x1 <= inside.x1
            assert inside.y0 <= box.y0 < box.y1 <= inside.y1
