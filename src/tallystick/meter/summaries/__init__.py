"""What is told of usage besides its sums: rates and their percentiles."""
