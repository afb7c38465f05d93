"""What is opened: one file a subject, with the views that it gives, its parts and a small example of itself."""
