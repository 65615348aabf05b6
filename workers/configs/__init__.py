"""Configuration files that are packaged with the workers; read by the module they belong to."""
