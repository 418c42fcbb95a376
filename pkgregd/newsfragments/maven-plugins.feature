Maven's plugins are called by the prefix that their jar says, and a group's metadata is one with that of a package of the
same path. Metadata of snapshots is rendered once per change.
