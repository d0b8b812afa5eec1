"""A run as one page: everything in it, nothing fetched from elsewhere."""
