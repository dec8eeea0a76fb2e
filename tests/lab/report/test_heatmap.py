import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from softspoken_lab.report.heatmap import HeatCell, HeatMap, _colour, _luminance, heat_maps


def test_the_scale_gets_darker_all_the_way_and_letters_stay_readable() -> None:
    shades = [_luminance(_colour(step / 100)) for step in range(101)]
    assert all(later < earlier for earlier, later in pairwise(shades))
    assert _colour(-1.0) == _colour(0.0)
    assert _colour(2.0) == _colour(1.0)
    cells = tuple(HeatCell(step / 100, str(step)) for step in range(101))
    drawn = ET.fromstring(heat_maps("t", "s", [[HeatMap("p", ("r",), ("c",) * 101, (cells,))]], ("a", "b", "c")))
    groups = [node for node in drawn.iter() if node.get("class") == "mark"]
    assert len(groups) == 101
    for node in groups:
        rect, value = (child for child in node if child.tag.endswith(("rect", "text")))
        letters = 1.0 if "on-dark" in str(value.get("class")) else _luminance("#000000")
        lighter, darker = sorted((_luminance(str(rect.get("fill"))), letters), reverse=True)
        # WCAG 2, level AA for large text is 3, for other text 4.5.
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize("columns", [1, 3])
def test_every_cell_is_there_with_its_words_and_nothing_lies_outside(columns: int) -> None:
    cell = HeatCell(0.4, "40", "30 to 50", 'a <b> & "c"')
    empty = HeatCell(None, "no words", tip="nothing")
    panel = HeatMap(
        "one <two>", ("r1", "r2"), tuple(f"c{i}" for i in range(columns)), ((cell,) * columns, (empty,) * columns)
    )
    drawn = ET.fromstring(heat_maps("title", "sub", [[panel, panel], [panel, panel]], ("down", "across", "share")))
    texts = [node.text for node in drawn.iter() if node.tag.endswith("}text")]
    assert texts.count("40") == texts.count("30 to 50") == texts.count("no words") == 4 * columns
    assert texts.count("one <two>") == 4
    tips = [node.text for node in drawn.iter() if node.tag.endswith("}title")]
    assert tips.count('a <b> & "c"') == 4 * columns
    width, height = float(drawn.attrib["width"]), float(drawn.attrib["height"])
    for node in drawn.iter():
        if node.tag.endswith("}rect") and node.get("x"):
            assert float(node.attrib["x"]) + float(node.attrib["width"]) <= width
            assert float(node.attrib["y"]) + float(node.attrib["height"]) <= height
