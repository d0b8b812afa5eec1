"""The settings of each block of the language, declared once: one module a statement.

Each class is a block ``{ … }`` of the language, each field one of its settings: its keyword, kind,
range, default and meaning (see :mod:`grainspec.model.declaration`). After changing one, run
``python -m grainspec.generate``.
"""
