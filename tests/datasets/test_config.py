"""The data settings: a wrong one is one sentence, an idle one warns."""

import pytest

from datasets.config import DataConfig
from datasets.errors import UserError


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"input": "edge"}, "no network input 'edge'; known: .*did you mean 'edges'"),
        ({"canny_low": 0.3}, "data.canny_low and data.canny_high"),
        ({"canny_sigma": -1.0}, "data.canny_sigma 0 or more"),
        ({"cache_gb": -1.0}, "data.cache_gb must be 0 or more"),
        ({"order_seed": -1}, "data.order_seed must be 0 or more"),
        ({"eval_crop_at": "center"}, "no place of evaluation crops 'center'; .*did you mean 'centre'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(wrong: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataConfig(**wrong)


@pytest.mark.parametrize(
    "idle, message",
    [
        ({"canny_sigma": 2.0}, "data.canny_sigma is ignored: data.input is image, not edges"),
        ({"input": "grey", "canny_high": 0.4}, "data.canny_high is ignored: data.input is grey"),
        ({"eval_crop_at": "key"}, "data.eval_crop_at is ignored: data.eval_crop_px is 0"),
    ],
)
def test_a_setting_that_changes_nothing_warns(idle: dict, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        DataConfig(**idle)


def test_settings_in_use_are_silent(recwarn: pytest.WarningsRecorder) -> None:
    DataConfig(input="edges", canny_sigma=2.0, eval_crop_px=32, eval_crop_at="key")
    assert not recwarn.list


def test_a_role_without_its_own_set_uses_the_training_set() -> None:
    data = DataConfig(train="celeba", test="set5")
    sources = [data.source(role) for role in ("train", "val", "test", "gate")]
    assert sources == ["celeba", "celeba", "set5", "celeba"]
