The OpenAPI document describes the `RateLimit-*` headers, and says which headers an answer always has.
