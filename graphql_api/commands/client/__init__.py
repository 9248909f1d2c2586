"""The commands of those who want images: `text2image generate`, `watch`, `history` and `cancel`."""
