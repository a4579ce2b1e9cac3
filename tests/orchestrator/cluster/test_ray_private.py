"""Ray's private parts, as the installed Ray has them."""

import os

from helpers.job_api import TOKEN, serving

from orchestrator.cluster import ray_private


def test_the_client_takes_its_address_not_ray_s_variables_and_limits_each_request(monkeypatch):
    import requests

    limits, real = [], requests.request

    def request(*words, **more):
        limits.append(more.get("timeout"))
        return real(*words, **more)

    monkeypatch.setattr(requests, "request", request)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://192.0.2.9:8265")
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.9:6379")
    with serving() as server:
        client = ray_private.job_client(server.url, {"Authorization": f"Bearer {TOKEN}"}, True)
        assert client.list_jobs() == []
    assert os.environ["RAY_ADDRESS"] == "192.0.2.9:6379"
    assert len(limits) > 1 and set(limits) == {(ray_private.CONNECT_S, ray_private.READ_S)}
