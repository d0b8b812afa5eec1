"""Editing methods of other papers, one module each, to compare with."""
