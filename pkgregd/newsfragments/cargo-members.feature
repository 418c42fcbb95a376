Cargo has an index of the whole instance, in which a crate belongs to the group that its name begins with; and, below
`members/`, indexes of groups and the instance that show what the bearer of a token may read.
