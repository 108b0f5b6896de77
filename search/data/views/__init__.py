"""Views: reproducible augmented images, which the teacher and every student see alike."""
