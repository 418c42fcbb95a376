Projects and groups have settings for their packages, inherited from group to group: formats can be switched off, sizes of
files limited, and duplicates allowed or refused with exceptions by regular expression, by HTTP in GitLab's words
(`/projects/:id/packages/settings`) and with `pkgregd settings`. `http.too_large_status` has files that are too large refused as GitLab does.
