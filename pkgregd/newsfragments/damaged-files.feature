A file whose bytes are known to be damaged is answered with `503` and a sentence that says what to do, and never served. Publishing the same file again mends it,
on disk and on S3, also where nothing may be replaced. A file whose bytes are gone is `503` too; it was `500`.
