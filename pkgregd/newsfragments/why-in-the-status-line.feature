The status line of a refusal says why, so that `hatch`, `flit` and `twine` without `--verbose` show it: `400 Bad Request - the file x-1.0.tar.gz has already been taken by other bytes`.
