"""Words read a second time: which letters of a prompt are the words of an edit.

This package defines what ``grainspec.words`` must find, and shares nothing with it. It compares
letter by letter, where ``grainspec.words`` makes a pattern; it reads a script off the names of
characters in Unicode, where ``grainspec.scripts`` has ranges of code points; and it takes letters
apart (NFKD), where ``grainspec.scripts`` puts them together (NFKC).
"""
