"""The service on AWS, in the CDK. What may be chosen is in `config`; what is built, in one file for each concern."""
