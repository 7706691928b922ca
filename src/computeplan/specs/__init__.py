"""What people write: frozen models, read from YAML."""
