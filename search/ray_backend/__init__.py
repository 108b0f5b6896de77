"""The only package that imports Ray, except for `search/targets/ray_node.py`."""
