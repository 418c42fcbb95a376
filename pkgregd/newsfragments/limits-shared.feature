All processes of a host can count rate limits and failed authentications together: `[rate_limiting] shared_state` names the file that they
share.
