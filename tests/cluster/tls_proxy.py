"""A reverse proxy that speaks TLS: python tls_proxy.py TARGET ADDRESS PORT CERTIFICATE KEY."""

import ssl
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy(BaseHTTPRequestHandler):
    """Each request goes to the server's `target`."""

    def forward(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0)) or None
        request = urllib.request.Request(self.server.target + self.path, body, method=self.command)
        for name in ("Authorization", "Content-Type"):
            if self.headers[name]:
                request.add_header(name, self.headers[name])
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = forward

    def log_message(self, *_):
        pass


def main(target, address, port, certificate, key):
    """Serve until killed."""
    server = ThreadingHTTPServer((address, int(port)), Proxy)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.target = target
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
