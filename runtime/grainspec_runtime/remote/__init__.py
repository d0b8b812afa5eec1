"""Files behind URLs, by fsspec: S3, GCS, SFTP and what else has an implementation of it."""
