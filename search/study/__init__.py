"""The wiring of Ray Tune to the driver: the only files that know Ray."""
