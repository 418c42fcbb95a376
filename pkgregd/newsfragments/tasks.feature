Periodic work on the whole registry, such as the sweep, is done by one of all daemons that share a catalog, and taken over by another one if that
dies. ``pkgregd task list`` tells how it stands and what failed, ``task run KIND`` has it done now, ``task retry ID`` once more.
Needs ``pkgregd migrate``.
