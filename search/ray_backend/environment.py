"""The environment variables of Ray. Import this module before Ray.

Ray reads them when it is imported or started. They turn off usage statistics and result files that
nothing reads. `draining` handles Ctrl-C, not Ray. Workers run with niceness 0: with Ray's default
of 15, two busy threads of other processes would slow them down too much.
"""

import os

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",
    RAY_AIR_NEW_OUTPUT="0",
    RAY_worker_niceness="0",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_DISABLE_SIGINT_HANDLER="1",
    TUNE_GLOBAL_CHECKPOINT_S="1000000",
)
