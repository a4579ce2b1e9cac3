"""The project's own cluster.yaml with only provider, addresses, user, key and storage replaced."""

from pathlib import Path

import yaml


def for_lab(path: Path, head: str, workers: list[str], storage: str) -> str:
    """`path` for machines one owns."""
    config = yaml.safe_load(path.read_text())
    config["provider"] = {"type": "local", "head_ip": head, "worker_ips": workers}
    config["auth"] = {"ssh_user": "root", "ssh_private_key": "~/.ssh/lab_key"}
    config["max_workers"] = len(workers)
    for key in ("available_node_types", "head_node_type"):  # Ray has one type of its own for such machines
        config.pop(key, None)
    text = yaml.safe_dump(config, sort_keys=False, width=1000)
    assert "s3://CHANGE-ME/upsweep" in text
    return text.replace("s3://CHANGE-ME/upsweep", storage)
