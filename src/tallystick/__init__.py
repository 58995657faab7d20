"""Tallystick: metering and billing for compute, from a sample on the host to a paid invoice."""

from __future__ import annotations

__version__ = "0.1.0"
