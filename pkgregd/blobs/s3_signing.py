"""Where an S3 bucket is, and requests to it signed by botocore."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from attrs import field, frozen
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

MAX_LINK_SECONDS = 300
"""The longest that a signed link is good for."""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

Query = Sequence[tuple[str, str]]


@frozen
class S3Place:
    """
    A folder of a bucket.

    Attributes:
        endpoint_url: scheme, host and port; buckets are segments of its path.
        prefix: what every key begins with: empty, or with a final slash.
    """

    endpoint_url: str
    bucket: str
    prefix: str
    region: str

    @property
    def host(self) -> str:
        """The host name of the service, in lower case."""
        return (urlsplit(self.endpoint_url).hostname or "").lower()

    def url(self, key: str | None, query: Query = ()) -> str:
        """
        Return the URL of an object, or of the bucket.

        Args:
            key: below the prefix; None for the bucket.
            query: escaped here, sorted as the signature wants them.
        """
        path = f"/{self.bucket}" if key is None else f"/{self.bucket}/{self.prefix}{key}"
        pairs = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query))
        return self.endpoint_url + quote(path, safe="/-_.~") + (f"?{pairs}" if pairs else "")


@frozen
class S3Keys:
    """What requests are signed with; nothing of it is ever shown."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class _DigestAuth(S3SigV4Auth):
    """Signs the digest that is known of a body, instead of reading it."""

    def payload(self, request: AWSRequest) -> str:
        digest: str = request.context["sha256_hex"]
        return digest


class Signer:
    """
    Signs requests to one place. Never touches the network.

    Args:
        keys: whose they are.
    """

    def __init__(self, place: S3Place, keys: S3Keys) -> None:
        self.place = place
        self._credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)

    def sign(self, method: str, url: str, headers: Mapping[str, str], sha256_hex: str) -> dict[str, str]:
        """
        Return the headers of a request with its signature.

        Args:
            sha256_hex: of the body; the service refuses one that has another.
        """
        request = AWSRequest(method=method, url=url, headers=dict(headers))
        request.context["sha256_hex"] = sha256_hex
        _DigestAuth(self._credentials, "s3", self.place.region).add_auth(request)
        return dict(request.headers.items())

    def link(self, key: str, query: Query, seconds: int = MAX_LINK_SECONDS) -> str:
        """Return a URL by which anybody may read an object for a while."""
        request = AWSRequest(method="GET", url=self.place.url(key, query))
        S3SigV4QueryAuth(self._credentials, "s3", self.place.region, expires=min(seconds, MAX_LINK_SECONDS)).add_auth(
            request
        )
        url: str = request.url
        return url
