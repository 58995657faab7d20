"""Usage as people ask for it: days and months, views with costs, by label, percentiles."""
