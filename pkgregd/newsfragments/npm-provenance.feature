The document of an npm package shows its readme and when its first version came, and provenance that comes with a tarball is
checked to speak of it and told where npm looks for it.
