"""The Faust application of the media agent, with every setting that its traps require."""

from __future__ import annotations

import ssl
from typing import Any

import faust
from faust.types.auth import AuthProtocol

from polylogue.infra.settings import Settings

GROUP = "media-agent"
DAY_S = 86_400.0


def group_id(settings: Settings) -> str:
    return settings.kafka_topic_prefix + GROUP


def create_app(settings: Settings) -> faust.App:
    """An application that nothing has started. Raises SettingsError where no server is named.

    It is started as a service in our own event loop, never through `faust worker`, which turns the web server on
    again, takes over logging and signals, and prints.
    """
    settings.require("kafka_bootstrap_servers")
    servers = (settings.kafka_bootstrap_servers or "").split(",")
    session_s = settings.kafka_session_timeout_ms / 1000
    return faust.App(
        group_id(settings),
        broker=[f"kafka://{server.strip()}" for server in servers],
        broker_credentials=_credentials(settings),
        autodiscover=False,
        datadir=str(settings.polylogue_home.absolute() / GROUP),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        producer_threaded=False,
        # A dead member holds its partitions for the session time-out.
        broker_session_timeout=session_s,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=max(10.0, session_s),
        # A claim may wait for S3 for minutes with its partition's buffer full; the thread that polls sends heartbeats
        # meanwhile, and our own watchdog judges whether the process still works.
        broker_max_poll_interval=DAY_S,
        stream_processing_timeout=DAY_S,
        broker_commit_interval=0.5,
        broker_commit_livelock_soft_timeout=DAY_S,
        # What is under way when partitions are revoked is cancelled or not acknowledged, never waited for.
        stream_wait_empty=False,
        # Claims are small, but each may mean minutes of work: buffer few.
        stream_buffer_maxsize=16,
        broker_max_poll_records=16,
        consumer_max_fetch_size=1024 * 1024,
        consumer_auto_offset_reset="earliest",
        processing_guarantee="at_least_once",
    )


def _credentials(settings: Settings) -> Any:
    context = None
    if settings.kafka_security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    if settings.kafka_security_protocol.startswith("SASL"):
        settings.require("kafka_sasl_username", "kafka_sasl_password")
        password = settings.kafka_sasl_password
        credentials = faust.SASLCredentials(
            username=settings.kafka_sasl_username,
            password=password.get_secret_value() if password else None,
            ssl_context=context,
            mechanism=settings.kafka_sasl_mechanism,
        )
        credentials.protocol = AuthProtocol(settings.kafka_security_protocol)
        return credentials
    return faust.SSLCredentials(context) if context is not None else None
