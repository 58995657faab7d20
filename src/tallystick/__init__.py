"""Tallystick: metering and billing for compute, from a sample on the host to a paid invoice."""

__version__ = "0.1.0"
