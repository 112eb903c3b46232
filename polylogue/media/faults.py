"""What an error of S3 means: try the request again, try the whole again, or give up."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

# No later attempt can end better than the first.
_FINAL = frozenset(
    {
        "EntityTooLarge",
        "InvalidArgument",
        "InvalidBucketName",
        "KeyTooLongError",
        "MetadataTooLarge",
        "MethodNotAllowed",
        "NotImplemented",
    }
)
# BadDigest: the bytes changed on their way.
_BUSY = frozenset(
    {"BadDigest", "RequestTimeout", "SlowDown", "ThrottlingException", "Throttling", "TooManyRequests"}
)


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def of_transport(error: BaseException) -> bool:
    """The request may not have arrived, or S3 could not serve it: the same request again. An answer of 200 that
    carries an error counts here too; botocore turns it into a 500."""
    if isinstance(error, ClientError):
        return status_of(error) >= 500 or status_of(error) == 429 or code_of(error) in _BUSY
    return isinstance(error, (BotoCoreError, OSError)) and not isinstance(error, ParamValidationError)


def worth_retrying(error: BaseException) -> bool:
    """A wrong key or a missing bucket can be mended by an operator before the deadline; a name that is too long
    cannot. A cancellation, which the retry loop shows too, is obeyed."""
    if isinstance(error, ClientError):
        return code_of(error) not in _FINAL
    return isinstance(error, Exception) and not isinstance(error, (ParamValidationError, AssertionError))
