"""What an editor asks about a spec's text: findings, completion, hover, names, and the rest.

Pure functions over a :class:`~grainspec.analysis.document.Document`; the language server and the
studio put them on the wire. Nothing here needs the text to be without errors.
"""
