The manual's page about Python packages shows poetry, flit, hatch, netrc, pip.conf and attestations as commands to paste, and tells
what each client does with files that are there already. Every command of the manual is run by a test, as the daemon serves it.
