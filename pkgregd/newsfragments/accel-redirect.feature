With `accel_redirect` in `[blobs]` nginx in front sends files above 64 KiB itself, out of the folder of blobs
(`X-Accel-Redirect`). Who may have a file is decided by the daemon as before; a client that does not come through such an
nginx gets the bytes from the daemon. `etc/nginx.conf` is a sample.
