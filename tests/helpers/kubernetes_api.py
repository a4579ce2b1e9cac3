"""A double of Kubernetes' API server on loopback: discovery, OpenAPI, and objects that can be created."""

import json
from contextlib import contextmanager

from helpers.job_api import JsonHandler, certificate, serving

TOKEN = "a-token-of-kubernetes"
BUILT_IN = {
    "api/v1": {"persistentvolumeclaims": "PersistentVolumeClaim", "services": "Service"},
    "apis/apps/v1": {"deployments": "Deployment"},
    "apis/networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
}
KUBERAY = {"apis/ray.io/v1": {"rayclusters": "RayCluster", "rayjobs": "RayJob"}}
CRDS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NO_DEFINITIONS = b"\n\x032.0"
"""OpenAPI v2 as protobuf, the only form that kubectl asks for: `swagger: "2.0"`."""


def discovery(path, kinds):
    """Return the answer to a path of discovery of a server with `kinds`, or None if it is another path."""
    if path == "version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.4"}
    if path == "api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "apis":
        groups = [_group(*one.split("/")[1:]) for one in kinds if one.startswith("apis/")]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path in kinds:
        more = {"namespaced": True, "verbs": ["create", "delete", "get", "list", "patch", "update"]}
        resources = [{"name": name, "kind": kind} | more for name, kind in kinds[path].items()]
        of = {"groupVersion": path.split("/", 1)[1], "resources": resources}
        return {"kind": "APIResourceList", "apiVersion": "v1"} | of
    if path == CRDS:
        return {"kind": "CustomResourceDefinitionList", "apiVersion": "apiextensions.k8s.io/v1", "items": []}
    if path == "openapi/v3":
        return {"paths": {one: {"serverRelativeURL": f"/openapi/v3/{one}"} for one in kinds}}
    if (of := path.removeprefix("openapi/v3/")) in kinds:
        return _open_api(of, kinds[of])
    return None


def _group(name, version):
    preferred = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [preferred], "preferredVersion": preferred}


def _open_api(path, kinds):
    """Return the OpenAPI v3 document of a group: the server validates the fields of each of its kinds."""
    group, version = ["", *path.split("/")[1:]][-2:]
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    paths = {}
    for name, kind in kinds.items():
        which = {"group": group, "version": version, "kind": kind}
        patch = {"x-kubernetes-group-version-kind": which, "parameters": parameters}
        paths[f"/{path}/namespaces/{{namespace}}/{name}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.32.4"}, "paths": paths}


class KubernetesApi(JsonHandler):
    """Kubernetes' API for clients that have its token; the server holds `kinds`, and `objects` by path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0].strip("/")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._refuse(401, "Unauthorized")
        if path == "openapi/v2":
            return self._answer(200, NO_DEFINITIONS, "application/octet-stream")
        answer = discovery(path, self.server.kinds) or self.server.objects.get(path)
        return self._answer(200, answer) if answer else self._refuse(404, "NotFound")

    def do_POST(self):
        created = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.split("?")[0].strip("/")
        if path.split("/namespaces/")[0] not in self.server.kinds:
            return self._refuse(404, "NotFound")
        self.server.objects[f"{path}/{created['metadata']['name']}"] = created
        self._answer(201, created)

    def _refuse(self, code, reason):
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
        self._answer(code, status)


@contextmanager
def kubernetes(folder):
    """Yield a server of the built-in kinds; `folder`/config is the KUBECONFIG that leads to it."""
    tls = certificate(folder)
    with serving(KubernetesApi, tls=tls, kinds=dict(BUILT_IN), objects={}) as server:
        at = {"server": server.url, "certificate-authority": str(tls[0])}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "double"}
        config["clusters"] = [{"name": "double", "cluster": at}]
        config["users"] = [{"name": "double", "user": {"token": TOKEN}}]
        config["contexts"] = [{"name": "double", "context": {"cluster": "double", "user": "double"}}]
        (folder / "config").write_text(json.dumps(config))
        yield server
