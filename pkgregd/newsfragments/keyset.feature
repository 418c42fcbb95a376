Lists of packages, projects, groups and users have keyset pagination (`pagination=keyset`), which neither misses nor repeats anything
while packages are published. `.../packages/:package_id/pipelines` is an empty list.
