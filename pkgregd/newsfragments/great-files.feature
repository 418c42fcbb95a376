Great files go from the kernel's cache to plain connections without a stop in the daemon's memory, for about what nginx
takes. Great uploads are read in turns, so that small requests beside them wait less.
