"""Resolves the pinned servers anew and writes `jars.lock`; run it after changing a version."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from polylogue.infra.local.jars import KAFKA_VERSION, LOCK_FILE, READ_TIMEOUT_S, S3PROXY_VERSION

SLF4J_VERSION = (
    "1.7.36"  # the API's version that Kafka brings; without a binding Kafka says nothing when it fails
)

# A jgo endpoint each: what to resolve, joined by "+".
ENDPOINTS = {
    "kafka": f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{SLF4J_VERSION}",
    "s3proxy": f"org.gaul:s3proxy:{S3PROXY_VERSION}",
}

HEADER = """\
# Every jar of the local stack in class path order: SHA-256, then group:artifact:version.
# Written by `python -m polylogue.infra.local.lock_jars`; a jar with another digest is never run.
"""


def resolve(endpoint: str, scratch: Path) -> list[str]:
    """One line per jar of the endpoint and all it needs."""
    import jgo
    from jgo.maven import PythonResolver

    context = jgo.MavenContext(
        repo_cache=scratch, local_repos=[], resolver=PythonResolver(), timeout=READ_TIMEOUT_S
    )
    roots = [context.create_dependency(coordinate) for coordinate in endpoint.split("+")]
    inputs, transitive = context.resolver.resolve(roots)
    lines = []
    for dependency in [*inputs, *transitive]:
        if dependency.scope not in {None, "compile", "runtime"} or dependency.type != "jar":
            continue
        if dependency.classifier:
            raise SystemExit(f"{dependency} has a classifier, which jars.lock does not know.")
        digest = hashlib.sha256(Path(dependency.artifact.resolve()).read_bytes()).hexdigest()
        lines.append(f"{digest} {dependency.groupId}:{dependency.artifactId}:{dependency.version}")
    return lines


def main() -> None:
    sections = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, endpoint in ENDPOINTS.items():
            sections.append("\n".join([f"\n[{name}]", *resolve(endpoint, Path(scratch))]))
    LOCK_FILE.write_text(HEADER + "\n".join(sections) + "\n")


if __name__ == "__main__":
    main()
