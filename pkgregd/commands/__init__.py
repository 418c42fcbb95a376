"""What the operator's command does, by subject; `pkgregd.cli` reads its arguments and writes its results."""
