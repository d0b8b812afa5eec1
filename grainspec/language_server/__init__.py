"""The language server: what :mod:`grainspec.analysis` finds, in the language server protocol.

It needs the extra ``editor``; without it, only ``command.py`` can be imported.
"""
