"""What an evaluation writes: tables, box plots and pictures of cases."""
