"""The table script: resizers and a checkpoint on a test set, in four files."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from datasets.errors import UserError
from experiments.benchmark_table import BenchmarkOptions, main
from trainers import checkpoint
from trainers.config import GeneratorConfig, TrainConfig
from trainers.models import build_generator


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        pixels = rng.integers(256, size=(48, 48, 3), dtype=np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / f"photos/{name}.png")
    return f"Set5={tmp_path / 'photos'}"


def _model(folder, scale=4):
    torch.manual_seed(0)
    config = TrainConfig(generator=GeneratorConfig(num_blocks=1, channels=4, scale=scale))
    return str(checkpoint.save_generator(folder, config, build_generator(config.generator), {}))


def test_a_checkpoint_is_in_the_block_of_resizers_and_not_of_quoted_rows(tmp_path, photos, capsys):
    args = BenchmarkOptions(
        (f"ours={_model(tmp_path / 'm')}",), sets=(photos,), out=tmp_path / "out", device="cpu", track=False
    )
    assert main(args) == 0
    text = (tmp_path / "out/table.md").read_text()
    assert text in capsys.readouterr().out
    measured, quoted = text.split("**quoted", 1)
    assert all(f"| {name} |" in measured for name in ("bicubic", "nearest", "lanczos", "ours"))
    assert "| SRCNN |" in quoted and "ours" not in quoted
    table = pq.read_table(tmp_path / "out/per_image.parquet").to_pylist()
    assert len(table) == 4 * 2 * 2 and "degradation=matlab" in table[0]["protocol"]
    assert (tmp_path / "out/table.csv").is_file() and (tmp_path / "out/table.tex").is_file()


def test_models_of_another_scale_and_equal_names_are_refused(tmp_path, photos):
    four, two = _model(tmp_path / "four"), _model(tmp_path / "two", 2)
    with pytest.raises(UserError, match="upscales x2, the table is x4"):
        main(BenchmarkOptions((four, two), sets=(photos,), out=tmp_path / "out", device="cpu", track=False))
    with pytest.raises(UserError, match="would be called bicubic; name one as NAME"):
        main(
            BenchmarkOptions(
                (f"bicubic={four}",), sets=(photos,), out=tmp_path / "out", device="cpu", track=False
            )
        )


@pytest.mark.slow
def test_the_table_is_one_mlflow_run_with_its_files(tmp_path, photos):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    main(BenchmarkOptions(sets=(photos,), out=tmp_path / "out", device="cpu", tracking_uri=uri))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("upsweep-benchmarks")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["Set5/psnr_y/bicubic"] > 5
    assert "degradation=matlab" in run.data.params["Set5 psnr_y"]
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"table.md", "table.csv", "table.tex", "per_image.parquet"} <= names
