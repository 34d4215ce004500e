// What a GPU does around the compiled kernels of a step, so that the host need not look: the rows of
// each batch, the step counters and learning curves, the sums of an evaluation. Compiled by NVRTC
// with every program; no headers. philox.c, split.c and evaluate.c say the same for the CPU.

typedef unsigned int u32;
typedef unsigned long long u64;

// TuneTrialHeader of program.h.
struct Header {
    u64 step;
    u32 key[2];
    u64 first_example;
    double loss, grad_norm;
};

// Where a group of trials stands: one per group, advanced by the device itself.
struct Cursor {
    u64 step;  // of the next training step
    u64 first; // step of the curves' entry 0
    u64 row;   // streamed data: place of the next batch in its side
};

struct Point {
    double loss, grad_norm;
};

struct Words {
    u32 word[4];
};

// ---- randomness: philox.c ----

__device__ static Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 key0, u32 key1)
{
    for (int round = 0; round < 10; round++) {
        u64 first = (u64)0xD2511F53u * c0;
        u64 second = (u64)0xCD9E8D57u * c2;
        c0 = (u32)(second >> 32) ^ c1 ^ key0;
        c2 = (u32)(first >> 32) ^ c3 ^ key1;
        c1 = (u32)second;
        c3 = (u32)first;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    Words words = {{c0, c1, c2, c3}};
    return words;
}

// philox_key with PURPOSE_DATA_ORDER.
__device__ static u64 order_key(u64 seed, u64 epoch)
{
    Words words = philox((u32)seed, (u32)(seed >> 32), (u32)epoch, (u32)(epoch >> 32), 1u, 0x54554E45u);
    return (u64)words.word[1] << 32 | words.word[0];
}

__device__ static u64 feistel_mix(u64 half, u64 round_key)
{
    u64 x = half ^ round_key;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x >> 32;
}

// philox_shuffle with stream 0: for counts that are too small for the network.
__device__ static u64 shuffle(u32 at, u32 count, u64 key)
{
    u32 where = at;
    for (u32 place = count - 1, draw = 0; place > 0; place--, draw++) {
        Words words = philox(draw / 4, 0u, 0u, 0u, (u32)key, (u32)(key >> 32));
        u32 word = draw % 4 == 0   ? words.word[0]
                   : draw % 4 == 1 ? words.word[1]
                   : draw % 4 == 2 ? words.word[2]
                                   : words.word[3];
        u32 other = (u32)((u64)word * (place + 1) >> 32);
        if (where == place)
            where = other;
        else if (where == other)
            return place;
    }
    return where;
}

// philox_permute: element `at` of a pseudorandom permutation of 0..count-1.
__device__ static u64 permute(u64 at, u64 count, u64 key)
{
    if (count <= 16) return shuffle((u32)at, (u32)count, key);
    int bits = 0;
    while ((count - 1) >> bits) bits++;
    int low_bits = bits / 2;
    u64 low_mask = ((u64)1 << low_bits) - 1, high_mask = ((u64)1 << (bits - low_bits)) - 1;
    u64 x = at;
    do {
        u64 low = x & low_mask, high = x >> low_bits, round_key = key;
        for (int round = 0; round < 8; round += 2) {
            high ^= feistel_mix(low, round_key) & high_mask;
            round_key += 0x9E3779B97F4A7C15ull;
            low ^= feistel_mix(high, round_key) & low_mask;
            round_key += 0x9E3779B97F4A7C15ull;
        }
        x = high << low_bits | low;
    } while (x >= count);
    return x;
}

// ---- a training step ----

// The batch of the cursor's step, as data_train_index has it: index[row] is an example, order [count]
// being the training split; windows (order 0) begin at any of the tokens `first` and following.
// Streamed, which says how far rows of the side are apart: where the host has put it.
extern "C" __global__ void __launch_bounds__(128)
    tune_rows(const Cursor *cursor, const int *order, int *index, u64 batch, u64 count, u64 seed, u64 first,
              u64 streamed)
{
    u64 row = (u64)blockIdx.x * 128 + threadIdx.x;
    if (row >= batch) return;
    if (streamed) {
        index[row] = (int)((cursor->row + row) * streamed);
        return;
    }
    u64 position = cursor->step * batch + row;
    u64 epoch = position / count;
    u64 at = permute(position - epoch * count, count, order_key(seed, epoch));
    index[row] = order ? order[at] : (int)(first + at);
}

// Behind a step: what it lost into curve [step - first][trials], and one more step done. One block.
extern "C" __global__ void __launch_bounds__(256)
    tune_advance(Cursor *cursor, char *trial, u64 trial_stride, u64 trials, u64 batch, Point *curve)
{
    u64 entry = cursor->step - cursor->first;
    for (u64 t = threadIdx.x; t < trials; t += 256) {
        Header *header = (Header *)(trial + t * trial_stride);
        Point point = {header->loss, header->grad_norm};
        curve[entry * trials + t] = point;
        header->step += 1;
    }
    __syncthreads(); // all have read the cursor
    if (threadIdx.x) return;
    cursor->step += 1;
    cursor->row += batch;
}

// ---- evaluation ----

enum Total { MEAN, SUM, MAX, MIN };

__device__ static double total_add(u32 total, double sum, double value)
{
    if (total == MAX) return value > sum || value != value ? value : sum;
    if (total == MIN) return value < sum || value != value ? value : sum;
    return sum + value;
}

// One total of each trial (blockIdx.y) over `count` examples, which lie in slots of `batch`, a slot
// `slot` elements behind the one before. Thread t adds elements t, t + 256, … in order, then halves
// are added: the order depends on the count alone, not on the batch size or on other trials.
extern "C" __global__ void __launch_bounds__(256)
    tune_total(const char *examples, u64 example_stride, double *totals, u64 total_stride, u64 count,
               u64 batch, u64 slot, u32 total, u32 wide)
{
    __shared__ double part[256];
    const char *own = examples + blockIdx.y * example_stride;
    double *result = (double *)((char *)totals + blockIdx.y * total_stride);
    u32 thread = threadIdx.x;
    const double infinity = __longlong_as_double(0x7ff0000000000000ll);
    double sum = total == MAX ? -infinity : total == MIN ? infinity : 0;
    for (u64 i = thread; i < count; i += 256) {
        u64 at = i / batch * slot + i % batch;
        double value = wide ? ((const double *)own)[at] : (double)((const float *)own)[at];
        sum = total_add(total, sum, value);
    }
    part[thread] = sum;
    __syncthreads();
    for (u32 half = 128; half; half /= 2) {
        if (thread < half) part[thread] = total_add(total, part[thread], part[thread + half]);
        __syncthreads();
    }
    if (thread == 0) *result = total == MEAN && count ? part[0] / (double)count : part[0];
}
