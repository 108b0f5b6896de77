"""Before the first trial: data, teacher and soft targets made ready."""
