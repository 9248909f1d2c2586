"""Small clients for the tests: they speak the protocols plainly, so that a test can also speak them wrongly."""
