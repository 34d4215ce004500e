"""Peers on a GPU: trial-steps/s of PyTorch for a sweep of MLPs 784-H-H-10, Nesterov momentum, cross-entropy.

Every arrangement does the same work: T trials, each with its own learning rate and momentum, the same batches
(gathered on the device from a resident uint8 data set and scaled to [0, 1]), K steps. Arrangements:
  eager      one trial after another, foreach optimizer
  compile    one trial after another, torch.compile of the whole step
  graph      one trial after another, the step captured once as a CUDA graph (rates as device scalars)
  processes  P processes side by side, each running `graph` (start an MPS daemon first to let them overlap)
  bmm        all trials stacked: baddbmm, hand-written backward and update, captured as a CUDA graph
Prints one JSON line per measurement. Times are CUDA events around K steps after a warm-up, median of R repeats.
usage: python3 torch_sweep.py [--hidden 128] [--batch 64] [--trials 1,8,64,512] [--steps 200] [--modes ...]
"""
import argparse, json, statistics, sys, time
import torch, torch.nn.functional as F

ap = argparse.ArgumentParser()
ap.add_argument("--hidden", type=int, default=128); ap.add_argument("--batch", type=int, default=64)
ap.add_argument("--trials", default="1,8,64,512"); ap.add_argument("--steps", type=int, default=200)
ap.add_argument("--repeats", type=int, default=5); ap.add_argument("--device", default="cuda")
ap.add_argument("--modes", default="eager,compile,graph,bmm,processes"); ap.add_argument("--processes", type=int, default=8)
ap.add_argument("--tf32", action="store_true"); ap.add_argument("--worker", type=int, default=-1); ap.add_argument("--start-at", type=float, default=0)
a = ap.parse_args()
dev = torch.device(a.device); cuda = dev.type == "cuda"
torch.backends.cuda.matmul.allow_tf32 = a.tf32
torch.manual_seed(0)
N, I, O, H, B = 10000, 784, 10, a.hidden, a.batch
data = torch.randint(0, 256, (N, I), dtype=torch.uint8, device=dev); label = torch.randint(0, O, (N,), device=dev)
order = torch.stack([torch.randperm(N, device=dev)[:B] for _ in range(a.steps)])

def rates(T):
    return torch.logspace(-3, -1, T, device=dev), torch.full((T,), 0.9, device=dev)

def params(T=None):
    g = torch.Generator(device="cpu").manual_seed(1)
    def w(i, o): return (torch.rand(i, o, generator=g) * 2 - 1) * (6 / (i + o)) ** 0.5
    shapes = [w(I, H), torch.zeros(H), w(H, H), torch.zeros(H), w(H, O), torch.zeros(O)]
    if T is None: return [p.to(dev).requires_grad_() for p in shapes]
    return [p.to(dev).expand(T, *p.shape).contiguous() for p in shapes]

def forward_loss(p, x, y):
    h = torch.relu(torch.addmm(p[1], x, p[0])); h = torch.relu(torch.addmm(p[3], h, p[2]))
    return F.cross_entropy(torch.addmm(p[5], h, p[4]), y)

def batch(idx): return data[idx].float().div_(255), label[idx]

def update(p, v, g, lr, mu):                       # v <- mu v + g ; p <- p - lr (mu v + g)
    with torch.no_grad():
        torch._foreach_mul_(v, mu); torch._foreach_add_(v, g)
        d = torch._foreach_mul(v, mu); torch._foreach_add_(d, g); torch._foreach_mul_(d, lr)
        torch._foreach_sub_(p, d) if hasattr(torch, "_foreach_sub_") else [q.sub_(e) for q, e in zip(p, d)]

def single_step(p, v, idx, lr, mu):
    x, y = batch(idx); loss = forward_loss(p, x, y)
    g = list(torch.autograd.grad(loss, p)); update(p, v, g, lr, mu); return loss.detach()

def timed(run):                                     # run() performs the whole measured work
    run(); sync(); out = []
    for _ in range(a.repeats):
        if cuda:
            s, e = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            s.record(); run(); e.record(); torch.cuda.synchronize(); out.append(s.elapsed_time(e) / 1e3)
        else:
            t = time.perf_counter(); run(); out.append(time.perf_counter() - t)
    return statistics.median(out), min(out), max(out)

def sync():
    if cuda: torch.cuda.synchronize()

def say(mode, T, work, t, **more):
    print(json.dumps(dict(peer="torch " + torch.__version__, mode=mode, hidden=H, batch=B, trials=T, tf32=a.tf32,
          trial_steps_per_s=round(work / t[0], 1), spread=[round(work / t[2], 1), round(work / t[1], 1)],
          gpu=torch.cuda.get_device_name() if cuda else "cpu", **more)), flush=True)

def serial(step, T):                                # a sample of trials is enough: they cost the same
    sample = min(T, 4); lrs, mus = rates(T)
    def run():
        for k in range(sample):
            p, v = params(), None; v = [torch.zeros_like(q) for q in p]; lr, mu = float(lrs[k]), float(mus[k])
            for s in range(a.steps): step(p, v, order[s], lr, mu)
    return run, sample * a.steps

def graph_single():
    p = params(); v = [torch.zeros_like(q) for q in p]; idx = order[0].clone()
    lr, mu = torch.tensor(0.01, device=dev), torch.tensor(0.9, device=dev)
    side = torch.cuda.Stream(); side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3): single_step(p, v, idx, lr, mu)
    torch.cuda.current_stream().wait_stream(side); g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g): single_step(p, v, idx, lr, mu)
    def run():
        for s in range(a.steps): idx.copy_(order[s]); g.replay()
    return run

def stacked(T):                                     # explicit backward: the best a careful user writes with bmm
    W1, b1, W2, b2, W3, b3 = P = params(T); V = [torch.zeros_like(q) for q in P]; lrs, mus = rates(T)
    def shape(r, q): return r.view(-1, *([1] * (q.dim() - 1)))
    def step(idx):
        x, y = batch(idx)
        x_t = x.expand(T, B, I)
        z1 = torch.baddbmm(b1[:, None], x_t, W1); h1 = z1.relu(); z2 = torch.baddbmm(b2[:, None], h1, W2); h2 = z2.relu()
        logits = torch.baddbmm(b3[:, None], h2, W3)
        d = (logits.softmax(-1) - F.one_hot(y, O).to(logits.dtype)[None]) / B
        g3, gb3 = h2.transpose(1, 2) @ d, d.sum(1); d2 = (d @ W3.transpose(1, 2)) * (z2 > 0)
        g2, gb2 = h1.transpose(1, 2) @ d2, d2.sum(1); d1 = (d2 @ W2.transpose(1, 2)) * (z1 > 0)
        g1, gb1 = x_t.transpose(1, 2) @ d1, d1.sum(1)
        for q, v, g in zip(P, V, (g1, gb1, g2, gb2, g3, gb3)):
            m = shape(mus, q); v.mul_(m).add_(g); q.sub_(shape(lrs, q) * (m * v + g))
    if not cuda:
        def run():
            for s in range(a.steps): step(order[s])
        return run
    idx = order[0].clone(); body = torch.compile(step) if hasattr(torch, "compile") else step
    side = torch.cuda.Stream(); side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        for _ in range(3): body(idx)
    torch.cuda.current_stream().wait_stream(side); g = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(g): body(idx)
    def run():
        for s in range(a.steps): idx.copy_(order[s]); g.replay()
    return run

def main():
    modes, trials = a.modes.split(","), [int(t) for t in a.trials.split(",")]
    if a.worker >= 0:                               # one of the side-by-side processes
        run = graph_single(); run(); sync()
        while time.time() < a.start_at: time.sleep(0.001)
        t = time.perf_counter(); n = 0
        while time.perf_counter() - t < 3: run(); sync(); n += a.steps
        print(json.dumps(dict(worker=a.worker, rate=n / (time.perf_counter() - t)))); return
    for mode in modes:
        try:
            if mode == "eager": run, w = serial(single_step, max(trials)); say(mode, max(trials), w, timed(run))
            elif mode == "compile" and hasattr(torch, "compile"):
                run, w = serial(torch.compile(single_step), max(trials)); say(mode, max(trials), w, timed(run))
            elif mode == "graph" and cuda: say(mode, 1, a.steps, timed(graph_single()))
            elif mode == "bmm":
                for T in trials: say(mode, T, T * a.steps, timed(stacked(T)))
            elif mode == "processes" and cuda:
                import subprocess
                for n in (2, 4, a.processes, 2 * a.processes):
                    at = time.time() + 25
                    ps = [subprocess.Popen([sys.executable, __file__, "--worker", str(i), "--start-at", str(at), "--hidden", str(H), "--batch", str(B)],
                          stdout=subprocess.PIPE, text=True) for i in range(n)]
                    r = [json.loads(p.communicate()[0].strip().splitlines()[-1])["rate"] for p in ps]
                    print(json.dumps(dict(peer="torch " + torch.__version__, mode="processes", processes=n, hidden=H, batch=B, trial_steps_per_s=round(sum(r), 1))), flush=True)
        except Exception as e:                      # a peer that cannot run says so and the next one is measured
            print(json.dumps(dict(mode=mode, failed=str(e)[:300])), flush=True)
main()
