"""Admission: which recipes may be trained, decided from what their students will cost."""
