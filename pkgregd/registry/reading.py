"""The one door through which the bytes of package files leave."""

from __future__ import annotations

from pkgregd.errors import BlobDamaged
from pkgregd.interfaces import IBlobSource, IBlobStore, IEventSink
from pkgregd.values import ByteRange, Event, PackageFile, Principal


async def open_package_file(
    blobs: IBlobStore,
    events: IEventSink,
    principal: Principal,
    file: PackageFile,
    byte_range: ByteRange | None,
    *,
    may_redirect: bool = False,
) -> IBlobSource:
    """
    Open a file that the principal may read, and emit `pull_package` for the whole or its first range.

    Args:
        may_redirect: whether the client may be sent to where the bytes are.

    Raises:
        BlobMissing. BlobDamaged: known before it is opened.
    """
    if file.blob.damage is not None:
        raise BlobDamaged(file.file_name)
    source = await blobs.open_blob(file.blob, byte_range)
    source.may_redirect = may_redirect
    if byte_range is None or byte_range.start == 0:
        emit_for_file(events, "pull_package", principal, file)
    return source


def emit_for_file(events: IEventSink, name: str, principal: Principal, file: PackageFile) -> None:
    """Emit an event about one file."""
    text = f"{file.name} {file.version} {file.file_name}"
    events.emit(Event(name, file.format, file.project_id, principal, text))
