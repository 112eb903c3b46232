"""`polylogue aws` as a person sees it: exit codes, differences in words, questions, and secrets shown once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from polylogue.cli import aws as command
from polylogue.infra.aws.iam import application_policy
from polylogue.infra.aws.resource import Clients
from tests.support.aws import PEM, aws, blueprint

BUCKET = "media-of-mine"


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Clients]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3_MEDIA_BUCKET", BUCKET)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("MEDIA_URL_MODE", "presigned")
    monkeypatch.delenv("S3_ENDPOINT_URL", raising=False)
    with aws(monkeypatch) as made:
        monkeypatch.setattr(command, "_clients", lambda *_: made)
        yield made


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(command.app, arguments, input=answer)


def secrets_in(clients: Clients) -> str:
    """The start of every access key's id in the account."""
    keys = clients.iam.list_access_keys(UserName=f"{BUCKET}-uploader")["AccessKeyMetadata"]
    return " ".join(key["AccessKeyId"] for key in keys)


def test_plan_says_what_differs_and_ends_with_2(clients: Clients):
    result = run("plan")
    assert result.exit_code == 2
    assert "+ bucket\n" in result.stdout
    assert 'Encryption: "AES256"' in result.stdout
    assert "to create, 0 to change, 0 to remove" in result.stdout


def test_plan_as_json_can_be_read_by_programs(clients: Clients):
    result = run("plan", "--json")
    assert result.exit_code == 2
    content = json.loads(result.stdout)
    assert content["bucket"] == BUCKET
    first = content["changes"][0]
    assert (first["resource"], first["action"]) == ("bucket", "create")
    assert {"path": "Encryption", "before": None, "after": "AES256"} in first["differences"]


def test_after_an_apply_the_plan_is_empty_and_ends_with_0(clients: Clients):
    assert run("apply", "--show-secret").exit_code == 0
    result = run("plan")
    assert result.exit_code == 0
    assert "No changes" in result.stdout
    assert json.loads(run("plan", "--json").stdout)["changes"] == []


def test_the_secret_is_shown_once_and_never_again(clients: Clients):
    first = run("apply", "--show-secret").stdout
    assert first.count("AWS_SECRET_ACCESS_KEY=") == 1
    assert f"AWS_ACCESS_KEY_ID={secrets_in(clients)}" in first
    secret = first.split("AWS_SECRET_ACCESS_KEY=")[1].split()[0]
    for later in (run("apply", "--show-secret"), run("plan"), run("plan", "--json"), run("destroy", "--yes")):
        assert secret not in later.output


def test_where_the_output_is_no_terminal_nothing_is_made_rather_than_a_secret_printed(clients: Clients):
    result = run("apply")
    assert isinstance(result.exception, command.Problem)
    assert result.exception.exit_code == 1
    assert "--show-secret" in str(result.exception)
    assert run("plan").exit_code == 2
    assert clients.s3.list_buckets()["Buckets"] == []


def test_the_policy_for_a_role_can_be_printed(clients: Clients):
    Path("aws.toml").write_text("with_user = false\n")
    document = json.loads(run("policy").stdout)
    assert document == application_policy(blueprint())
    assert not any(
        change["resource"].startswith("iam") for change in json.loads(run("plan", "--json").stdout)["changes"]
    )


def test_a_terminal_is_shown_the_secret(clients: Clients, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "_terminal", lambda: True)
    assert run("apply").stdout.count("AWS_SECRET_ACCESS_KEY=") == 1


def test_apply_says_the_settings_of_the_application(clients: Clients):
    Path("aws.toml").write_text("with_key = false\n")
    stdout = run("apply").stdout
    for line in ("AWS_REGION=eu-central-1", f"S3_MEDIA_BUCKET={BUCKET}", "MEDIA_URL_MODE=presigned"):
        assert line in stdout.splitlines()
    assert "SECRET" not in stdout


def test_signed_urls_can_be_built_before_the_application_uses_them(clients: Clients):
    Path("key.pem").write_text(PEM)
    Path("aws.toml").write_text('with_key = false\nurl_mode = "cloudfront-signed"\npublic_key = "key.pem"\n')
    stdout = run("apply").stdout
    told = dict(line.split("=", 1) for line in stdout.splitlines() if line.count("=") == 1)
    assert told["MEDIA_URL_MODE"] == "cloudfront-signed"
    assert told["CLOUDFRONT_DOMAIN"].endswith(".cloudfront.net")
    listed = clients.cloudfront.list_public_keys()["PublicKeyList"]["Items"]
    assert told["CLOUDFRONT_KEY_PAIR_ID"] == listed[0]["Id"]
    assert run("plan").exit_code == 0


def test_destroy_asks_and_a_wrong_name_removes_nothing(clients: Clients):
    run("apply", "--show-secret")
    result = run("destroy", answer="yes\n")
    assert isinstance(result.exception, command.Problem)
    assert run("plan").exit_code == 0
    assert run("destroy", answer=f"{BUCKET}\n").exit_code == 0
    assert clients.s3.list_buckets()["Buckets"] == []
    assert "nothing to remove" in run("destroy").stdout


def test_destroy_keeps_a_bucket_with_objects(clients: Clients):
    run("apply", "--show-secret")
    clients.s3.put_object(Bucket=BUCKET, Key="media/x", Body=b"x")
    result = run("destroy", "--yes")
    assert isinstance(result.exception, command.Problem)
    assert "not empty" in str(result.exception)
    assert run("plan").exit_code == 0
    assert "objects deleted: 1" in run("destroy", "--yes", "--with-contents").stdout
    assert clients.s3.list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("cdn = maybe\n", "line 1"),
        ("\ncnd = true\n", "cnd"),
        ('size_alarm_gb = "many"\n', "$.size_alarm_gb"),
        ('origins = ["compareintel.com"]\n', "origins: compareintel.com"),
        ('public_key = "none.pem"\n', "public_key"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_the_line_or_the_key(
    clients: Clients, content: str, named: str
):
    Path("aws.toml").write_text(content)
    result = run("plan")
    assert isinstance(result.exception, command.Problem)
    assert result.exception.exit_code == 1
    assert named in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_file_that_is_named_has_to_be_there(clients: Clients):
    result = run("plan", "--file", "other.toml")
    assert isinstance(result.exception, command.Problem)
    assert "other.toml cannot be read" in str(result.exception)


def test_a_server_of_ones_own_is_not_aws(clients: Clients, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9000")
    result = run("plan")
    assert isinstance(result.exception, command.Problem)
    assert "S3_ENDPOINT_URL" in str(result.exception)


def test_a_refusal_of_aws_is_one_sentence(clients: Clients, monkeypatch: pytest.MonkeyPatch):
    from moto.core.authorization import enable_iam_authentication

    with enable_iam_authentication():
        result = run("plan")
    assert isinstance(result.exception, command.Problem)
    assert str(result.exception).startswith("AWS: ")
    assert result.exception.exit_code == 1
