"""What people read: printed profiles, plots, the HTML report."""
