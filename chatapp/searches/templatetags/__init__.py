"""What templates of searches say."""
