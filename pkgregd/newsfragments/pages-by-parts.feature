The index page of a name is brought up to date instead of made anew: after a publish, a yank or a deletion only the
versions that changed are read and rendered. The database gets a table for it (`pkgregd migrate`).
