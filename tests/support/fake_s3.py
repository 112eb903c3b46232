"""An S3 server of a few lines that loses answers, refuses and lies on demand."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

Operation = Literal["head", "get", "put", "create", "part", "complete", "abort", "delete", "list"]
Fault = Literal[
    "503", "409", "403", "400 KeyTooLongError", "200 error", "lost before", "lost after", "gone after"
]

_ERROR = "<Error><Code>{}</Code><Message>no</Message></Error>"


@dataclass
class FakeS3:
    """`faults[operation]` is a queue: each request of the operation takes its first."""

    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    described: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: dict[Operation, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    seen: list[Operation] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def start(self) -> str:
        store = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                with lock:
                    store.answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 (the library's names)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(path.query, keep_blank_values=True).items()}
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        operation = _operation(request.command, query)
        self.seen.append(operation)
        fault = self.faults[operation].pop(0) if self.faults[operation] else None
        match fault:
            case "lost before":
                request.close_connection = True
                return None
            case "503":
                return _reply(request, 503, _ERROR.format("SlowDown"))
            case "409":
                return _reply(request, 409, _ERROR.format("ConditionalRequestConflict"))
            case "403":
                return _reply(request, 403, _ERROR.format("AccessDenied"))
            case "400 KeyTooLongError":
                return _reply(request, 400, _ERROR.format("KeyTooLongError"))
            case "200 error":
                return _reply(request, 200, _ERROR.format("InternalError"))
        status, reply, headers = self._carry_out(operation, path.path, query, body, dict(request.headers))
        if fault == "gone after":
            self.objects.pop(path.path, None)
        if fault == "lost after":
            request.close_connection = True
            return None
        return _reply(request, status, reply, headers)

    def _carry_out(
        self, operation: Operation, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]
    ) -> tuple[int, str | bytes, dict[str, str]]:
        upload = query.get("uploadId", "")
        match operation:
            case "list":
                return 200, self._listed(path, query), {}
            case "head" | "get":
                if path not in self.objects:
                    return 404, _ERROR.format("NoSuchKey"), {}
                data, described = self.objects[path]
                return 200, data, described
            case "put" | "complete":
                if operation == "complete" and upload not in self.uploads:
                    return 404, _ERROR.format("NoSuchUpload"), {}
                if headers.get("If-None-Match") == "*" and path in self.objects:
                    return 412, _ERROR.format("PreconditionFailed"), {}
                if operation == "put":
                    self.objects[path] = (body, _described(headers))
                    return 200, "", {"ETag": '"e"'}
                parts = self.uploads.pop(upload)
                self.objects[path] = (
                    b"".join(parts[number] for number in sorted(parts)),
                    self.described[upload],
                )
                return (
                    200,
                    "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>",
                    {},
                )
            case "create":
                upload = f"upload-{len(self.described)}"
                self.uploads[upload], self.described[upload] = {}, _described(headers)
                return (
                    200,
                    f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>",
                    {},
                )
            case "part":
                if upload not in self.uploads:
                    return 404, _ERROR.format("NoSuchUpload"), {}
                self.uploads[upload][int(query["partNumber"])] = body
                return 200, "", {"ETag": '"p"'}
            case "abort":
                known = self.uploads.pop(upload, None)
                return (204, "", {}) if known is not None else (404, _ERROR.format("NoSuchUpload"), {})
            case "delete":
                self.objects.pop(path, None)
                return 204, "", {}

    def _listed(self, bucket: str, query: dict[str, str]) -> str:
        """Pages of two keys, so that a listing always has several."""
        keys = sorted(unquote(path).removeprefix(f"{bucket.rstrip('/')}/") for path in self.objects)
        after = query.get("start-after", "")
        found = [key for key in keys if key.startswith(query.get("prefix", "")) and key > after]
        contents = "".join(f"<Contents><Key>{quote(key)}</Key></Contents>" for key in found[:2])
        more = str(len(found) > 2).lower()
        return (
            "<ListBucketResult><EncodingType>url</EncodingType>"
            f"<IsTruncated>{more}</IsTruncated>{contents}</ListBucketResult>"
        )


def _operation(method: str, query: dict[str, str]) -> Operation:
    match method:
        case "POST":
            return "create" if "uploads" in query else "complete"
        case "PUT":
            return "part" if "partNumber" in query else "put"
        case "DELETE":
            return "abort" if "uploadId" in query else "delete"
        case "HEAD":
            return "head"
    return "list" if "list-type" in query else "get"


def _described(headers: dict[str, str]) -> dict[str, str]:
    kept = ("content-type", "content-disposition", "cache-control")
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in kept or name.lower().startswith("x-amz-meta-")
    }


def _reply(
    request: BaseHTTPRequestHandler, status: int, body: str | bytes, headers: dict[str, str] | None = None
) -> None:
    data = body.encode() if isinstance(body, str) else body
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
