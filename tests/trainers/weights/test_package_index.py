"""The user's package index: pip's settings, all kinds of pages, local folders, no password in messages."""

import pytest
import requests
from helpers.weights import serving

from trainers.weights import package_index

SESSION = requests.Session()


def test_pip_is_asked_for_its_settings_and_the_environment_overrides_its_file(tmp_path, monkeypatch):
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "PIP_NO_INDEX", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://file.example/simple\nextra-index-url =\n    https://a.example/\n"
        "    https://b.example/\n[download]\nproxy = http://proxy.example:3128\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    options = package_index.pip_options()
    assert options["index-url"] == "https://file.example/simple"
    assert options["extra-index-url"].split() == ["https://a.example/", "https://b.example/"]
    assert package_index.session_for(options).proxies["https"] == "http://proxy.example:3128"
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert package_index.pip_options()["index-url"] == "https://mirror.example/simple"


def test_the_extra_index_serves_what_the_first_does_not_list():
    with serving() as server:
        server.index("weights", "other-1.0.tar.gz")
        server.add("/more/weights/", b'<a href="w-1.0.whl#sha256=0" data-x="y">w</a>', "text/html")
        options = {"index-url": f"{server.url}/simple", "extra-index-url": f"{server.url}/more"}
        url = package_index.locate("weights", "w-1.0.whl", options, SESSION)
        assert url == f"{server.url}/more/weights/w-1.0.whl"


def test_local_folders_serve_without_any_network(tmp_path):
    (tmp_path / "w-1.0.whl").write_bytes(b"")
    (tmp_path / "index" / "weights").mkdir(parents=True)
    (tmp_path / "index" / "weights" / "index.html").write_text('<a href="../../w-1.0.whl">w</a>')
    for options in (
        {"find-links": str(tmp_path), "no-index": "true"},
        {"index-url": (tmp_path / "index").as_uri()},
    ):
        url = package_index.locate("weights", "w-1.0.whl", options, SESSION)
        assert package_index.local_path(url).resolve() == tmp_path / "w-1.0.whl"


def test_a_failure_names_every_index_and_no_password():
    with serving() as server:
        server.add("/simple/weights/", b"not json", "application/vnd.pypi.simple.v1+json")
        secret = server.url.replace("http://", "http://user:secret@")
        options = {"index-url": f"{secret}/none", "extra-index-url": f"{secret}/simple"}
        with pytest.raises(LookupError) as error:
            package_index.locate("weights", "w-1.0.whl", options, SESSION)
    assert "secret" not in str(error.value)
    assert f"{server.url}/none/weights/ does not list w-1.0.whl" in str(error.value)
    assert f"{server.url}/simple/weights/ was not read" in str(error.value)
