"""A module for each data set: where its images are, how they are read, and its registration.

Every module here is imported when names of data sets are asked for, by the command line too: they import NumPy and what
reads files only inside their functions.
"""
