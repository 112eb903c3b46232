"""`polylogue aws`: shows, makes and removes what the system needs of AWS."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polylogue.cli.problems import Problem

if TYPE_CHECKING:
    from polylogue.infra.aws.blueprint import Blueprint
    from polylogue.infra.aws.difference import Change
    from polylogue.infra.aws.resource import Clients

FAILED = 1  # 2 says that there are changes
CHANGES = 2
_SYMBOLS = {"create": "+", "change": "~", "remove": "-"}
_COLOURS = {"create": "green", "change": "yellow", "remove": "red"}

app = typer.Typer(
    no_args_is_help=True,
    help="Bucket, policies, CDN, user and alarms at AWS: look, make, remove.\n\n"
    "Bucket, region, URL mode and days come from the settings; everything else from aws.toml. The credentials are "
    "those of an administrator, from where boto3 looks (environment, ~/.aws, --profile); .env is not read for them.",
)

File = Annotated[Path | None, typer.Option("--file", help="Choices for AWS; aws.toml where it exists.")]
Profile = Annotated[str | None, typer.Option(help="The profile in ~/.aws to work under.")]


@app.command()
def plan(
    file: File = None,
    profile: Profile = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Show the difference. Exit code 0: no changes; 2: changes; 1: it could not be found out."""
    from polylogue.infra.aws import system

    with _sentences():
        blueprint = _blueprint(file)
        changes = system.plan(_clients(blueprint, profile), blueprint)
    if as_json:
        print(json.dumps({"bucket": blueprint.bucket, "changes": [_json(change) for change in changes]}))
    else:
        _show(changes)
    if changes:
        raise typer.Exit(CHANGES)


@app.command()
def apply(
    file: File = None,
    profile: Profile = None,
    show_secret: Annotated[
        bool, typer.Option(help="Print a new access key also where the output is no terminal.")
    ] = False,
) -> None:
    """Show the difference, and make it so. After an interruption run it again. A new secret is shown once."""
    from polylogue.infra.aws import system

    with _sentences():
        blueprint = _blueprint(file)
        clients = _clients(blueprint, profile)
        changes = system.plan(clients, blueprint)
        if not (show_secret or _terminal()) and any(one.resource == "access key" for one in changes):
            raise Problem(
                "A new access key would be printed, and the output is no terminal; run it in one, add --show-secret, "
                "or set with_key = false in aws.toml.",
                exit_code=FAILED,
            )
        _show(changes)
        outcome = system.apply(
            clients, blueprint, _show_key, lambda change: print(f"done: {change.resource}")
        )
    print("\n# settings of the application")
    for name, value in _settings(blueprint, outcome.ids).items():
        print(f"{name}={value}")


@app.command()
def destroy(
    file: File = None,
    profile: Profile = None,
    with_contents: Annotated[
        bool, typer.Option(help="Delete every object of the bucket, too. Nothing brings them back.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove everything that `apply` makes; a bucket that is not empty only with --with-contents."""
    from polylogue.infra.aws import system
    from polylogue.infra.aws.bucket import is_empty

    with _sentences():
        blueprint = replace(_blueprint(file), with_key=True)
        clients = _clients(blueprint, profile)
        names = system.present(clients, blueprint)
        if not names:
            print("There is nothing to remove.")
            return
        if not with_contents and not is_empty(clients, blueprint.bucket):
            raise Problem(
                f"The bucket {blueprint.bucket} is not empty, and nothing was removed; --with-contents deletes its objects.",
                exit_code=FAILED,
            )
        print("To be removed: " + ", ".join(names) + ".")
        if not yes and typer.prompt("Type the bucket's name to go on") != blueprint.bucket:
            raise Problem("Nothing was removed: that is not its name.", exit_code=FAILED)
        for step in system.destroy(clients, blueprint, with_contents=with_contents):
            print(step)


@app.command()
def policy(file: File = None) -> None:
    """Print the policy of what the application asks of S3, for a role or a user of your own. Asks AWS nothing."""
    from polylogue.infra.aws.iam import application_policy

    with _sentences():
        print(json.dumps(application_policy(_blueprint(file)), indent=2))


def _blueprint(file: Path | None) -> Blueprint:
    from polylogue.infra.aws.blueprint import Blueprint
    from polylogue.infra.aws.options_file import read_options
    from polylogue.infra.settings import load_settings

    chosen = read_options(file)
    options = chosen.options
    # The mode to build for may need what only this command makes.
    settings = load_settings(**({"media_url_mode": "presigned"} if options.url_mode else {}))
    if settings.s3_endpoint_url is not None:
        raise Problem("S3_ENDPOINT_URL names a server that is not AWS; unset it for this.", exit_code=FAILED)
    return Blueprint(
        bucket=settings.s3_media_bucket,
        region=settings.aws_region,
        url_mode=options.url_mode or settings.media_url_mode,
        lifecycle_days=settings.media_lifecycle_days,
        cdn=options.cdn,
        origins=options.origins,
        user=(options.user or f"{settings.s3_media_bucket}-uploader") if options.with_user else None,
        with_key=options.with_key,
        price_class=options.price_class,
        domain=options.domain,
        certificate_arn=options.certificate_arn,
        public_key_pem=chosen.public_key_pem,
        size_alarm_gb=options.size_alarm_gb,
        egress_alarm_gb=options.egress_alarm_gb,
        alarm_topic_arn=options.alarm_topic_arn,
    )


def _clients(blueprint: Blueprint, profile: str | None) -> Clients:
    import boto3

    from polylogue.infra.aws.resource import Clients

    return Clients.of(boto3.Session(profile_name=profile), blueprint.region)


@contextmanager
def _sentences() -> Iterator[None]:
    """Whatever a person has to mend ends the command with one sentence and exit code 1."""
    from botocore.exceptions import BotoCoreError, ClientError, WaiterError

    from polylogue.cli.prepare import first_line
    from polylogue.infra.aws.blueprint import BlueprintError
    from polylogue.infra.aws.options_file import OptionsError
    from polylogue.infra.settings import SettingsError

    try:
        yield
    except (BlueprintError, OptionsError, SettingsError) as error:
        raise Problem(str(error), exit_code=FAILED) from error
    except WaiterError as error:
        raise Problem(
            "CloudFront is not done yet; run the command again in some minutes.", exit_code=FAILED
        ) from error
    except (BotoCoreError, ClientError) as error:
        raise Problem(f"AWS: {first_line(error)}", exit_code=FAILED) from error


def _show(changes: list[Change]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    if not changes:
        console.print("No changes: AWS has what is wanted.")
        return
    for change in changes:
        colour = _COLOURS[change.action]
        console.print(f"[{colour}]{_SYMBOLS[change.action]} {change.resource}[/{colour}]")
        for line in change.lines:
            before = "" if change.action == "create" else f"{_value(line.before)} → "
            after = "nothing" if change.action == "remove" else _value(line.after)
            console.print("    " + escape(f"{line.path}: {before}{after}"))
    counts = {action: sum(one.action == action for one in changes) for action in _SYMBOLS}
    console.print(
        f"{counts['create']} to create, {counts['change']} to change, {counts['remove']} to remove."
    )


def _terminal() -> bool:
    return sys.stdout.isatty()


def _show_key(key_id: str, secret: str) -> None:
    """The only place that sees a secret: it goes out at once, since nobody can ask for it again."""
    print("\n# shown this once: keep them now")
    print(f"AWS_ACCESS_KEY_ID={key_id}")
    print(f"AWS_SECRET_ACCESS_KEY={secret}\n", flush=True)


def _value(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _json(change: Change) -> dict[str, Any]:
    lines = [{"path": line.path, "before": line.before, "after": line.after} for line in change.lines]
    return {"resource": change.resource, "action": change.action, "differences": lines}


def _settings(blueprint: Blueprint, ids: dict[str, str]) -> dict[str, str]:
    known = {
        "AWS_REGION": blueprint.region,
        "S3_MEDIA_BUCKET": blueprint.bucket,
        "MEDIA_URL_MODE": blueprint.url_mode,
        "MEDIA_LIFECYCLE_DAYS": str(blueprint.lifecycle_days),
    }
    if blueprint.distributed:
        known["CLOUDFRONT_DOMAIN"] = blueprint.domain or ids["distribution_domain"]
    if blueprint.url_mode == "cloudfront-signed":
        known["CLOUDFRONT_KEY_PAIR_ID"] = ids["public_key_id"]
    return known
