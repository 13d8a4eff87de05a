"""PINGs beside something else, to see whether it is noticed."""

import threading
import time

# A measurement says something about wherry only while an idle node pinged beside it answers
# promptly: else the machine itself stood still, and it is made again, a few times at the most.
CALM_MS = 8
TRIES = 6


class Pinger(threading.Thread):
    """PINGs every millisecond; keeps how long each took, in milliseconds."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.client, self.took, self.going = server.client(), [], True
        self.start()

    def run(self):
        while self.going:
            began = time.monotonic()
            self.client("PING")
            self.took.append((time.monotonic() - began) * 1000)
            time.sleep(0.001)

    def end(self):
        self.going = False
        self.join()
        return max(self.took)
