Projects can have a quota for the bytes of all their files. Room is reserved before a file is sent, so of many uploads at once exactly
those that fit are published. Run `pkgregd migrate` first: it counts what projects use so far.
