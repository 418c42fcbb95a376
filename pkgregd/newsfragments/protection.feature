Protection rules keep the packages of some names for maintainers, owners or administrators, in every format, by GitLab's API and
in its words. Run `pkgregd migrate` when upgrading.
