Packages of all formats and their files are listed, shown, fetched and deleted by the paths and in the JSON of GitLab's
packages API, at projects and groups. The catalog gets an index: run `pkgregd migrate` when upgrading.
