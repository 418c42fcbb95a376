"""A Python package's own metadata, out of an archive that is what its file name says."""

from __future__ import annotations

from typing import IO

from pkgregd.formatkit.archives import read_sdist, read_wheel
from pkgregd.formatkit.coremetadata import CoreMetadata, parse_core_metadata
from pkgregd.formats.pypi_names import WHEEL, FileName, demand_dist_info, demand_ending, demand_tags


def read_package(file_name: FileName, file: IO[bytes]) -> CoreMetadata:
    """
    Read the metadata, and hold the archive against the file name; for a worker.

    Raises:
        InvalidArchive, MetadataMismatch.
    """
    if file_name.filetype == WHEEL:
        wheel = read_wheel(file)
        demand_dist_info(wheel.folder, file_name)
        demand_tags(wheel.facts, file_name)
        return parse_core_metadata(wheel.metadata)
    sdist = read_sdist(file)
    demand_ending(sdist.is_zip, file_name)
    return parse_core_metadata(sdist.metadata)
