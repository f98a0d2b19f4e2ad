"""Search engines: each a Provider, which turns a query into results and says which engines failed, and how."""
