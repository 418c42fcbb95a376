A job or deploy token of a project reads at the groups above it and at the instance what its project has there.
