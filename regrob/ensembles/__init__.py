"""Many small networks trained and attacked as one."""
