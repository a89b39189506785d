"""Wall-clock of a graph of jobs on N GPUs, by list scheduling.

Whenever a GPU is free, the ready job with the longest path to the end takes it (Graham 1966; critical path
first, Hu 1961): at most 2 - 1/N times the best there is. Jobs without a GPU start as soon as they may.
"""

import heapq


def bottom_levels(jobs, seconds: dict) -> dict:
    """Seconds of the longest path from each job's start to the end of the study."""
    following: dict = {job.number: [] for job in jobs}
    left = {job.number: 0 for job in jobs}
    for job in jobs:
        for before in job.after:
            following[before].append(job.number)
            left[before] += 1
    level = {}
    ready = [number for number, count in left.items() if not count]
    before = {job.number: job.after for job in jobs}
    while ready:
        number = ready.pop()
        level[number] = seconds[number] + max((level[n] for n in following[number]), default=0.0)
        for earlier in before[number]:
            left[earlier] -= 1
            if not left[earlier]:
                ready.append(earlier)
    if len(level) < len(jobs):
        raise ValueError("the jobs wait for each other in a circle")
    return level


def makespan(jobs, seconds: dict, gpus_of: dict, gpus: int) -> float:
    """Seconds until the last job ends; ``gpus_of`` says how many GPUs each holds."""
    if jobs and max(gpus_of.values()) > gpus:
        return float("inf")
    level = bottom_levels(jobs, seconds)
    waiting = {job.number: len(job.after) for job in jobs}
    following: dict = {job.number: [] for job in jobs}
    for job in jobs:
        for before in job.after:
            following[before].append(job.number)
    ready: dict = {width: [] for width in set(gpus_of.values())}  # a queue for every number of GPUs held
    running: list = []
    now, free = 0.0, gpus

    def add(number):
        heapq.heappush(ready[gpus_of[number]], (-level[number], number))

    for number, count in waiting.items():
        if not count:
            add(number)
    while True:
        while fitting := [queue for width, queue in ready.items() if queue and width <= free]:
            _, number = heapq.heappop(min(fitting, key=lambda queue: queue[0]))
            free -= gpus_of[number]
            heapq.heappush(running, (now + seconds[number], number))
        if not running:
            return now
        now, number = heapq.heappop(running)
        free += gpus_of[number]
        for later in following[number]:
            waiting[later] -= 1
            if not waiting[later]:
                add(later)
