"""Files in, located text out. Its parsers know no Django."""
