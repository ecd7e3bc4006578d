"""Pictures: decoding, geometry, colour and drawing."""
