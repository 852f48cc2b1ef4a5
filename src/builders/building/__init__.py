"""What `build-templates` is made of: assembling layers, writing templates, linting, and checking parameter files."""
