Answers of routes with a rate limit say where their client stands, in GitLab's `RateLimit-*` headers; 429 says when to come back.
Rules hold for packages, for management or for pages (`routes`), and may have a name. A HEAD, and a GET that is answered
with 304, count as a tenth of a request.
