"""The HTTP front: the only user of klein and werkzeug."""
