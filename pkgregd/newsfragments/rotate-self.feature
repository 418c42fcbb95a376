`POST /personal_access_tokens/self/rotate` replaces the personal token that is shown, as in GitLab.
