"""What people and schedules do to many cases."""
