"""What a run is shown as: plots, tables, one HTML file, JSON."""
