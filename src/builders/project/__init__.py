"""Parts of this package that a project of one's own needs: files that come with it, and values to fill in.

placeholders.py  values that whoever has a project fills in, with a note on each
data.py          the functions and other files that come with the package
"""
