`last_used_at` tells when a token was last used, in the API and in `pkgregd token list`.
