Looking for secrets in the access log costs a tenth of what it did, which was a fifth of a small request.
