"""A server: models over HTTP for many clients, and a page."""
