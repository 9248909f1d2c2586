"""What the product is compared with: the server that the tutorials of its libraries add up to."""
