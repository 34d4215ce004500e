extern "C" __global__ void bytes(const unsigned char *a, const signed char *b, unsigned char *o, short *s, unsigned short *us, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;
    o[i] = a[i] > b[i] ? a[i] / 3 : a[i] * b[i]; s[i] = s[i] * 3 - us[i] / 7 + (us[i] >> 3); us[i] = (us[i] % 5) << 2 | (us[i] & 7); o[i] ^= a[i] == 3; o[i + 1] = !a[i]; us[i] = min(us[i], (unsigned short)9) + max(s[i], (short)8);
}
extern "C" __global__ void longs(const long long *a, unsigned long long *u, int *o, unsigned *w, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;
    long long x = a[i]; unsigned long long y = u[i];
    u[i] = x / 7 + y % 13 + x * y + __mul64hi(x, 3) + __umul64hi(y, 5) + (x << (i & 63)) + (y >> 3) + (x >> 5) + __clzll(x) + __popcll(y) + __brevll(y) + __ffsll(x) + min(x, 3ll) + max(y, 4ull) + (x < 3) + llabs(x);
    o[i] = i / 3 + i % 7 + i / n + i % n + __mulhi(i, n) + __umulhi(i, n) + __clz(i) + __popc(i) + __brev(i) + __ffs(i) + __byte_perm(i, n, 0x1032) + __funnelshift_l(i, n, 3) + __funnelshift_rc(i, n, 40) + __sad(i, n, 3) + abs(i) + (i ^ n) + (~i & n) + ((unsigned)i * 3u >> 5) + (i >> n) + (i << n) + (int)((long long)i * n >> 10) + __hadd(i, n) + __dp4a(i, n, 3);
    w[i] = w[i] / 3u + w[i] % (unsigned)n + (w[i] >> 7 & 15) + max(w[i], 3u) + min(i, 3) + (unsigned)(((unsigned __int128)y * y) >> 64) + (unsigned)((((unsigned __int128)y + x) * x) >> 90);
}
extern "C" __global__ void swi(int *a, float *f, double *d, int n) {
    switch (a[0]) { case 0: a[1] = 5; break; case 1: a[2] = 7; f[1] = 2; break; case 2: a[3] = a[0] * 9; break; case 3: f[0] = 3; break; case 4: d[0] = 3; break; case 5: a[9] = n; break; case 6: a[n] = 1; f[n] = 3; break; case 8: a[n] = 19; break; case 9: asm("trap;"); break; default: a[n + 1] = 100; }
    float arr[40]; for (int i = 0; i < 40; i++) arr[i] = f[i]; f[7] = arr[a[2]]; float *p = arr; if (n > 3) p = f; p[n] = 3;
}
extern "C" __global__ void converts(float *f, double *d, int *i, unsigned *u, long long *l, unsigned long long *ul, short *s, unsigned char *c, signed char *sc, unsigned short *h) {
    i[0] = (int)f[0]; i[1] = __float2int_rn(f[1]); i[2] = __float2int_rd(f[1]); i[3] = __float2int_ru(f[2]); u[0] = (unsigned)f[0]; l[0] = (long long)f[0]; ul[0] = (unsigned long long)f[0]; s[0] = (short)f[0]; c[0] = (unsigned char)f[0]; sc[0] = (signed char)f[0];
    f[9] = i[0]; f[10] = u[1]; f[11] = l[0]; f[12] = ul[1]; f[13] = s[3]; f[14] = c[0]; f[15] = sc[2]; d[1] = i[4]; d[2] = u[4]; d[3] = l[3]; d[4] = ul[5]; d[5] = f[0]; f[8] = d[9]; i[9] = d[0]; u[9] = d[0]; l[9] = d[0]; ul[9] = d[0]; c[7] = d[0];
    l[2] = i[5]; ul[2] = u[5]; l[3] = s[5]; i[5] = sc[4]; i[6] = (short)i[6]; i[7] = (signed char)i[7]; f[20] = __int2float_rz(i[8]); f[21] = __uint2float_rd(u[4]);
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h[0]) : "f"(f[0])); unsigned r; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(f[1]), "f"(f[2])); u[3] = r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h[2]) : "f"(f[3])); asm("cvt.f32.f16 %0, %1;" : "=f"(f[4]) : "h"(h[3])); asm("{ .reg .b32 t; mov.b32 t, {0, %1}; mov.b32 %0, t; }" : "=f"(f[5]) : "h"(h[3]));
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(u[8]) : "f"(f[6]));
    asm("{ .reg .pred p; setp.ne.b32 p, %1, 0; selp.b32 %0, 1, 2, p; }" : "=r"(u[20]) : "r"(u[21])); asm("{ .reg .pred p; setp.lt.and.f32 p, %1, 0f00000000, !p; selp.b32 %0, 1, 2, p; }" : "=r"(u[22]) : "f"(f[21]));
}
