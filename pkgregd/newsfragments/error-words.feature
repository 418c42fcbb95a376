Refusals in JSON say why in `error`, which libraries for GitLab show; the code that stood there is in `error_code`.
