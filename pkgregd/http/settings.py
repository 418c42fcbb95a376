"""Deadlines and caps of the HTTP front, each with its unit in its name."""

from __future__ import annotations

from attrs import frozen

KIB = 1024
MIB = 1024 * KIB


@frozen
class FrontSettings:
    """
    What the front allows one connection, one request and one address.

    Attributes:
        max_head_bytes: request line and headers together; past it 431.
        max_target_bytes: the request target; past it 414.
        max_headers: number of header lines; past it 431.
        handshake_timeout_seconds: for TLS.
        header_timeout_seconds: from the first byte of a request to the end of its headers.
        idle_timeout_seconds: between two requests of a connection.
        body_min_bytes_per_second, body_grace_seconds: a body that we are reading must deliver this rate
            over every such stretch of time.
        max_body_seconds: from the first to the last byte of a body, whatever its rate.
        write_stall_seconds: how long a client may take nothing of a reply.
        drain_max_bytes, drain_seconds: what is read and thrown away after an early refusal, so that the
            client sees the reply and not a reset connection.
        too_large_status: what a file above its limit is refused with; 400 is GitLab's, with its words.
        max_connections, max_connections_per_address: past them a connection is answered 503 and closed. A
            trusted proxy's connections count as those of the clients whose requests it brings at the moment, and
            the addresses of one IPv6 network of 64 bits as one.
        trusted_proxies: networks of the proxies that are believed about their clients; see TrustedProxies.
        accel_redirect: what stands before the path of a blob that a trusted proxy is to send; empty: none does.
    """

    max_head_bytes: int = 32 * KIB
    max_target_bytes: int = 8 * KIB
    max_headers: int = 128
    handshake_timeout_seconds: float = 10.0
    header_timeout_seconds: float = 15.0
    idle_timeout_seconds: float = 75.0
    body_min_bytes_per_second: int = KIB
    body_grace_seconds: float = 30.0
    max_body_seconds: float = 6 * 3600.0
    write_stall_seconds: float = 60.0
    drain_max_bytes: int = 64 * MIB
    drain_seconds: float = 10.0
    max_connections: int = 10_000
    max_connections_per_address: int = 1_000
    too_large_status: int = 413
    trusted_proxies: tuple[str, ...] = ()
    accel_redirect: str = ""
