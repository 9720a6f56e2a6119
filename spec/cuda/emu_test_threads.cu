/* Threads of a grid, barriers, warp operations, shared memory, atomics, numbers. */
#include "emu_test.h"

/* ---- the grid -------------------------------------------------------------------------------- */
static __global__ void note_places(uint3 *places) {
  unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  unsigned size = blockDim.x * blockDim.y * blockDim.z;
  unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  places[block * size + thread] = make_uint3(block, threadIdx.x + 100 * threadIdx.y, threadIdx.z);
}

TEST(every_thread_runs_once) {
  dim3 grid(5, 3, 2), block(7, 5, 3);
  size_t blocks = 5 * 3 * 2, threads = 7 * 5 * 3;
  array<uint3> places(blocks * threads, make_uint3(~0u, ~0u, ~0u));
  OK(launch(note_places, grid, block, 0, 0, places.device));
  places.down();
  for (size_t b = 0; b < blocks; b++) {
    for (size_t t = 0; t < threads; t++) {
      uint3 at = places.host[b * threads + t];
      CHECK(at.x == b && at.y == t % 7 + 100 * (t / 7 % 5) && at.z == t / 35);
    }
  }
}

static __global__ void nothing(void) {}

TEST(a_kernel_may_have_no_parameters) {
  OK(launch(nothing, dim3(1000), dim3(1), 0, 0));
  OK(cudaDeviceSynchronize());
}

/* Wider than a register, and aligned to more than a pointer. */
struct alignas(16) wide {
  double value[12];
  bool operator==(const wide &other) const { return memcmp(value, other.value, sizeof value) == 0; }
};

static __global__ void pass_on(wide given, char c, short s, wide *out, long long l) {
  if (blockIdx.x == 1 && threadIdx.x == 2) *out = given;
  if (blockIdx.x == 0 && threadIdx.x == 0) out[1].value[0] = c + s + (double)l;
}

TEST(arguments_arrive) {
  wide given = {};
  for (int i = 0; i < 12; i++) given.value[i] = 1.0 / (i + 1);
  array<wide> out(2);
  OK(launch(pass_on, dim3(2), dim3(3), 0, 0, given, 'a', -5, out.device, 1ll << 40));
  out.down();
  CHECK(out.host[0] == given);
  CHECK(out.host[1].value[0] == 'a' - 5 + (double)(1ll << 40));
}

/* ---- barriers -------------------------------------------------------------------------------- */
/* Sums in a tree, with as many barriers as it has levels: any number of threads. */
static __global__ void block_sums(const int *in, int *out) {
  __shared__ int part[1024];
  int t = threadIdx.x, n = blockDim.x;
  part[t] = in[blockIdx.x * n + t];
  for (int left = n; left > 1; left = (left + 1) / 2) {
    __syncthreads();
    int other = t + (left + 1) / 2, value = other < left ? part[other] : 0;
    if (t < left / 2) part[t] += value;
  }
  __syncthreads();
  if (t == n - 1) out[blockIdx.x] = part[0];
}

TEST(barriers_hold_all_threads) {
  const int blocks = 9;
  for (int threads : {1, 2, 31, 32, 33, 63, 64, 100, 255, 1000, 1024}) {
    array<int> in((size_t)(blocks * threads)), out(blocks);
    for (size_t i = 0; i < in.host.size(); i++) in.host[i] = (int)(scramble((uint32_t)i) & 0xffff);
    in.up();
    OK(launch(block_sums, dim3(blocks), dim3((unsigned)threads), 0, 0, in.device, out.device));
    out.down();
    for (int b = 0; b < blocks; b++) {
      int sum = 0;
      for (int t = 0; t < threads; t++) sum += in.host[(size_t)(b * threads + t)];
      CHECK(out.host[(size_t)b] == sum);
    }
  }
}

/* A stencil on the values of a block, in place: wrong without any one of its barriers. */
static __global__ void smooth(float *out, int steps) {
  __shared__ float v[96];
  int t = threadIdx.x, n = blockDim.x;
  v[t] = (float)(t * t % 37);
  for (int step = 0; step < steps; step++) {
    __syncthreads();
    float left = v[t > 0 ? t - 1 : 0], right = v[t < n - 1 ? t + 1 : t];
    __syncthreads();
    v[t] = (left + right) / 2;
  }
  out[t] = v[t];
}

TEST(barriers_keep_steps_apart) {
  array<float> out(96);
  OK(launch(smooth, dim3(1), dim3(96), 0, 0, out.device, 20));
  out.down();
  std::vector<float> v(96), next(96);
  for (int t = 0; t < 96; t++) v[(size_t)t] = (float)(t * t % 37);
  for (int step = 0; step < 20; step++, v = next)
    for (size_t t = 0; t < 96; t++) next[t] = (v[t > 0 ? t - 1 : 0] + v[t < 95 ? t + 1 : t]) / 2;
  CHECK(v == out.host);
}

static __global__ void vote_block(int *out, int limit) {
  int t = threadIdx.x;
  int some = __syncthreads_or(t == limit), all = __syncthreads_and(t < limit);
  int count = __syncthreads_count(t < limit);
  out[4 * t] = some != 0, out[4 * t + 1] = all != 0, out[4 * t + 2] = count;
  out[4 * t + 3] = __syncthreads_count(t % 3 == 0);
}

TEST(barriers_count) {
  const int n = 77;
  for (int limit : {0, 1, 40, 76, 77, 100}) {
    array<int> out(4 * n);
    OK(launch(vote_block, dim3(1), dim3(n), 0, 0, out.device, limit));
    out.down();
    for (size_t t = 0; t < n; t++) {
      CHECK(out.host[4 * t] == (limit < n) && out.host[4 * t + 1] == (limit >= n));
      CHECK(out.host[4 * t + 2] == (limit < n ? limit : n) && out.host[4 * t + 3] == 26);
    }
  }
}

/* ---- warp operations ------------------------------------------------------------------------- */
enum { SHFL, UP, DOWN, XOR };

template <class T> static __global__ void shuffle(T *out, int kind, int by, int width) {
  T mine = (T)(1000 + (int)threadIdx.x), got = mine;
  if (kind == SHFL) got = __shfl_sync(0xffffffffu, mine, by, width);
  if (kind == UP) got = __shfl_up_sync(0xffffffffu, mine, by, width);
  if (kind == DOWN) got = __shfl_down_sync(0xffffffffu, mine, by, width);
  if (kind == XOR) got = __shfl_xor_sync(0xffffffffu, mine, by, width);
  out[threadIdx.x] = got;
}

/* As the CUDA C++ Programming Guide has it. */
static int source_of(int lane, int kind, int by, int width) {
  int first = lane / width * width, place = lane % width;
  if (kind == SHFL) return first + (by & (width - 1));
  if (kind == UP) return place - by >= 0 ? lane - by : lane;
  if (kind == DOWN) return place + by < width ? lane + by : lane;
  return (lane ^ by) < first + width ? lane ^ by : lane;
}

template <class T> static void check_shuffles(void) {
  array<T> out(96);
  for (int kind = SHFL; kind <= XOR; kind++) {
    for (int width = 1; width <= 32; width *= 2) {
      for (int by : {0, 1, 2, 3, 5, 8, 15, 16, 17, 31}) {
        OK(launch(shuffle<T>, dim3(1), dim3(96), 0, 0, out.device, kind, by, width));
        out.down();
        for (int t = 0; t < 96; t++)
          CHECK(out.host[(size_t)t] ==
                (T)(1000 + t / 32 * 32 + source_of(t % 32, kind, by, width)));
      }
    }
  }
}

TEST(shuffles) {
  check_shuffles<int>();
  check_shuffles<unsigned>();
  check_shuffles<float>();
  check_shuffles<double>();
  check_shuffles<long long>();
  check_shuffles<unsigned long long>();
}

/* Halves of a warp go their own ways, one further than the other, and meet again. */
static __global__ void part_ways(int *out) {
  int lane = threadIdx.x & 31, sum = (int)threadIdx.x;
  unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  for (int round = 0; round < (lane < 16 ? 1 : 3); round++)
    for (int offset = 8; offset > 0; offset /= 2) sum += __shfl_xor_sync(half, sum, offset);
  __syncwarp();
  sum += __shfl_xor_sync(0xffffffffu, sum, 16);
  out[threadIdx.x] = sum;
}

TEST(parts_of_a_warp_go_their_own_ways) {
  array<int> out(64);
  OK(launch(part_ways, dim3(1), dim3(64), 0, 0, out.device));
  out.down();
  for (int t = 0; t < 64; t++) {
    int low = 0, high = 0;
    for (int i = 0; i < 16; i++) low += t / 32 * 32 + i, high += t / 32 * 32 + 16 + i;
    CHECK(out.host[(size_t)t] == low + 16 * 16 * high);
  }
}

static __global__ void vote_warp(unsigned *out, unsigned bits) {
  unsigned t = threadIdx.x, mine = bits >> (t & 31) & 1;
  out[4 * t] = __ballot_sync(0xffffffffu, (int)mine);
  out[4 * t + 1] = __any_sync(0xffffffffu, (int)mine) != 0;
  out[4 * t + 2] = __all_sync(0xffffffffu, (int)mine) != 0;
  unsigned rest = 0xffffffffu;
  if (t & 1) rest = __ballot_sync(0xaaaaaaaau, (int)(t & 2));
  out[4 * t + 3] = rest;
}

TEST(votes) {
  for (unsigned bits : {0u, 1u, 0x80000000u, 0x12345678u, 0x7fffffffu, 0xffffffffu}) {
    array<unsigned> out(4 * 64);
    OK(launch(vote_warp, dim3(1), dim3(64), 0, 0, out.device, bits));
    out.down();
    for (size_t t = 0; t < 64; t++) {
      CHECK(out.host[4 * t] == bits);
      CHECK(out.host[4 * t + 1] == (bits != 0) && out.host[4 * t + 2] == (bits == 0xffffffffu));
      CHECK(out.host[4 * t + 3] == (t & 1 ? 0x88888888u : 0xffffffffu));
    }
  }
}

/* Lanes that have returned, or never were, take no part. */
static __global__ void leave_early(unsigned *out, unsigned stay) {
  if (threadIdx.x >= stay) return;
  unsigned lane = threadIdx.x & 31, votes = __ballot_sync(0xffffffffu, 1);
  out[threadIdx.x] = votes + __shfl_sync(0xffffffffu, lane, 0);
}

TEST(lanes_that_have_returned_are_not_waited_for) {
  for (unsigned threads : {64u, 50u, 33u}) {
    for (unsigned stay : {33u, 7u, 1u}) {
      array<unsigned> out(64);
      OK(launch(leave_early, dim3(1), dim3(threads), 0, 0, out.device, stay));
      out.down();
      for (unsigned t = 0; t < stay; t++) {
        unsigned lanes = t < 32 ? (stay < 32 ? stay : 32) : stay - 32;
        CHECK(out.host[t] == (lanes == 32 ? 0xffffffffu : (1u << lanes) - 1));
      }
    }
  }
}

/* The sum over a block in two levels, as kernels make it. */
static __global__ void warp_then_block(float *out) {
  __shared__ float of_warp[33];
  float x = (float)(threadIdx.x + 1);
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_down_sync(0xffffffffu, x, offset);
  if ((threadIdx.x & 31) == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  if (threadIdx.x < 32) {
    x = threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : 0.0f;
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_down_sync(0xffffffffu, x, offset);
    if (threadIdx.x == 0) of_warp[32] = x;
  }
  __syncthreads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = of_warp[32];
}

TEST(sums_over_warps_and_block) {
  for (unsigned threads : {32u, 256u, 1024u}) {
    array<float> out(3 * threads);
    OK(launch(warp_then_block, dim3(3), dim3(threads), 0, 0, out.device));
    out.down();
    for (float x : out.host) CHECK(x == (float)(threads * (threads + 1) / 2));
  }
}

/* ---- shared memory and atomics ----------------------------------------------------------------
 */
static __global__ void turn_tile(const float *in, float *out, int n) {
  DYNAMIC_SHARED(float, tile);
  int x = threadIdx.x, y = threadIdx.y;
  tile[y * n + x] = in[(blockIdx.x * n + y) * n + x];
  __syncthreads();
  out[(blockIdx.x * n + y) * n + x] = tile[x * n + y];
}

TEST(dynamic_shared_memory) {
  const size_t n = 19;
  array<float> in(5 * n * n), out(5 * n * n);
  for (size_t i = 0; i < in.host.size(); i++) in.host[i] = (float)i;
  in.up();
  OK(launch(turn_tile, dim3(5), dim3(n, n), n * n * sizeof(float), 0, in.device, out.device,
            (int)n));
  out.down();
  for (size_t b = 0; b < 5; b++)
    for (size_t y = 0; y < n; y++)
      for (size_t x = 0; x < n; x++)
        CHECK(out.host[(b * n + y) * n + x] == in.host[(b * n + x) * n + y]);
}

struct tallies {
  int sum, less, low, high, swaps, all;
  unsigned unsigned_sum, bits, some, odd, unsigned_low, unsigned_high, last;
  unsigned long long wide_sum, wide_high, wide_low, wide_bits, best;
};

static __global__ void tally(tallies *t) {
  int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), centred = i - 1000;
  atomicAdd(&t->sum, centred);
  atomicSub(&t->less, i);
  atomicMin(&t->low, centred);
  atomicMax(&t->high, centred);
  atomicAdd(&t->unsigned_sum, (unsigned)i);
  atomicOr(&t->bits, 1u << (i & 31));
  atomicAnd(&t->all, ~(1 << (i & 15)));
  atomicXor(&t->odd, (unsigned)i);
  atomicMin(&t->unsigned_low, (unsigned)(i + 5));
  atomicMax(&t->unsigned_high, (unsigned)i);
  if (atomicExch(&t->last, 1u) == 1u) atomicAdd(&t->some, 1u);
  atomicAdd(&t->wide_sum, (unsigned long long)i << 32);
  atomicMax(&t->wide_high, (unsigned long long)i << 33);
  atomicMin(&t->wide_low, ((unsigned long long)i << 33) + 1);
  atomicOr(&t->wide_bits, 1ull << (i & 63));
  unsigned long long seen = atomicMax(&t->best, 0ull),
                     mine = (unsigned long long)scramble((uint32_t)i) << 20;
  while (mine > seen) {
    unsigned long long before = atomicCAS(&t->best, seen, mine);
    if (before == seen) break;
    seen = before;
  }
  int old = atomicAdd(&t->swaps, 0);
  while (atomicCAS(&t->swaps, old, old + 1) != old) old = atomicAdd(&t->swaps, 0);
}

TEST(atomics) {
  const int blocks = 37, threads = 64, n = blocks * threads;
  array<tallies> t(1);
  t.host[0].unsigned_low = ~0u, t.host[0].wide_low = ~0ull, t.host[0].all = -1;
  t.up();
  OK(launch(tally, dim3(blocks), dim3(threads), 0, 0, t.device));
  t.down();
  const tallies &got = t.host[0];
  unsigned odd = 0;
  unsigned long long best = 0;
  for (int i = 0; i < n; i++) {
    odd ^= (unsigned)i;
    unsigned long long mine = (unsigned long long)scramble((uint32_t)i) << 20;
    best = mine > best ? mine : best;
  }
  const int sum = n * (n - 1) / 2;
  CHECK(got.sum == sum - 1000 * n && got.less == -sum && got.unsigned_sum == (unsigned)sum);
  CHECK(got.low == -1000 && got.high == n - 1001 && got.swaps == n);
  CHECK(got.bits == ~0u && got.all == (int)0xffff0000 && got.odd == odd);
  CHECK(got.unsigned_low == 5 && got.unsigned_high == (unsigned)(n - 1));
  CHECK(got.last == 1 && got.some == (unsigned)(n - 1));
  CHECK(got.wide_sum == (unsigned long long)sum << 32 && got.wide_bits == ~0ull);
  CHECK(got.wide_high == (unsigned long long)(n - 1) << 33 && got.wide_low == 1);
  CHECK(got.best == best);
}

/* ---- numbers ----------------------------------------------------------------------------------
 */
static __device__ __noinline__ int far_away(int x) { return 2 * x; }
static __constant__ float table[3] = {1, 2, 4};

struct numbers {
  int i[24];
  float f[16];
  double d[8];
};

static __global__ void __launch_bounds__(32)
    count_numbers(const float4 *__restrict__ in, numbers *__restrict__ out) {
  float4 x = __ldg(in);
  int n = 0, k = 0;
  int *i = out->i;
  float *f = out->f;
#pragma unroll
  for (int c = 0; c < 3; c++) f[k++] = table[c];
  i[n++] = __popc(0xf0f0u) + __popcll(1ull << 40);
  i[n++] = __clz(0), i[n++] = __clz(1), i[n++] = __clzll(1), i[n++] = __clz(-1);
  i[n++] = __ffs(0), i[n++] = __ffs(8), i[n++] = __ffsll(1ll << 40);
  i[n++] = (int)__brev(1u) == (int)0x80000000u, i[n++] = (int)__umulhi(0x80000000u, 6u);
  i[n++] = __mulhi(-2, 3), i[n++] = (int)(__umul64hi(1ull << 63, 6ull));
  i[n++] = __float_as_int(1.0f) == 0x3f800000, i[n++] = __float_as_uint(-0.0f) == 0x80000000u;
  i[n++] = __double_as_longlong(1.0) == 0x3ff0000000000000ll, i[n++] = far_away(21);
  i[n++] = min(3, -4) + max(7, 2), i[n++] = min(3u, 9u) == 3u,
  i[n++] = max(1ll << 40, 5ll) == 1ll << 40;
  i[n++] = __float2int_rn(2.5f), i[n++] = __float2int_rd(-0.5f), i[n++] = __float2int_rn(1e20f);
  i[n++] = warpSize;
  f[k++] = min(x.x, x.y), f[k++] = max(x.x, x.y), f[k++] = __int_as_float(0x40490fdb);
  f[k++] = __fmaf_rn(x.z, x.z, -x.w), f[k++] = __fmul_rn(x.z, x.z), f[k++] = __fadd_rn(x.w, 1e-8f);
  f[k++] = __fdiv_rn(1.0f, 3.0f), f[k++] = __fsqrt_rn(2.0f), f[k++] = __uint_as_float(0x3f800000u);
  f[k++] = __saturatef(-1.0f) + __saturatef(0.25f) + __saturatef(7.0f), f[k++] = rsqrtf(4.0f);
  out->d[0] = rsqrt(16.0), out->d[1] = __fma_rn(3.0, 3.0, -9.0), out->d[2] = min(1.0, 2.0f);
}

TEST(numbers_of_a_device) {
  array<float4> in(1);
  array<numbers> out(1);
  in.host[0] = make_float4(NAN, 2.0f, 1.0f + 1.0f / 4096, 1.0f);
  in.up();
  OK(launch(count_numbers, dim3(1), dim3(1), 0, 0, in.device, out.device));
  out.down();
  const int *i = out.host[0].i;
  const int expected[] = {9, 32, 31, 63, 0, 0, 4, 41, 1,  3,         -1, 3,
                          1, 1,  1,  42, 3, 1, 1, 2,  -1, INT32_MAX, 32};
  for (size_t n = 0; n < sizeof expected / sizeof *expected; n++) CHECK(i[n] == expected[n]);
  const float *f = out.host[0].f;
  float z = 1.0f + 1.0f / 4096;
  const float floats[] = {
      1, 2,           4,           2, 2,     3.14159274f, fmaf(z, z, -1.0f), (float)((double)z * z),
      1, 1.0f / 3.0f, 1.41421354f, 1, 1.25f, 0.5f};
  for (size_t k = 0; k < sizeof floats / sizeof *floats; k++) CHECK(f[k] == floats[k]);
  CHECK(out.host[0].d[0] == 0.25 && out.host[0].d[1] == 0 && out.host[0].d[2] == 1);
}

TEST(vectors_have_the_sizes_of_a_device) {
  static_assert(sizeof(float2) == 8 && alignof(float2) == 8 && sizeof(float3) == 12, "");
  static_assert(sizeof(float4) == 16 && alignof(float4) == 16 && alignof(float3) == 4, "");
  static_assert(sizeof(double2) == 16 && alignof(double2) == 16 && alignof(int2) == 8, "");
  static_assert(alignof(int4) == 16 && alignof(uint4) == 16 && alignof(uint2) == 8, "");
  static_assert(sizeof(uchar4) == 4 && alignof(uchar4) == 4 && alignof(ushort4) == 8, "");
  ushort4 s = make_ushort4(1, 2, 3, 4);
  double2 d = make_double2(5, 6);
  dim3 one, three(7, 8, 9);
  CHECK(s.x + s.y + s.z + s.w == 10 && d.x + d.y == 11);
  CHECK(one.x == 1 && one.y == 1 && one.z == 1 && three.z == 9);
}
