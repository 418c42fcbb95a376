"""The management API: GitLab's paths and JSON, as tables of routes beside the formats."""
