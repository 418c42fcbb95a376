#!/bin/sh
# Prepare a folder with all that a daemon needs, once, and serve it. `make run` calls this with
#   BIN   the folder of the installed commands
#   PORT  the port on 127.0.0.1
#   VAR   the folder: configuration, catalog, blobs, root token
set -eu

config=$VAR/pkgregd.toml
umask 077
mkdir -p "$VAR"

if [ ! -e "$config" ]; then
    cat >"$config.new" <<END
# Written by the first \`make run\`; yours to edit. etc/pkgregd.toml shows every key.
[http]
listen = ["tcp:$PORT:interface=127.0.0.1"]
external_url = "http://127.0.0.1:$PORT"

[catalog]
url = "sqlite:pkgregd.sqlite3"

[blobs]
url = "file:blobs"
END
    mv "$config.new" "$config"
fi

# PORT= counts on later runs too, as long as these two lines are as they were written.
sed -i -E \
    -e "s|^listen = \[\"tcp:[0-9]+:interface=127\.0\.0\.1\"\]\$|listen = [\"tcp:$PORT:interface=127.0.0.1\"]|" \
    -e "s|^external_url = \"http://127\.0\.0\.1:[0-9]+\"\$|external_url = \"http://127.0.0.1:$PORT\"|" \
    "$config"

"$BIN/pkgregd" --config "$config" migrate >/dev/null
echo "Ready to paste while the daemon runs (stop it with Ctrl-C):"
echo
"$BIN/pkgregd" --config "$config" seed
echo
exec "$BIN/twistd" --nodaemon --pidfile= pkgregd --config "$config"
