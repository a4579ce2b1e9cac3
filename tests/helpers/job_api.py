"""A double of Ray's job API on loopback: TLS, a token, and jobs that print a given output."""

import datetime
import json
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "a-token-of-the-cluster"


def certificate(folder, days=1, host="127.0.0.1"):
    """Write cert.pem (its own authority) and key.pem for `host`, valid for `days` from yesterday."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the test's own")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=3))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return folder / "cert.pem", folder / "key.pem"


class JsonHandler(BaseHTTPRequestHandler):
    """A server whose answers are JSON, or bytes of another kind; it logs nothing."""

    def _answer(self, code, content, kind="application/json"):
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class JobApi(JsonHandler):
    """The part of Ray's dashboard that a job needs; the server holds `jobs`, `packages` and `output`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            code = 403 if self.headers["Authorization"] else 401
            return self._answer(code, {"error": "the token"})
        parts = self.path.strip("/").split("/")
        if self.path == "/api/version":
            return self._answer(200, {"version": "4", "ray_version": "2.60.0", "ray_commit": "x"})
        if parts[1] == "packages":
            return self._answer(200 if self.path in self.server.packages else 404, {})
        jobs = list(self.server.jobs.values())
        if parts == ["api", "jobs"]:
            return self._answer(200, jobs)
        if parts[-1] == "logs":
            return self._answer(200, {"logs": self.server.output})
        return self._answer(200, self.server.jobs[parts[2]])

    def do_PUT(self):
        self.server.packages[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
        if self.path.endswith("/stop"):
            self.server.jobs[self.path.split("/")[3]]["status"] = "STOPPED"
            return self._answer(200, {"stopped": True})
        job = {"type": "SUBMISSION", "submission_id": body["submission_id"], "status": self.server.status}
        job |= {"entrypoint": body["entrypoint"], "runtime_env": body["runtime_env"], "driver_exit_code": 0}
        self.server.jobs[body["submission_id"]] = job
        return self._answer(200, {"submission_id": body["submission_id"], "job_id": body["submission_id"]})


@contextmanager
def serving(handler=JobApi, tls=None, **state):
    """Yield a server on loopback, with `url`; `tls` is the pair of files of a certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.jobs, server.packages, server.output, server.status = {}, {}, "", "SUCCEEDED"
    vars(server).update(state)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, tls))
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )  # else a client that speaks no TLS would hold up the others
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    server.handle_error = lambda *_: None  # a refused certificate
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
