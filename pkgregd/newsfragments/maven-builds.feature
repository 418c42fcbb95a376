`keep_builds` in `[formats.maven]` says how many builds of a snapshot are kept; older ones are removed by the daemon, and by
`pkgregd tidy`, which tells with `--dry-run` what it would remove.
