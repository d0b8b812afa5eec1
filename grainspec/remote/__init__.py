"""Files behind URLs, by fsspec: S3, GCS, SFTP, HTTP and what else has an implementation of it."""
