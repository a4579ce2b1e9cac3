"""Each row is one line across all columns and one point of each small plot."""

import re
from itertools import pairwise

from orchestrator.report.parallel import Column, PlotLine, parallel, small_scatter

COLUMNS = [Column("blocks", [0.0, 1.0], [(0.0, "4"), (1.0, "16")]), Column("swd", [1.0, 0.5], [(0.0, "<9")])]

ITEMS = [PlotLine("stopped", "a", "row-a"), PlotLine("pick", "b", "row-b")]


def test_a_line_crosses_the_columns_at_its_places():
    drawn = parallel(COLUMNS, ITEMS)
    assert re.findall(r'points="([^"]+)"', drawn) == ["64.0,396.0 656.0,52.0", "64.0,52.0 656.0,224.0"]
    assert 'class="line pick" data-tip="b" data-id="row-b"' in drawn and "&lt;9" in drawn
    assert ">blocks</text>" in drawn and drawn.count("<polyline") == 2


def test_a_point_is_at_its_setting_and_its_metric():
    drawn = small_scatter(COLUMNS[0], [10.0, 20.0], ITEMS)
    points = [tuple(map(float, p)) for p in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert points[0][0] == 40 and points[1][0] == 210
    assert points[0][1] > points[1][1]  # larger values are higher


def test_labels_are_inside_a_small_plot_and_do_not_meet():
    """Of 0.000277 at the right end the last digits were outside, and long names lay upon each other."""
    names = [(0.0, "0.00161"), (0.5, "n" * 24), (1.0, "0.000277")]
    drawn = small_scatter(Column("x", [0.0, 1.0], names), [10.0, 20.0], ITEMS)
    labels = re.findall(r'<text x="([\d.]+)" y="150.0" text-anchor="middle">(.*?)<', drawn)
    spans = [(float(x) - 3.4 * len(word), float(x) + 3.4 * len(word)) for x, word in labels]
    assert spans[0][0] > 0 and spans[-1][1] < 230 and labels[1][1].endswith("n…")
    assert all(left[1] <= right[0] for left, right in pairwise(spans))


def test_axes_of_many_settings_are_as_far_apart_as_their_labels_need():
    """The labels of ten axes lay upon each other."""
    column = Column("x", [0.0, 1.0], [(0.0, "transposed_convolution")])
    drawn = parallel([column] * 10, ITEMS)
    xs = [float(x) for x in re.findall(r'class="post" x1="([\d.]+)"', drawn)]
    label = re.search(r'class="halo".*?>(.*?)<', drawn)[1]
    assert label.endswith("…") and 6.8 * len(label) + 6 <= xs[1] - xs[0] and "min-width:956px" in drawn
