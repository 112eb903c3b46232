"""A real nginx with the settings that are shipped, but for its servers, ports, certificate and files."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import polylogue
from tests.support.processes import free_port, wait_until

SHIPPED = Path(polylogue.__file__).parent / "infra" / "nginx" / "polylogue.conf"
# What nginx.conf would have around the shipped file. One process, so that it needs no user of its own.
AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/start.log notice;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/polylogue.conf;
}}
"""


def program() -> str:
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found is not None, "nginx is missing; run: make nginx"
    return found


class Nginx:
    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.url = folder, f"https://127.0.0.1:{port}"
        self.certificate = folder / "certificate.pem"
        self.trust = ssl.create_default_context(cafile=str(self.certificate))

    def log_text(self) -> str:
        """All that it has written anywhere."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))

    def accesses(self) -> list[dict[str, Any]]:
        """One for each request that has ended."""
        return [json.loads(line) for line in (self.folder / "access.log").read_text().splitlines()]


@contextmanager
def nginx(folder: Path, upstream: Sequence[int], *, silent_s: int) -> Iterator[Nginx]:
    """Before the API processes on these ports; gives one up that has said nothing for `silent_s`."""
    found = program()
    port = free_port()
    _certify(folder)
    servers = "\n".join(f"    server 127.0.0.1:{one};" for one in upstream)
    (folder / "polylogue.conf").write_text(
        _changed(
            SHIPPED.read_text(),
            {
                "    server 127.0.0.1:8000;": servers,
                "listen 80;": f"listen 127.0.0.1:{free_port()};",
                "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
                "/etc/ssl/polylogue/fullchain.pem": str(folder / "certificate.pem"),
                "/etc/ssl/polylogue/privkey.pem": str(folder / "key.pem"),
                "/var/log/nginx/polylogue.access.log": str(folder / "access.log"),
                "/var/log/nginx/polylogue.error.log": str(folder / "error.log"),
                "proxy_read_timeout 75s;": f"proxy_read_timeout {silent_s}s;",
            },
        )
    )
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    command = [found, "-p", str(folder), "-e", str(folder / "start.log"), "-c", str(folder / "nginx.conf")]
    running = Nginx(folder, port)
    with (folder / "said.log").open("wb") as said:
        child = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        wait_until(lambda: (folder / "nginx.pid").exists() or child.poll() is not None, "nginx begins")
        assert child.poll() is None, running.log_text()
        yield running
    finally:
        child.terminate()
        child.wait()


def _changed(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {SHIPPED.name}"
        text = text.replace(old, new)
    return text


def _certify(folder: Path) -> None:
    """A certificate of this machine's address, signed by itself, for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
