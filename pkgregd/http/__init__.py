"""The HTTP front: the only user of twisted.web, klein and werkzeug."""
