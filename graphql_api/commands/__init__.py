"""What the command `text2image` can do, one file each."""
