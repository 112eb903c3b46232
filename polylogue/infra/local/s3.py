"""S3Proxy over a folder: an S3 server whose objects are files."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import secrets
from base64 import b64encode
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from threading import Event
from typing import ClassVar

from polylogue.infra.local import java
from polylogue.infra.local.files import write_private
from polylogue.infra.local.jars import S3PROXY_VERSION
from polylogue.infra.local.ports import HOST
from polylogue.infra.local.service import Say, Service

ANSWER_TIMEOUT_S = 2.0
REGION = "us-east-1"

SETTINGS = """\
s3proxy.endpoint=http://{host}:{port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={access_key}
s3proxy.credential={secret_key}
s3proxy.cors-allow-origins=https?://(localhost|127\\\\.0\\\\.0\\\\.1|\\\\[::1\\\\])(:[0-9]+)?
s3proxy.cors-allow-methods=GET HEAD PUT POST DELETE
s3proxy.cors-allow-headers=*
jclouds.provider=filesystem-nio2
jclouds.identity=unused
jclouds.credential=unused
jclouds.filesystem.basedir={objects}
"""

# At its default, DEBUG, S3Proxy is four times slower and logs signed URLs.
LOGBACK = """\
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"""


@dataclass(frozen=True)
class Keys:
    access_key: str
    secret_key: str


def signed(keys: Keys, date: str) -> dict[str, str]:
    """The headers of a GET of `/` by signature version 2 (RFC 2104, as in the Amazon S3 developer guide, "Signing and
    authenticating REST requests"): boto3 takes longer to import than the server takes to start."""
    digest = hmac.new(keys.secret_key.encode(), f"GET\n\n\n{date}\n/".encode(), hashlib.sha1).digest()
    return {"Date": date, "Authorization": f"AWS {keys.access_key}:{b64encode(digest).decode()}"}


class S3(Service):
    name: ClassVar[str] = "s3"
    title: ClassVar[str] = "S3Proxy"
    preferred_port: ClassVar[int] = 19000

    def __init__(self, data_dir: Path, say: Say) -> None:
        super().__init__(data_dir, say)
        self._class_path: list[Path] = []

    @property
    def marker(self) -> str:
        return f"-Dpolylogue.s3={self.home}"

    @property
    def _settings(self) -> Path:
        return self.home / "s3proxy.properties"

    @property
    def _logback(self) -> Path:
        return self.home / "logback.xml"

    def keys(self) -> Keys:
        """The access keys of this data dir, made at the first call."""
        stored = self.home / "keys.json"
        try:
            return Keys(**json.loads(stored.read_text()))
        except FileNotFoundError:
            keys = Keys(
                access_key=f"LOCAL{secrets.token_hex(8).upper()}", secret_key=secrets.token_urlsafe(30)
            )
            write_private(stored, json.dumps({"access_key": keys.access_key, "secret_key": keys.secret_key}))
            return keys

    def fetch(self, cancelled: Event) -> None:
        self._class_path = java.class_path("s3proxy", f"S3Proxy {S3PROXY_VERSION}", self.say, cancelled)

    def prepare(self, port: int) -> list[str]:
        objects = self.home / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        keys = self.keys()
        self._logback.write_text(LOGBACK)
        write_private(
            self._settings,
            SETTINGS.format(
                host=HOST,
                port=port,
                access_key=keys.access_key,
                secret_key=keys.secret_key,
                objects=java.property_value(objects),
            ),
        )
        return java.command(
            self.marker,
            self._class_path,
            "org.gaul.s3proxy.Main",
            "--properties",
            str(self._settings),
            options=[
                "-Xms64m",
                "-Xmx256m",
                java.SMALL_HEAP_COLLECTOR,
                f"-Dlogback.configurationFile={self._logback}",
            ],
        )

    def answers(self, port: int) -> bool:
        """The list of buckets is given to our keys by a server of this data dir alone: another one may have been
        faster to take the port."""
        connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_TIMEOUT_S)
        try:
            connection.request("GET", "/", headers=signed(self.keys(), formatdate(usegmt=True)))
            answer = connection.getresponse()
            answer.read()
            return answer.status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
