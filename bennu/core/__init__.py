"""Decisions: pure functions and values. No I/O, no clock, no third party."""
