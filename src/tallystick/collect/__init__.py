"""The sources of samples on a host, one file per source."""
