"""Publishing: what `cargo publish` sends."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attrs import field, frozen

from pkgregd.errors import AlreadyExists, FileExists, FileWasDeleted, MalformedBody, NameSpelledOtherwise
from pkgregd.formatkit.names import is_printable
from pkgregd.formatkit.strictjson import read_strict_json
from pkgregd.formats.cargo_agreement import agreed
from pkgregd.formats.cargo_frame import MAX_JSON_BYTES, read_frame
from pkgregd.formats.cargo_manifest import inspect_crate
from pkgregd.formats.cargo_metadata import FORMAT, CrateMetadata, index_line
from pkgregd.formats.cargo_names import canonical_name, canonical_version, file_key, file_name
from pkgregd.formats.cargo_record import CrateRecord, record_of
from pkgregd.interfaces import ICall, IRemote
from pkgregd.values import BlobInfo, Coordinates, OnDuplicate, ProtectedAct, Publication, Reply

MAX_DESCRIPTION_CHARACTERS = 1000

_MAX_DEPTH = 8
_NO_WARNINGS = b'{"warnings":{"invalid_categories":[],"invalid_badges":[],"other":[]}}'


@frozen
class Claim:
    """
    What the JSON of a publish request says.

    Attributes:
        description: one line; empty if there is none, or none that can be shown.
        summary: what the crate is found by.
    """

    record: CrateRecord
    description: str = field(repr=False)
    summary: str = field(repr=False)


async def publish(call: ICall) -> Reply:
    """Publish a crate."""
    async with call.remote.start_publish() as draft:
        sink = await draft.open_sink()
        data = await read_frame(call.body, sink, call.remote.limits.max_file_bytes)
        claim = await call.remote.compute(partial(read_claim, data))
        await _demand_new(call.remote, claim.record)
        blob = await sink.commit()
        answer = await draft.inspect(blob, inspect_crate, name=claim.record.name, version=claim.record.version)
        record = await call.remote.compute(partial(agreed, claim.record, answer, call.base_url))
        try:
            published = await draft.publish(_publication(call.scope.id, record, claim, blob))
        except FileWasDeleted:
            raise AlreadyExists(
                f"crate version `{record.version}` was published and deleted: its number takes no other crate any more"
            ) from None
        except FileExists:
            raise _uploaded(record.version) from None
        if not published.created:
            raise _uploaded(record.version)
    return Reply(200, _NO_WARNINGS, "application/json")


def read_claim(data: bytes) -> Claim:
    """
    Read the JSON of a publish request.

    Raises:
        InvalidRequest: it is not JSON, or not about a crate.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedBody("the metadata of the publish request is not UTF-8") from None
    what = "the metadata of the publish request"
    fields = read_strict_json(text, what, max_characters=MAX_JSON_BYTES, max_depth=_MAX_DEPTH)
    if not isinstance(fields, dict):
        raise MalformedBody(f"{what} is not an object")
    description = _description(fields)
    keywords = fields.get("keywords")
    words = [word for word in keywords if isinstance(word, str)] if isinstance(keywords, list) else []
    summary = " ".join([description, *filter(is_printable, words)])
    return Claim(record_of(fields), description, summary[:MAX_DESCRIPTION_CHARACTERS])


def _description(fields: Mapping[str, object]) -> str:
    description = fields.get("description")
    if not isinstance(description, str):
        return ""
    shown = " ".join(description[: 2 * MAX_DESCRIPTION_CHARACTERS].split())[:MAX_DESCRIPTION_CHARACTERS]
    return shown if is_printable(shown) else ""


async def _demand_new(remote: IRemote, record: CrateRecord) -> None:
    """
    Pass if the name is not protected, the version not there, and the name not in another spelling, before the crate
    is read.

    Whatever is published meanwhile, the catalog refuses a second file of a version and a second spelling.
    """
    name = canonical_name(record.name)
    await remote.demand_unprotected(name, ProtectedAct.PUSH)
    if await remote.list_files(name, canonical_version(record.version), listed_only=False):
        raise _uploaded(record.version)
    known = await remote.find_name(name)
    if known is not None and known.name != record.name:
        raise NameSpelledOtherwise(record.name, known.name)


def _uploaded(version: str) -> AlreadyExists:
    return AlreadyExists(f"crate version `{version}` is already uploaded")


def _publication(project_id: int, record: CrateRecord, claim: Claim, blob: BlobInfo) -> Publication:
    """Put together all that is written."""
    return Publication(
        coordinates=Coordinates(
            format=FORMAT,
            project_id=project_id,
            name=record.name,
            canonical_name=canonical_name(record.name),
            version=record.version,
            canonical_version=canonical_version(record.version),
            file_name=file_name(record.name, record.version),
        ),
        blob=blob,
        file_metadata_json=CrateMetadata(index_line(record), claim.description).to_json(),
        on_duplicate=OnDuplicate.REFUSE,
        respects_tombstones=True,
        summary=claim.summary,
        file_key=file_key,
        demands_spelling=True,
    )
