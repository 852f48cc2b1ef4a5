"""Text and JSON of what the commands found and did. Nothing here asks AWS."""
