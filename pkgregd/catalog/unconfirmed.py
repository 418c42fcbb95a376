"""Files that their publisher may take back until a checksum has confirmed them: statements, and their use."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, literal_column, select

from pkgregd.catalog.statement import Statement, Transaction, insert
from pkgregd.catalog.tables import package_files, unconfirmed_files
from pkgregd.interfaces import WITHDRAWAL_SECONDS
from pkgregd.values import Digest, Principal

_of_file = unconfirmed_files.c.file_id == bindparam("file_id")

_unconfirmed = insert(unconfirmed_files).values(
    file_id=bindparam("file_id"), token_id=bindparam("token_id"), published_at=bindparam("now")
)

ADD_UNCONFIRMED = Statement(
    _unconfirmed.on_conflict_do_update(
        index_elements=["file_id"],
        set_={"token_id": _unconfirmed.excluded.token_id, "published_at": _unconfirmed.excluded.published_at},
    )
)

FORGET_UNCONFIRMED = Statement(
    delete(unconfirmed_files).where(unconfirmed_files.c.published_at < bindparam("published_before"))
)

CONFIRM = Statement(delete(unconfirmed_files).where(_of_file))

CONFIRM_BYTES = Statement(
    delete(unconfirmed_files).where(
        _of_file,
        select(literal_column("1"))
        .where(package_files.c.id == unconfirmed_files.c.file_id, package_files.c.sha256 == bindparam("the_sha256"))
        .exists(),
    )
)

CONFIRM_OF_OTHERS = Statement(
    delete(unconfirmed_files).where(_of_file, unconfirmed_files.c.token_id != bindparam("the_token_id"))
)

MAY_WITHDRAW = Statement(
    select(unconfirmed_files.c.file_id).where(
        _of_file,
        unconfirmed_files.c.token_id == bindparam("the_token_id"),
        unconfirmed_files.c.published_at >= bindparam("published_after"),
    )
)


async def note_unconfirmed(tx: Transaction, file_id: int, principal: Principal) -> None:
    """Note who may take a file back whose bytes were just published, and forget who could have long ago."""
    await tx.execute(FORGET_UNCONFIRMED, published_before=_earliest(tx))
    await tx.execute(ADD_UNCONFIRMED, file_id=file_id, token_id=principal.token_id, now=tx.now)


async def note_confirmed(tx: Transaction, file_id: int) -> None:
    """Note that nobody may take a file back."""
    await tx.execute(CONFIRM, file_id=file_id)


async def note_sent_again(tx: Transaction, file_id: int, principal: Principal) -> None:
    """Note that the same bytes came once more: from somebody else they are as good as a checksum."""
    await tx.execute(CONFIRM_OF_OTHERS, file_id=file_id, the_token_id=principal.token_id or 0)


async def may_withdraw(tx: Transaction, file_id: int, principal: Principal) -> bool:
    """Whether a file may be taken back by somebody."""
    row = await tx.fetch_one(
        MAY_WITHDRAW, file_id=file_id, the_token_id=principal.token_id or 0, published_after=_earliest(tx)
    )
    return row is not None


async def confirm_file(tx: Transaction, file_id: int, sha256: Digest) -> None:
    """See IPackageCatalog."""
    await tx.execute(CONFIRM_BYTES, file_id=file_id, the_sha256=sha256.hex)


def _earliest(tx: Transaction) -> int:
    return tx.now - WITHDRAWAL_SECONDS * 1_000_000
