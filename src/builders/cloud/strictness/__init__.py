"""What AWS refuses and local emulators take; each check in the file of the thing it looks at."""
