"""What models have been asked for and what that cost: by whom, of which model, when; and how much of it is allowed."""
