"""Peers on a GPU: trial-steps/s of JAX for the sweep of torch_sweep.py (same model, update, data handling).

  scan       one trial: jit of a lax.scan over K steps; trials one after another
  vmap       all trials: vmap over parameters, momenta, rates inside the scanned step; the batch is shared
Prints one JSON line per measurement; wall time around block_until_ready after a warm-up, median of R repeats.
usage: python3 jax_sweep.py [--hidden 128] [--batch 64] [--trials 1,8,64,512] [--steps 200] [--precision highest|default]
"""
import argparse, json, statistics, time
ap = argparse.ArgumentParser()
ap.add_argument("--hidden", type=int, default=128); ap.add_argument("--batch", type=int, default=64)
ap.add_argument("--trials", default="1,8,64,512"); ap.add_argument("--steps", type=int, default=200)
ap.add_argument("--repeats", type=int, default=5); ap.add_argument("--precision", default="highest")
a = ap.parse_args()
import jax, jax.numpy as jnp
jax.config.update("jax_default_matmul_precision", a.precision)   # highest = true fp32, default = TF32 on this class of GPU
N, I, O, H, B = 10000, 784, 10, a.hidden, a.batch
key = jax.random.PRNGKey(0)
data = jax.random.randint(key, (N, I), 0, 256).astype(jnp.uint8); label = jax.random.randint(key, (N,), 0, O)
order = jnp.stack([jax.random.permutation(jax.random.fold_in(key, s), N)[:B] for s in range(a.steps)])

def init(k):
    ks = jax.random.split(k, 3)
    def w(k, i, o): return jax.random.uniform(k, (i, o), minval=-1, maxval=1) * (6 / (i + o)) ** 0.5
    return [w(ks[0], I, H), jnp.zeros(H), w(ks[1], H, H), jnp.zeros(H), w(ks[2], H, O), jnp.zeros(O)]

def loss(p, x, y):
    h = jax.nn.relu(x @ p[0] + p[1]); h = jax.nn.relu(h @ p[2] + p[3]); z = h @ p[4] + p[5]
    return jnp.mean(jax.nn.logsumexp(z, -1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0])

def step(p, v, lr, mu, x, y):
    g = jax.grad(loss)(p, x, y)
    v = [mu * a_ + b_ for a_, b_ in zip(v, g)]
    return [q - lr * (mu * a_ + b_) for q, a_, b_ in zip(p, v, g)], v

def runner(T):
    one = step if T is None else jax.vmap(step, in_axes=(0, 0, 0, 0, None, None))
    def body(carry, idx):
        p, v, lr, mu = carry
        x = data[idx].astype(jnp.float32) / 255
        p, v = one(p, v, lr, mu, x, label[idx])
        return (p, v, lr, mu), None
    return jax.jit(lambda c: jax.lax.scan(body, c, order)[0])

def timed(f, c):
    t0 = time.perf_counter(); jax.block_until_ready(f(c)); first = time.perf_counter() - t0; out = []
    for _ in range(a.repeats):
        t = time.perf_counter(); jax.block_until_ready(f(c)); out.append(time.perf_counter() - t)
    return statistics.median(out), min(out), max(out), first

def say(mode, T, t):
    w = T * a.steps
    print(json.dumps(dict(peer="jax " + jax.__version__, mode=mode, hidden=H, batch=B, trials=T, precision=a.precision, trial_steps_per_s=round(w / t[0], 1),
          spread=[round(w / t[2], 1), round(w / t[1], 1)], compile_and_first_run_s=round(t[3], 2), device=str(jax.devices()[0]))), flush=True)

p = init(key); v = [jnp.zeros_like(q) for q in p]
say("scan", 1, timed(runner(None), (p, v, jnp.float32(0.01), jnp.float32(0.9))))
for T in [int(t) for t in a.trials.split(",")]:
    P = [jnp.broadcast_to(q, (T, *q.shape)) + 0 for q in p]; V = [jnp.zeros_like(q) for q in P]
    say("vmap", T, timed(runner(T), (P, V, jnp.logspace(-3, -1, T), jnp.full((T,), 0.9))))
