"""What refuses: a registry that has nothing and wants a login for what is private, or, with a certificate, the same by TLS.

A node's own Python runs it, where containerd and the API server ask it.
"""

from __future__ import annotations

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refusing(BaseHTTPRequestHandler):
    """Answers as registries do for what they do not have and for those whom they do not know."""

    def do_GET(self) -> None:
        if "/private/" in self.path:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="lab"')
        else:
            self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - the name that http.server asks for


def serve(address: str, port: str, *certificate: str) -> None:
    """Answer for as long as it is let; the certificate is a file with the key in it."""
    server = ThreadingHTTPServer((address, int(port)), Refusing)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(*sys.argv[1:])
