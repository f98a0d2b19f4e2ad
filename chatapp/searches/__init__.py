"""The web for answers: which engine the team asks, the searches of answers, and the pages that were read."""
