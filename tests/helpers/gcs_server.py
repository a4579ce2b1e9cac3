"""A stand-in for Google Cloud Storage on loopback: metadata, lists, ranges, resumable uploads, deletion.

It runs in its own process, which prints its address: the client holds Python's lock while it reads.
"""

import http.server
import json
import re
import threading
from urllib.parse import parse_qs, unquote, urlsplit

OBJECT = re.compile(r"/(?:download/)?storage/v1/b/([^/]+)/o/(.+)")
LIST = re.compile(r"/storage/v1/b/([^/]+)/o")
NOT_FOUND = b'{"error": {"code": 404, "message": "Not Found"}}'
OBJECTS: dict[tuple[str, str], bytes] = {}
UPLOADS: list[tuple[str, str]] = []
CREATE = threading.Lock()


def metadata(key: tuple[str, str]) -> dict[str, str]:
    """Return the metadata of an object."""
    size = str(len(OBJECTS[key]))
    return {"kind": "storage#object", "bucket": key[0], "name": key[1], "size": size, "generation": "1"}


def listing(bucket: str, prefix: str, delimiter: str) -> dict[str, list[dict[str, str]]]:
    """Return the objects of `bucket` under `prefix`, without those beyond a delimiter."""
    keys = sorted(key for key in OBJECTS if key[0] == bucket and key[1].startswith(prefix))
    return {"items": [metadata(k) for k in keys if not delimiter or delimiter not in k[1][len(prefix) :]]}


class Handler(http.server.BaseHTTPRequestHandler):
    """One bucket, `photos`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if folder := LIST.fullmatch(parts.path):
            query = parse_qs(parts.query)
            prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
            return self._answer(200, json.dumps(listing(folder[1], prefix, delimiter)).encode())
        found = OBJECT.fullmatch(parts.path)
        key = (found[1], unquote(found[2])) if found else ("", "")
        if key not in OBJECTS:
            return self._answer(404, NOT_FOUND)
        if parse_qs(parts.query).get("alt") != ["media"]:
            return self._answer(200, json.dumps(metadata(key)).encode())
        data = OBJECTS[key]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self._answer(200, data)
        first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        where = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
        return self._answer(206, data[first : last + 1], where)

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        bucket = parts.path.split("/b/")[1].split("/")[0]
        if bucket != "photos":
            return self._answer(404, NOT_FOUND)
        query = parse_qs(parts.query)
        key = (bucket, query["name"][0])
        if query.get("uploadType") == ["media"]:  # in one request, on condition
            data = self.rfile.read(int(self.headers["Content-Length"]))
            with CREATE:
                if query.get("ifGenerationMatch") == ["0"] and key in OBJECTS:
                    return self._answer(412, b"{}")
                OBJECTS[key] = data
            return self._answer(200, json.dumps(metadata(key)).encode())
        UPLOADS.append(key)
        session = f"http://{self.headers['Host']}/session/{len(UPLOADS) - 1}"
        return self._answer(200, b"", {"Location": session})

    def do_PUT(self) -> None:
        key = UPLOADS[int(self.path.rsplit("/", 1)[1])]
        data = self.rfile.read(int(self.headers["Content-Length"]))
        asked = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers["content-range"])
        assert asked
        OBJECTS[key] = OBJECTS.get(key, b"")[: int(asked[1] or 0)] + data
        if asked[2] == "*":
            return self._answer(308, b"", {"Range": f"bytes=0-{len(OBJECTS[key]) - 1}"})
        return self._answer(200, json.dumps(metadata(key)).encode())

    def do_DELETE(self) -> None:
        found = OBJECT.fullmatch(urlsplit(self.path).path)
        gone = found and OBJECTS.pop((found[1], unquote(found[2])), None)
        return self._answer(404, NOT_FOUND) if gone is None else self._answer(204, b"")

    def _answer(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
