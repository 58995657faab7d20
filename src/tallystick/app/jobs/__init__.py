"""What workers do: usage hours, days and months, closing periods, keeping the database."""
