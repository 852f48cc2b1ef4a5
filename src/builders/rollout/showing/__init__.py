"""What a person or a machine reads of a rollout. Nothing here asks AWS; what is shown comes as values.

page.py     lines that fit a width, plain or in colour; every text is made with it
words.py    counts, places, times, in words
plan/       a plan: its text, its JSON, its saved form and what moved since
views.py    what `status` and `drift` found, as values
grid.py     accounts by regions by layers, or a row a layer where there are many
status.py   a phase as it stands
drift.py    what is not as its template says
outputs.py  what every stack put out, and where it is written
doctor.py   the findings of the checks, each with its fix
report.py   what a rollout came to
live/       who looks on while it goes: a table on a terminal, lines in a pipe
"""
