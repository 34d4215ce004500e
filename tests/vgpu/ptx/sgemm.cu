__device__ __forceinline__ void copy16(float *to, const float *from) {
    unsigned at = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from));
}
__device__ __forceinline__ void copy4(float *to, const float *from, int size) {
    unsigned at = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(from), "r"(size));
}
extern "C" __global__ void __launch_bounds__(256) sgemm(const float *a, const float *b, float *c, int m, int n, int k) {
    __shared__ float as[2][16][64], bs[2][16][64];
    int tx = threadIdx.x % 16, ty = threadIdx.x / 16, row = threadIdx.x / 16, col = threadIdx.x % 16 * 4;
    float acc[4][4] = {};
    a += blockIdx.y * 64; b += blockIdx.x * 64;
    copy16(&as[0][row][col], a + row * m + col); copy16(&bs[0][row][col], b + row * n + col);
    asm volatile("cp.async.commit_group;");
    for (int k0 = 0; k0 < k; k0 += 16) {
        int buf = k0 / 16 % 2;
        if (k0 + 16 < k) {
            copy16(&as[buf ^ 1][row][col], a + (k0 + 16 + row) * m + col);
            for (int j = 0; j < 4; j++) copy4(&bs[buf ^ 1][row][col + j], b + (k0 + 16 + row) * n + col + j, j < n ? 4 : 0);
        }
        asm volatile("cp.async.commit_group;");
        asm volatile("cp.async.wait_group 1;");
        __syncthreads();
        for (int kk = 0; kk < 16; kk++) {
            float4 x = *(float4 *)&as[buf][kk][ty * 4], y = *(float4 *)&bs[buf][kk][tx * 4];
            float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
            for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) acc[i][j] = fmaf(xs[i], ys[j], acc[i][j]);
        }
        __syncthreads();
    }
    asm volatile("cp.async.wait_all;");
    for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) c[(blockIdx.y * 64 + ty * 4 + i) * n + blockIdx.x * 64 + tx * 4 + j] = acc[i][j];
}
