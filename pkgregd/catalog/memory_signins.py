"""Requests of clients to be signed in, as the catalog in memory keeps them."""

from __future__ import annotations

import datetime
from collections.abc import Collection

from attrs import Factory, define, evolve, frozen

from pkgregd.values import NewSignIn, Principal, SignIn


@frozen
class Approval:
    """
    Who said yes.

    Attributes:
        principal: shown by a personal token.
        token_expires_at: when the client's token will expire.
    """

    principal: Principal
    token_expires_at: datetime.datetime


@define
class MemorySignIns:
    """Requests by their public id; those that have expired are not there."""

    _requests: dict[str, tuple[str, SignIn]] = Factory(dict)
    _approvals: dict[str, Approval] = Factory(dict)

    def waiting(self) -> list[str]:
        """The public ids of all, oldest first."""
        return list(self._requests)

    def add(self, sign_in: NewSignIn, now: datetime.datetime, max_per_address: int) -> bool:
        """See ISignInCatalog.add_sign_in."""
        self._requests = {key: kept for key, kept in self._requests.items() if kept[1].expires_at > now}
        if sum(kept.address == sign_in.address for _, kept in self._requests.values()) >= max_per_address:
            return False
        kept = SignIn(sign_in.public_id, sign_in.address, sign_in.client, now, sign_in.expires_at)
        self._requests[sign_in.public_id] = (sign_in.poll_sha256, kept)
        return True

    def find(self, public_id: str, now: datetime.datetime) -> SignIn | None:
        """See ISignInCatalog.find_sign_in."""
        _, kept = self._requests.get(public_id, ("", None))
        return kept if kept is not None and kept.expires_at > now else None

    def approve(self, public_id: str, approval: Approval, now: datetime.datetime) -> bool:
        """See ISignInCatalog.approve_sign_in."""
        kept = self.find(public_id, now)
        if kept is None or kept.is_approved:
            return False
        self._requests[public_id] = (self._requests[public_id][0], evolve(kept, is_approved=True))
        self._approvals[public_id] = approval
        return True

    def forget_approvals_of(self, token_ids: Collection[int | None]) -> None:
        """Forget requests that were approved by one of some tokens."""
        for public_id, approval in list(self._approvals.items()):
            if approval.principal.token_id in token_ids:
                del self._approvals[public_id], self._requests[public_id]

    def take(self, poll_sha256: str, now: datetime.datetime) -> Approval | bool | None:
        """Forget a request that was approved and return the approval; else as ISignInCatalog.take_sign_in."""
        for public_id, (sha256, kept) in list(self._requests.items()):
            if sha256 == poll_sha256 and kept.expires_at > now:
                if not kept.is_approved:
                    return False
                del self._requests[public_id]
                return self._approvals.pop(public_id)
        return None
