`etc/haproxy.cfg` and `etc/nginx.conf` are samples of what stands in front: HAProxy for daemons on several hosts, which may be
restarted one after the other without a request that fails, and nginx for one daemon whose files it sends itself.
