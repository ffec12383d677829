"""What every other room stands on: checks of arguments, files that are written whole or not at all, start-up, versions."""
