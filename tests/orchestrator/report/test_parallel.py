"""Each row is one line across all columns and one point of each small plot."""

import re

from orchestrator.report.parallel import Column, PlotLine, parallel, small_scatter

COLUMNS = [Column("blocks", [0.0, 1.0], [(0.0, "4"), (1.0, "16")]), Column("swd", [1.0, 0.5], [(0.0, "<9")])]

ITEMS = [PlotLine("stopped", "a", "row-a"), PlotLine("pick", "b", "row-b")]


def test_a_line_crosses_the_columns_at_its_places():
    drawn = parallel(COLUMNS, ITEMS)
    assert re.findall(r'points="([^"]+)"', drawn) == ["64.0,396.0 656.0,40.0", "64.0,40.0 656.0,218.0"]
    assert 'class="line pick" data-tip="b" data-id="row-b"' in drawn and "&lt;9" in drawn
    assert ">blocks</text>" in drawn and drawn.count("<polyline") == 2


def test_a_point_is_at_its_setting_and_its_metric():
    drawn = small_scatter(COLUMNS[0], [10.0, 20.0], ITEMS)
    points = [tuple(map(float, p)) for p in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert points[0][0] == 40 and points[1][0] == 210
    assert points[0][1] > points[1][1]  # larger values are higher
