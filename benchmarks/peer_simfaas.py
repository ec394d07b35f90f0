"""How fast SimFaaS is: requests per CPU second on the serverless endpoint of `serverless.py`, as JSON.

SimFaaS does not go with simlib's pins, so it runs in an environment of its own; `make bench` makes it.

    .venv-simfaas/bin/python benchmarks/peer_simfaas.py RATE REQUESTS ROUNDS
"""

import json
import sys
import time

from simfaas.ServerlessSimulator import ServerlessSimulator

WARM_S, COLD_S, KEEP_S = 1.991, 2.244, 600.0


def requests_per_s(rate: float, requests: int) -> tuple[float, float]:
    """Requests per CPU second, and the share that started cold."""
    simulator = ServerlessSimulator(
        arrival_rate=rate,
        warm_service_rate=1 / WARM_S,
        cold_service_rate=1 / COLD_S,
        expiration_threshold=KEEP_S,
        max_time=requests / rate,
    )
    begin = time.process_time()
    simulator.generate_trace(debug_print=False, progress=False)
    took = time.process_time() - begin
    return simulator.total_req_count / took, simulator.total_cold_count / simulator.total_req_count


if __name__ == "__main__":
    rate, requests, rounds = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    found = [requests_per_s(rate, requests) for _ in range(rounds)]
    print(json.dumps({"requests_per_s": [speed for speed, _ in found], "cold": [cold for _, cold in found]}))
