"""Model families as data: where each linear map lives, one family a file."""
