"""The champion behind HTTP, as `mlflow models serve` runs it: images of any size in, images out."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.champion import register_champion

from trainers.config import GeneratorConfig, TrainConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def champion(tmp_path, migrated_database):
    """A registered champion: (its network, the store's address)."""
    config = TrainConfig(recipe="demo", generator=GeneratorConfig(num_blocks=1, channels=8))
    return register_champion(tmp_path, migrated_database, config)


@pytest.fixture
def address(champion, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/upsweep-demo@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # mlflow calls uvicorn
    environment = {**os.environ, "MLFLOW_TRACKING_URI": champion[1], "PATH": scripts}
    with open(tmp_path / "serve.log", "ab") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=tmp_path, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert server.poll() is None, (tmp_path / "serve.log").read_text()[-2000:]
            if answers(url):
                break
            time.sleep(0.5)
        yield url
    finally:
        if server.poll() is None:
            os.killpg(server.pid, 9)
        server.wait()


def answers(url):
    try:
        return urllib.request.urlopen(f"{url}/ping", timeout=2).status == 200
    except OSError:
        return False


def test_the_champion_answers_images_of_three_sizes(champion, address):
    generator, _ = champion
    for size in ((1, 3, 16, 24), (2, 3, 17, 9), (1, 3, 40, 33)):
        lr_image = np.random.default_rng(0).random(size, dtype=np.float32)
        body = json.dumps({"inputs": lr_image.tolist()}).encode()
        request = urllib.request.Request(
            f"{address}/invocations", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            sr = np.array(json.load(answer)["predictions"], dtype=np.float32)
        with torch.inference_mode():
            expected = generator(torch.from_numpy(lr_image)).clamp(0, 1).numpy()
        assert sr.shape == expected.shape and np.allclose(sr, expected, atol=1e-4)
