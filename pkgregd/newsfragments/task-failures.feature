The metric `pkgregd_task_failures_total` and the alert `PkgregdTasksFailing` tell of background work that keeps failing.
