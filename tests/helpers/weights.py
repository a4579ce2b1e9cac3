"""Published weights for tests: small files under published names, and a package index on loopback."""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vgg import cfgs, make_layers

from trainers.config import GeneratorConfig
from trainers.metrics import dists, lpips
from trainers.weight_formats import (
    BASICSR,
    ESRGAN_OLD,
    RRDBLayout,
    doublings,
    leftthomas_names,
    renamed,
)
from trainers.weights import NEEDS, VARIABLE, WEIGHTS


def publish(
    patch: pytest.MonkeyPatch, folder: Path, name: str, tensors: dict[str, Tensor] | None = None
) -> Path:
    """Make `folder` the one that is searched, and its file of weights `name` the published one.

    The file is written from `tensors`, or is there already.
    """
    path = folder / WEIGHTS[name].file
    if tensors is not None:
        torch.save(tensors, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    patch.setitem(WEIGHTS, name, dataclasses.replace(WEIGHTS[name], sha256=digest, tensors=""))
    patch.setenv(VARIABLE, str(folder))
    return path


def flax(network: str, places: tuple[int, ...], kernel: tuple[int, ...] = (3, 3, 2, 5)) -> dict[str, Any]:
    """Nested parameters as Flax stores them: one convolution of `kernel` (H, W, in, out) per place."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return {
        network: {
            f"Conv_{k}": {"kernel": draw(*kernel), "bias": draw(kernel[-1])} for k in range(len(places))
        }
    }


def publish_random(patch: pytest.MonkeyPatch, folder: Path, metric: str) -> None:
    """Publish random weights of the right shapes for lpips_alex, lpips_vgg or dists in `folder`."""
    network, head = NEEDS[metric]
    torch.manual_seed(0)
    features = models.alexnet().features if network == "alexnet" else make_layers(cfgs["D"])
    for module in features:
        if isinstance(module, torch.nn.Conv2d):  # else the signal fades from layer to layer
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    publish(patch, folder, network, features.state_dict(prefix="features."))
    widths = (64, 192, 384, 256, 256) if network == "alexnet" else (64, 128, 256, 512, 512)
    heads = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1) for k, c in enumerate(widths)}
    alpha_beta = {name: torch.rand(1, 3 + sum(widths), 1, 1) for name in ("alpha", "beta")}
    publish(patch, folder, head, alpha_beta if metric == "dists" else heads)
    forget()


ESRGAN = RRDBLayout(
    "conv_first", "RRDB_trunk.{b}.RDB{d}.conv{k}", "trunk_conv", "upconv{i}", "HRconv", "conv_last"
)
RRDB_LAYOUTS = {"basicsr": BASICSR, "esrgan": ESRGAN, "esrgan_old": ESRGAN_OLD}


def write_public(
    generator: nn.Module,
    config: GeneratorConfig,
    path: Path,
    layout: str = "basicsr",
    ema: nn.Module | None = None,
) -> None:
    """Write the file that a project publishes of an RRDBNet or, layout leftthomas, of its SRGAN."""
    if layout == "leftthomas":
        names = leftthomas_names(config.num_blocks, doublings(config.scale))
    else:
        final = 4 if config.unshuffle_input else config.scale
        names = RRDB_LAYOUTS[layout].names(config.num_blocks, doublings(final))
    files = {"params": generator} | ({"params_ema": ema} if ema else {})
    content = {key: renamed(module.state_dict(), names) for key, module in files.items()}
    torch.save(content if layout == "basicsr" else content["params"], path)


def forget() -> None:
    """Forget the networks that this process has read."""
    for function in (lpips.backbone, lpips.load_lpips, dists.load_dists):
        function.cache_clear()


class Foreign:
    """An object that calls a function when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("executed",)


class Server:
    """Files by path, and the requests that were made."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.requests: list[tuple[str, str]] = []
        self.cut_after: int | None = None
        self.ranges = True
        self.url = ""

    def add(self, path: str, data: bytes, kind: str = "application/octet-stream") -> str:
        """Serve `data` at `path`; return its address."""
        self.files[path] = (kind, data)
        return self.url + path

    def index(self, project: str, *archives: str, as_json: bool = True) -> None:
        """Serve the page of a project that lists `archives`, which lie under /files/."""
        if as_json:
            files = [{"filename": a, "url": f"../../files/{a}", "hashes": {}} for a in archives]
            page = json.dumps({"meta": {"api-version": "1.0"}, "name": project, "files": files})
            self.add(f"/simple/{project}/", page.encode(), "application/vnd.pypi.simple.v1+json")
        else:
            links = "".join(f'<a href="/files/{a}#sha256=0">{a}</a><br>' for a in archives)
            self.add(f"/simple/{project}/", f"<html>{links}</html>".encode(), "text/html")


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of loopback."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            server.requests.append((self.path, asked))
            if self.path not in server.files:
                self.send_error(404)
                return
            kind, data = server.files[self.path]
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = len(data) if server.cut_after is None else server.cut_after
            server.cut_after = None
            self.wfile.write(data[start:end])

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
