"""The wire messages, generated from `proto/` by `tools/proto.py generate`."""
