Files may lie in a bucket of an S3 service: `url = "s3://BUCKET/PREFIX"` in `[blobs]`, with the extra `pkgregd[s3]`. Uploads go
there in parts while they come, at the pace of the service, and nothing of one that fails stays behind.
`redirect_downloads`, in `[blobs]` or for one format, sends pip, uv and npm to the service for great files.
