"""Who is told of failures: a mail server and a web server that keep what they get, for tests.serving to serve."""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from typing import Any

Keep = Callable[[dict[str, Any]], None]


class _Mail(socketserver.StreamRequestHandler):
    """One client of the mail server."""

    keep: Keep
    context: ssl.SSLContext | None

    def handle(self) -> None:
        self.login, self.encrypted, self.recipients = "", False, list[str]()
        self.say("220 sink")
        while line := self.rfile.readline().decode().strip():
            verb = line.upper().split(" ")[0]
            if verb == "QUIT":
                self.say("221 bye")
                return
            self.answer(verb, line)

    def answer(self, verb: str, line: str) -> None:
        if verb == "EHLO":
            offers = ["AUTH PLAIN"] if self.encrypted else ["STARTTLS"] if self.context else []
            lines = ["sink", *offers]
            self.say("\r\n".join(f"250{' ' if one is lines[-1] else '-'}{one}" for one in lines))
        elif verb == "STARTTLS" and self.context:
            self.say("220 go on")
            self.connection = self.context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.encrypted = True
        elif verb == "AUTH":
            self.login = base64.b64decode(line.split(" ")[2]).decode().replace("\0", " ").strip()
            self.say("235 welcome")
        elif verb == "DATA":
            self.take()
        else:
            if verb == "RCPT":
                self.recipients.append(line.partition(":")[2].strip(" <>"))
            self.say("250 good")

    def take(self) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(message, EmailMessage)
        subject, body = message["Subject"], message.get_content()
        type(self).keep({"way": "mail", "to": self.recipients, "subject": subject, "body": body, "login": self.login})
        self.say("250 kept")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def mail_server(keep: Keep, context: ssl.SSLContext | None = None) -> type[socketserver.BaseRequestHandler]:
    """A mail server that takes everything; with a context it offers STARTTLS, and takes a login once that is on."""
    return type("Mail", (_Mail,), {"keep": staticmethod(keep), "context": context})


def web_server(keep: Keep) -> type[socketserver.BaseRequestHandler]:
    """A web server that takes every POST."""

    class Web(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            keep({"way": "webhook", "path": self.path, "body": json.loads(body)})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """What came is kept; nothing is said."""

    return Web
