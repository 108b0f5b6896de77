"""Yardsticks: whole searches on public data, compared with what others published."""
