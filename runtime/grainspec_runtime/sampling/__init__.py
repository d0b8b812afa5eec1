"""Inversion of a clip into noise, and sampling from there under a plan."""
