"""A table holds every model and resizer on every set, its protocols and each value per image."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from datasets.errors import UserError
from datasets.loader import Pair
from trainers.benchmarks.sets import TestSet
from trainers.benchmarks.table import Model, measure_all, numbers, write_all

CPU = torch.device("cpu")


class Nearest(nn.Module):
    """Nearest neighbour with a parameter that has no effect."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return nn.functional.interpolate(x, scale_factor=2) * self.gain


@pytest.fixture
def flat():
    """A set whose images are constant: every model restores them exactly."""
    pairs = [
        Pair(key, np.full((32, 32, 3), value, np.uint8), np.full((16, 16, 3), value, np.uint8))
        for key, value in (("a", 10), ("b", 200))
    ]
    return TestSet("flat", pairs, "pil")


def test_rows_are_resizers_then_models_with_costs_and_all_values(flat, tmp_path):
    lines = []
    model = Model("ours", Nearest().eval(), 2)
    table = measure_all([model], [flat], ["rmse_y"], scale=2, device=CPU, say=lines.append)
    assert [row.name for row in table.block.rows] == ["bicubic", "nearest", "lanczos", "ours"]
    assert table.block.ranked and table.block.title == "measured here, x2, cpu"
    assert lines == ["ours on flat (2 images)"]
    ours = table.block.rows[-1]
    assert ours.values == {("flat", "rmse_y"): 0.0} and ours.costs["params"] == 1
    assert "degradation=pil" in table.protocols["flat rmse_y"]
    values = numbers(table)
    assert values["flat/rmse_y/nearest"] == 0.0 and values["params/ours"] == 1
    text = write_all(tmp_path / "out", table, [])
    assert (tmp_path / "out/table.md").read_text() == text and "| ours |" in text
    stored = pq.read_table(tmp_path / "out/per_image.parquet").to_pylist()
    assert len(stored) == 4 * 2 and {line["image"] for line in stored} == {"a", "b"}


def test_other_scales_and_repeated_names_are_refused(flat):
    def measure(models, sets):
        return measure_all(models, sets, ["rmse_y"], scale=2, device=CPU, say=print)

    with pytest.raises(UserError, match="ours upscales x4, the table is x2; make another table"):
        measure([Model("ours", Nearest(), 4)], [flat])
    with pytest.raises(UserError, match="would be called nearest; name one as NAME"):
        measure([Model("nearest", Nearest(), 2)], [flat])
    with pytest.raises(UserError, match="would be called flat; name one as NAME"):
        measure([], [flat, flat])
