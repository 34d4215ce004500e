extern __shared__ float dynamic[];
__device__ float total_global; __constant__ float table[4] = {1, 2, 3, 4}; __device__ int counts[3] = {7, 8, 9};
__device__ const char text[] = "abc"; __device__ double dd = 2.5; __device__ int *pointer = counts;
extern "C" __global__ void reduce(const float *x, float *y, int n) {
    float sum = 0, most = -1e30f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) { sum += x[i]; most = fmaxf(most, x[i]); }
    for (int o = 16; o; o /= 2) { sum += __shfl_xor_sync(~0u, sum, o); most = fmaxf(most, __shfl_down_sync(~0u, most, o)); }
    sum += __shfl_sync(~0u, sum, 3) + __shfl_up_sync(~0u, sum, 1, 16);
    unsigned v = __ballot_sync(~0u, sum > 3); int any = __any_sync(~0u, sum > 1), all = __all_sync(~0u, sum > 1);
    unsigned m = __match_any_sync(~0u, (int)sum); int pred; unsigned ma = __match_all_sync(~0u, (long long)sum, &pred);
    unsigned am = __activemask();
    unsigned rd = __reduce_add_sync(~0u, v) + __reduce_min_sync(~0u, (int)v) + __reduce_or_sync(~0u, v);
    __syncwarp();
    __shared__ float part[32];
    part[threadIdx.x / 32] = sum; dynamic[threadIdx.x] = most;
    __syncthreads();
    int c = __syncthreads_count(sum > 1); int o = __syncthreads_or(sum > 1), an = __syncthreads_and(sum > 2);
    if (threadIdx.x == 0) { y[0] = part[0] + part[1] + v + any + all + m + ma + pred + am + rd + c + o + an + table[n & 3] + counts[n % 3] + text[n & 3] + dd + *pointer; }
    __threadfence(); __threadfence_block(); __nanosleep(100);
    total_global = dynamic[5];
}
extern "C" __global__ void atomics(int *i, unsigned *u, float *f, double *d, unsigned long long *l, long long *sl) {
    __shared__ int s; if (threadIdx.x == 0) s = 0; __syncthreads();
    atomicAdd(&s, 1);
    i[1] = atomicAdd(i, 1); atomicSub(i, 2); atomicMin(i, 3); atomicMax(u, 5u); atomicAnd(u, 1u); atomicOr(u, 2u); atomicXor(u, 3u);
    u[2] = atomicInc(u, 7u); u[3] = atomicDec(u, 7u); atomicExch(i, 4); u[4] = atomicCAS(u, 1u, 2u); f[1] = atomicAdd(f, 1.f); atomicAdd(d, 1.0);
    f[2] = atomicExch(f, 3.f); l[1] = atomicAdd(l, 1ull); l[2] = atomicCAS(l, 1ull, 2ull); atomicMax(l, 4ull); atomicMin(sl, -4ll); atomicExch(l, 5ull);
    atomicAdd_system(i, 1); atomicAdd_block(i, 2);
    i[7] = s;
}
