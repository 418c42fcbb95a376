The token of a job tells of its job (`GET /api/v4/job`) and can end it (`DELETE`); maintainers list and end the jobs of their project.
