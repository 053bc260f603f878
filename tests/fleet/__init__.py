"""Tests of several connections behind one face."""
