"""Tests of what reads a stream, whatever its source is."""
