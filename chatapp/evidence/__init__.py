"""What an answer was given to read, frozen with it; what its marks open; how far they hold. Knows no endpoint."""
