"""Report of a migration, for auditors: one HTML file that needs nothing else, and the same as JSON.

    model.py        the report as values, read from what the target keeps
    page.py         the HTML page and both files
    report.html.j2  the page's template

It holds no row of any table, no key of a row, and no secret.
"""
