"""Cluster files, the notes that `ray up` leaves, nodes as ray.nodes() lists them, and a sample head."""

import json

import pytest
import yaml

from orchestrator.cluster import known_clusters
from orchestrator.cluster.head import Head
from orchestrator.cluster.known_clusters import KnownCluster

OWN = {
    "cluster_name": "mine",
    "provider": {"type": "local", "head_ip": "192.0.2.1", "worker_ips": ["192.0.2.2"]},
    "auth": {"ssh_user": "ana", "ssh_private_key": "~/.ssh/own"},
    "setup_commands": ["echo 'export UPSWEEP_STORAGE=/shared/upsweep'"],
}
CLOUD = {
    "cluster_name": "mine",
    "provider": {"type": "aws", "region": "us-west-2"},
    "auth": {"ssh_user": "ubuntu"},
}


@pytest.fixture
def laptop(tmp_path, monkeypatch):
    """An empty home, an empty temporary folder and a checkout without cluster files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(known_clusters.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "checkout").mkdir()
    return tmp_path


def write_cluster_file(laptop, config, name="cluster.yaml"):
    """Write a cluster file into the checkout; return its path."""
    path = laptop / "checkout" / name
    path.write_text(yaml.safe_dump(config))
    return path


def note_of_ray_up(laptop, config, name="ray-config-1"):
    """Write the note that `ray up` leaves in the temporary folder."""
    (laptop / name).write_text(json.dumps({"_version": 1, "config": config}))


def fake_command(laptop, monkeypatch, name, script):
    """Put a shell script before every other command of that name."""
    folder = laptop / "bin"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def head_of_own_machines():
    """Return a head that no method has contacted yet."""
    return Head(KnownCluster("mine", "/x/cluster.yaml", "local", "ana", "", "192.0.2.1"))


def node(cpus, gpus=0, alive=True, is_head=False):
    """Return a row of ray.nodes()."""
    resources = {"CPU": cpus, "GPU": gpus} | ({"node:__internal_head__": 1} if is_head else {})
    return {"Alive": alive, "Resources": resources if alive else {}}
