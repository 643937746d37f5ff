"""What all tests run under."""

import signal

# A shell starts its jobs in the background with Ctrl-C ignored, and tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
