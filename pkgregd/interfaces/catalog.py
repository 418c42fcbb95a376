"""The database as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Interface

from pkgregd.interfaces.audit import IAuditCatalog
from pkgregd.interfaces.identity_catalog import IDirectoryCatalog, IIdentityCatalog, ISignInCatalog
from pkgregd.interfaces.package_catalog import IBlobCatalog, IInventoryCatalog, IPackageCatalog
from pkgregd.interfaces.protection_catalog import IProtectionCatalog
from pkgregd.interfaces.settings_catalog import ISettingsCatalog, IUsageCatalog
from pkgregd.interfaces.task_catalog import ITaskCatalog
from pkgregd.interfaces.upkeep_catalog import IUpkeepCatalog
from pkgregd.values import Digest, Foresight, IndexState, Level, PackageFile, Scope, TokenRecord


class IReads(Interface):
    """The questions that nearly every request asks, in this order. Every catalog answers them."""

    async def find_token(public_id: str) -> TokenRecord | None:
        """Look a token up, revoked and expired ones included. One query; the hot path of every request."""

    async def find_scope(level: Level, ident: int | str, user_id: int | None) -> Scope | None:
        """
        Resolve a project or group by id or full path, with that user's inherited role. One query.

        Args:
            ident: an int is the id, a str the full path (compared without case).
        """

    async def index_state(project_ids: Sequence[int], format: str, canonical_name: str | None) -> IndexState:
        """
        The revision of a name's index (None: of the list of names) over these projects. One small query.

        The token changes with every publish, replacement, hide and delete that the index can show.
        """

    async def find_file(
        project_ids: Sequence[int],
        format: str,
        canonical_name: str,
        canonical_version: str | None,
        file_name: str,
        sha256: Digest | None = None,
    ) -> PackageFile | None:
        """
        Find one file. One query.

        Args:
            project_ids: where to look.
            canonical_version: None means any version.
            canonical_name: empty means any name (then sha256 must be given).
            sha256: only a file with these bytes.

        Returns:
            The newest when several projects have it.
        """


class ICatalog(
    IIdentityCatalog,
    IDirectoryCatalog,
    ISignInCatalog,
    ISettingsCatalog,
    IPackageCatalog,
    IInventoryCatalog,
    IProtectionCatalog,
    IUsageCatalog,
    IBlobCatalog,
    IUpkeepCatalog,
    IAuditCatalog,
    ITaskCatalog,
    IReads,
):
    """All of it, over one database."""

    def foreseeing(foresight: Foresight) -> IReads:
        """
        Return reads for one request, which are answered by one query if they are the foreseen ones.

        All of them then show one state of the database: that of the first question.
        """

    async def check() -> None:
        """
        Find out whether the database answers and its schema is ours (for readiness).

        Raises:
            Unavailable, SchemaError.
        """

    async def close() -> None:
        """Finish running verbs and release the database."""
