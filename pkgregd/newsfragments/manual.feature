The daemon serves its manual under `/help`: a page for each format and some for everybody, with the daemon's own address in
the examples, as HTML and as Markdown.
