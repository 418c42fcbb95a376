pkgregd serves its first two formats: generic files and Python packages, published and installed with curl, twine, uv
and pip, over HTTP and HTTPS, into SQLite and a folder.
