`/-/metrics` tells Prometheus what the daemon does: requests by format, method, status and time, bytes, uploads and downloads in progress,
refusals, verbs of the catalog, connections to the database, requests to S3, pushes and pulls, and how late the main loop is. It is for
the host itself, networks in `[metrics] allowed`, and tokens of administrators. A Grafana dashboard and alert rules are in `etc/`.
