/* A network's first convolution: few input channels, so that a matrix product would mostly move zeros.
 *
 * A block takes columns of an output row (a strip), `kh` rows of x lie in shared memory as f32, with zeros for the
 * padding; then it takes another strip. Forward: a thread makes 8 channels of 4 pixels; pixels of neighbouring
 * threads are neighbours, so that shared memory is read without conflicts. dweight: a thread sums 8 channels
 * times up to 9 taps over some of the strip's pixels; a block its threads in double, a second kernel the blocks
 * in order. A "tap" is here one (ky, kx, c). */
#include "cuda/conv_kernels.h"
#include "cuda/norm_tile.h"

enum {
  MAX_CHANNELS = 4,
  O_THREAD = 8,             /* output channels of a thread */
  O_LANES = 4,              /* threads side by side, at most: 32 output channels of a block */
  PIXELS = 4,               /* of a thread, forward */
  SLOTS = 32,               /* threads along a strip, forward */
  STRIP = SLOTS * PIXELS,   /* columns, at most */
  WEIGHT_PAD = 4,           /* floats between the rows of weights, against conflicts */
  TAPS = 9,                 /* of a thread, dweight */
  TAP_LANES = 4,            /* threads for different taps of a block, at most */
  GRADIENT_THREADS = 256,   /* at most */
  FORWARD_BLOCKS = 132 * 8, /* several for every SM of an H200 */
  GRADIENT_BLOCKS = 132 * 2, /* as many as run at a time: each has to add its threads up */
  STRIP_RUN = 16,           /* strips that a thread sums in f32, at most */
  MAX_SHARED = 48 << 10,
};

typedef struct first_plan {
  conv_shape s;
  int taps, lanes;   /* kh kw c; lanes: threads along output channels */
  int columns;       /* of a strip of z */
  int strips;        /* of a row */
  int width;         /* floats of a row of x under a strip */
  int run;           /* strips that a block takes one after the other, dweight */
  int64_t all;       /* strips of all pictures */
} first_plan;

static first_plan plan_of(const conv_shape *s) {
  first_plan p = {};
  p.s = *s;
  p.taps = s->kh * s->kw * s->c;
  p.lanes = (int)min_i64(O_LANES, ceil_div(s->o, O_THREAD));
  p.strips = (s->ow + STRIP - 1) / STRIP;
  p.columns = (s->ow + p.strips - 1) / p.strips;
  p.width = ((p.columns - 1) * s->stride + (s->kw - 1) * s->dilation + 1) * s->c;
  p.all = (int64_t)s->n * s->oh * p.strips;
  return p;
}

static int64_t x_bytes(const first_plan *p) { return (int64_t)p->s.kh * p->width * (int64_t)sizeof(float); }
static int64_t weight_bytes(const first_plan *p) {
  return (int64_t)p->taps * (p->lanes * O_THREAD + WEIGHT_PAD) * (int64_t)sizeof(float);
}

bool first_takes(const conv_shape *s) {
  if (s->groups != 1 || s->c > MAX_CHANNELS || is_pointwise(s)) return false;
  if ((int64_t)s->kh * s->kw > MAX_SHARED || (int64_t)s->kw * s->dilation > MAX_SHARED || s->stride > MAX_SHARED)
    return false;
  const first_plan p = plan_of(s);
  return x_bytes(&p) + weight_bytes(&p) <= MAX_SHARED;
}

/* ---- strips ---------------------------------------------------------------------------------------------- */
typedef struct strip_place {
  int picture, row, column, columns; /* of z */
} strip_place;

__device__ __forceinline__ strip_place strip_of(const first_plan &p, int64_t strip) {
  const int64_t line = strip / p.strips;
  strip_place at;
  at.column = (int)(strip - line * p.strips) * p.columns;
  at.columns = min(p.columns, p.s.ow - at.column);
  at.picture = (int)(line / p.s.oh);
  at.row = (int)(line - (int64_t)at.picture * p.s.oh);
  return at;
}

/* The rows of x under a strip, by all threads of the block. */
template <class T>
__device__ __forceinline__ void load_strip(const first_plan &p, const strip_place &at, const T *x, float *to) {
  const conv_shape &s = p.s;
  const int thread = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
  const int left = (at.column * s.stride - s.padding) * s.c, row_floats = s.w * s.c;
  for (int ky = 0; ky < s.kh; ky++) {
    const int y = at.row * s.stride - s.padding + ky * s.dilation;
    const bool there = y >= 0 && y < s.h;
    const T *from = x + ((int64_t)at.picture * s.h + (there ? y : 0)) * row_floats;
    for (int i = thread; i < p.width; i += threads) {
      const int place = left + i;
      to[ky * p.width + i] = there && place >= 0 && place < row_floats ? to_float(from[place]) : 0.0f;
    }
  }
}

/* ---- forward --------------------------------------------------------------------------------------------- */
/* As (tap, output channel), 0 beyond the last. */
__device__ __forceinline__ void load_weights(const first_plan &p, const float *weight, int first, float *to) {
  const int channels = blockDim.x * O_THREAD;
  const int thread = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
  for (int i = thread; i < channels * p.taps; i += threads) {
    const int o = i / p.taps, tap = i - o * p.taps;
    to[tap * (channels + WEIGHT_PAD) + o] = first + o < p.s.o ? weight[(int64_t)(first + o) * p.taps + tap] : 0.0f;
  }
}

/* The sums of this thread's pixels, SLOTS columns apart. Columns beyond the strip read what lies in its place. */
__device__ __forceinline__ void add_taps(const first_plan &p, int columns, const float *x, const float *weight,
                                         float (&sum)[PIXELS][O_THREAD]) {
  const conv_shape &s = p.s;
  const int row = blockDim.x * O_THREAD + WEIGHT_PAD;
  int at[PIXELS];
#pragma unroll
  for (int i = 0; i < PIXELS; i++) at[i] = min((int)threadIdx.y + i * SLOTS, columns - 1) * s.stride * s.c;
  const float *w = weight + threadIdx.x * O_THREAD;
  for (int ky = 0; ky < s.kh; ky++) {
    for (int kx = 0; kx < s.kw; kx++) {
      const float *from = x + ky * p.width + kx * s.dilation * s.c;
      for (int c = 0; c < s.c; c++, w += row) {
        float factor[O_THREAD], value[PIXELS];
        load_floats<4>(w, factor);
        load_floats<4>(w + 4, factor + 4);
#pragma unroll
        for (int i = 0; i < PIXELS; i++) value[i] = from[at[i] + c];
#pragma unroll
        for (int i = 0; i < PIXELS; i++)
#pragma unroll
          for (int o = 0; o < O_THREAD; o++) sum[i][o] = fmaf(value[i], factor[o], sum[i][o]);
      }
    }
  }
}

template <class T> __device__ __forceinline__ void store_channels(T *to, const float *from, int count, bool wide) {
  enum { V = 16 / sizeof(T) };
  if (wide) {
#pragma unroll
    for (int o = 0; o < O_THREAD; o += V) store_floats<V>(to + o, from + o);
  } else {
#pragma unroll
    for (int o = 0; o < O_THREAD; o++)
      if (o < count) to[o] = from_float<T>(from[o]);
  }
}

template <class T>
__global__ void __launch_bounds__(O_LANES *SLOTS, 4)
    first_forward_kernel(first_plan p, bool wide, const T *__restrict__ x, const float *__restrict__ weight,
                         const float *__restrict__ bias, T *__restrict__ z) {
  ASL_DYNAMIC_SHARED(float, shared); /* weights, whose size is a multiple of 16 bytes; then x */
  const conv_shape &s = p.s;
  const int channels = blockDim.x * O_THREAD, first = blockIdx.y * channels, o0 = first + threadIdx.x * O_THREAD;
  float *rows = shared + p.taps * (channels + WEIGHT_PAD), start[O_THREAD];
  load_weights(p, weight, first, shared);
#pragma unroll
  for (int o = 0; o < O_THREAD; o++) start[o] = bias && o0 + o < s.o ? bias[o0 + o] : 0.0f;
  for (int64_t strip = blockIdx.x; strip < p.all; strip += gridDim.x) {
    const strip_place at = strip_of(p, strip);
    __syncthreads(); /* the strip before has been read */
    load_strip(p, at, x, rows);
    __syncthreads();
    float sum[PIXELS][O_THREAD];
#pragma unroll
    for (int i = 0; i < PIXELS * O_THREAD; i++) sum[i / O_THREAD][i % O_THREAD] = start[i % O_THREAD];
    add_taps(p, at.columns, rows, shared, sum);
    T *to = z + (((int64_t)at.picture * s.oh + at.row) * s.ow + at.column) * s.o + o0;
#pragma unroll
    for (int i = 0; i < PIXELS; i++) {
      const int column = threadIdx.y + i * SLOTS;
      if (column < at.columns) store_channels<T>(to + (int64_t)column * s.o, sum[i], s.o - o0, wide && o0 < s.o);
    }
  }
}

asl_status first_forward(const conv_shape *s, const void *x, asl_dtype dtype, const float *weight, const float *bias,
                         void *z) {
  const first_plan p = plan_of(s);
  const dim3 grid((unsigned)min_i64(p.all, FORWARD_BLOCKS), (unsigned)ceil_div(s->o, p.lanes * O_THREAD));
  const dim3 block((unsigned)p.lanes, SLOTS);
  const bool wide = s->o % O_THREAD == 0 && address(z) % 16 == 0;
  AS_ACTIVATION(dtype, T, {
    return launch(first_forward_kernel<T>, grid, block, (size_t)(x_bytes(&p) + weight_bytes(&p)), p, wide,
                  (const T *)x, weight, bias, (T *)z);
  });
}

/* ---- dweight --------------------------------------------------------------------------------------------- */
/* 8 channels of dz, 0 beyond the last. */
template <class T>
__device__ __forceinline__ void load_channels(const T *from, int count, bool wide, float to[O_THREAD]) {
  enum { V = 16 / sizeof(T) };
  if (wide) {
#pragma unroll
    for (int o = 0; o < O_THREAD; o += V) load_floats<V>(from + o, to + o);
  } else {
#pragma unroll
    for (int o = 0; o < O_THREAD; o++) to[o] = o < count ? to_float(from[o]) : 0.0f;
  }
}

/* Thread x = (tap group, channel group), thread y = slot along the strip. partial (blocks, o, taps). */
template <class T>
__global__ void __launch_bounds__(GRADIENT_THREADS, 2)
    first_weight_kernel(first_plan p, int tap_lanes, bool wide, const T *__restrict__ x, const T *__restrict__ dz,
                        double *__restrict__ partial) {
  ASL_DYNAMIC_SHARED(double, shared); /* rows of x, then sums */
  float *rows = reinterpret_cast<float *>(shared);
  const conv_shape &s = p.s;
  const int o0 = (blockIdx.y * p.lanes + threadIdx.x % p.lanes) * O_THREAD;
  const int tap0 = (blockIdx.z * tap_lanes + threadIdx.x / p.lanes) * TAPS;
  int from[TAPS]; /* where the taps lie in the rows of x; beyond the last: anywhere */
#pragma unroll
  for (int k = 0; k < TAPS; k++) {
    const int tap = min(tap0 + k, p.taps - 1), c = tap % s.c, kx = tap / s.c % s.kw, ky = tap / (s.c * s.kw);
    from[k] = ky * p.width + kx * s.dilation * s.c + c;
  }
  float sum[TAPS][O_THREAD] = {};
  const int64_t end = min((long long)(blockIdx.x + 1) * p.run, (long long)p.all);
  for (int64_t strip = (int64_t)blockIdx.x * p.run; strip < end; strip++) {
    const strip_place at = strip_of(p, strip);
    __syncthreads(); /* the strip before has been read */
    load_strip(p, at, x, rows);
    __syncthreads();
    const T *line = dz + (((int64_t)at.picture * s.oh + at.row) * s.ow + at.column) * s.o + o0;
    for (int column = threadIdx.y; column < at.columns && o0 < s.o; column += blockDim.y) {
      float gradient[O_THREAD];
      load_channels<T>(line + (int64_t)column * s.o, s.o - o0, wide, gradient);
      const float *pixel = rows + column * s.stride * s.c;
#pragma unroll
      for (int k = 0; k < TAPS; k++) {
        const float value = pixel[from[k]];
#pragma unroll
        for (int o = 0; o < O_THREAD; o++) sum[k][o] = fmaf(gradient[o], value, sum[k][o]);
      }
    }
  }
#pragma unroll
  for (int k = 0; k < TAPS; k++) {
    double total[O_THREAD];
#pragma unroll
    for (int o = 0; o < O_THREAD; o++) total[o] = (double)sum[k][o];
    sum_rows<O_THREAD>(total, shared);
    if (threadIdx.y != 0 || tap0 + k >= p.taps) continue;
#pragma unroll
    for (int o = 0; o < O_THREAD; o++)
      if (o0 + o < s.o) partial[((int64_t)blockIdx.x * s.o + o0 + o) * p.taps + tap0 + k] = total[o];
  }
}

asl_status first_backward_weight(const conv_shape *s, const void *x, asl_dtype dtype, const void *dz, float *dweight) {
  first_plan p = plan_of(s);
  p.run = (int)min_i64(STRIP_RUN, ceil_div(p.all, GRADIENT_BLOCKS));
  const int64_t groups = ceil_div(p.taps, TAPS), tap_lanes = min_i64(TAP_LANES, groups);
  const int64_t width = p.lanes * tap_lanes, blocks = ceil_div(p.all, p.run);
  const dim3 block((unsigned)width, (unsigned)(GRADIENT_THREADS / width));
  const dim3 grid((unsigned)blocks, (unsigned)ceil_div(s->o, p.lanes * O_THREAD),
                  (unsigned)ceil_div(groups, tap_lanes));
  const int64_t sums = (int64_t)block.x * block.y * O_THREAD * (int64_t)sizeof(double);
  const size_t shared = (size_t)max_i64(x_bytes(&p), sums);
  const bool wide = s->o % O_THREAD == 0 && address(dz) % 16 == 0;
  scratch taken;
  ASL_TRY(taken.take(blocks * s->o * p.taps * (int64_t)sizeof(double)));
  double *partial = taken.as<double>();
  asl_status status;
  AS_ACTIVATION(dtype, T, {
    status = launch(first_weight_kernel<T>, grid, block, shared, p, (int)tap_lanes, wide, (const T *)x, (const T *)dz,
                    partial);
  });
  ASL_TRY(status);
  return combine_partials(partial, blocks, (int64_t)s->o * p.taps, 1, dweight);
}
