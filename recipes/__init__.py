"""Recipes that ship with asap-tf; any of them can be named without its path."""
