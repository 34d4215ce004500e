"""The work of tests/bench/run in PyTorch: 784-128-128-10, cross-entropy, Nesterov, sixteen batches of noise in memory.

    torch_mlp.py step BATCH            steps/s on one thread: the better of eager and traced, foreach optimizer
    torch_mlp.py sweep TRIALS STEPS    trial-steps/s at batch 64 of two processes of one thread, every second trial each
"""
import multiprocessing
import statistics
import sys
import time

import torch
import torch.nn.functional as F

BATCHES = 16


def batches(size):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(size, 784, generator=generator), torch.randint(10, (size,), generator=generator))
            for _ in range(BATCHES)]


def network():
    return torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128), torch.nn.ReLU(),
                               torch.nn.Linear(128, 10))


def optimizer(model, rate):
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, foreach=True)


def train(model, rule, data, steps):
    for i in range(steps):
        x, label = data[i % BATCHES]
        rule.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), label).backward()
        rule.step()


def steps_per_second(size, traced):
    data = batches(size)
    model = network()
    if traced:
        model = torch.jit.trace(model, data[0][0])
    rule = optimizer(model, 0.01)
    start = time.perf_counter()
    train(model, rule, data, 100)
    steps = max(16, int(100 * 0.2 / (time.perf_counter() - start)))
    rates = []
    for _ in range(7):
        start = time.perf_counter()
        train(model, rule, data, steps)
        rates.append(steps / (time.perf_counter() - start))
    return statistics.median(rates)


def sweep_part(rates, steps, ready, go):
    torch.set_num_threads(1)
    data = batches(64)
    model = network()
    train(model, optimizer(model, 0.01), data, 20)
    ready.put(True)
    go.wait()
    for rate in rates:
        model = network()
        train(model, optimizer(model, rate), data, steps)
    ready.put(True)


def sweep(trials, steps):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Queue(), context.Event()
    rates = [10 ** (-3.5 + 2 * i / (trials - 1)) for i in range(trials)]
    parts = [context.Process(target=sweep_part, args=(rates[k::2], steps, ready, go)) for k in range(2)]
    for part in parts:
        part.start()
    for _ in parts:
        ready.get()
    start = time.perf_counter()
    go.set()
    for _ in parts:
        ready.get()
    seconds = time.perf_counter() - start
    for part in parts:
        part.join()
    return trials * steps / seconds


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if sys.argv[1] == "step":
        size = int(sys.argv[2])
        print("%.0f" % max(steps_per_second(size, traced) for traced in (False, True)))
    else:
        print("%.0f" % sweep(int(sys.argv[2]), int(sys.argv[3])))


if __name__ == "__main__":
    main()
