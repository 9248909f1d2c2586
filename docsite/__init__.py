"""The pages of the documentation's site: those of docs/, and those that are made from the program."""
