#include "cuda/cudnn.h"

#ifndef ASL_EMULATED
#include <cudnn.h>
#include <stdio.h>
#include <string.h>
#include <vector>

#include "cuda/conv_kernels.h"
#include "cuda/library.h"

/* ---- the library ----------------------------------------------------------------------------------------- */
#define CUDNN_FUNCTIONS(X)                                                                         \
  X(cudnnCreate) X(cudnnSetStream) X(cudnnGetVersion) X(cudnnGetErrorString)                         \
  X(cudnnCreateTensorDescriptor) X(cudnnSetTensor4dDescriptor) X(cudnnDestroyTensorDescriptor)       \
  X(cudnnCreateFilterDescriptor) X(cudnnSetFilter4dDescriptor) X(cudnnDestroyFilterDescriptor)       \
  X(cudnnCreateConvolutionDescriptor) X(cudnnSetConvolution2dDescriptor)                             \
  X(cudnnSetConvolutionGroupCount) X(cudnnSetConvolutionMathType)                                    \
  X(cudnnDestroyConvolutionDescriptor) X(cudnnGetConvolutionForwardWorkspaceSize)                    \
  X(cudnnGetConvolutionBackwardDataWorkspaceSize) X(cudnnGetConvolutionBackwardFilterWorkspaceSize)  \
  X(cudnnConvolutionForward) X(cudnnConvolutionBackwardData) X(cudnnConvolutionBackwardFilter)

#define X(function) static decltype(&function) p_##function;
CUDNN_FUNCTIONS(X)
#undef X

static cudnnHandle_t handle; /* NULL: not there */
static char description[512];

static asl_status cudnn_status(cudnnStatus_t status, const char *what) {
  if (status == CUDNN_STATUS_SUCCESS) return ASL_OK;
  return asl_fail(ASL_EDEVICE, "%.*s: %s", (int)strcspn(what, "("), what, p_cudnnGetErrorString(status));
}
#define CUDNN_TRY(call) ASL_TRY(cudnn_status((p_##call), #call))

static asl_status open_library(void) {
  void *library;
  ASL_TRY(library_open("libcudnn.so.9", &library));
#define X(function) ASL_TRY(library_function(library, #function, &p_##function));
  CUDNN_FUNCTIONS(X)
#undef X
  cudnnHandle_t made;
  CUDNN_TRY(cudnnCreate(&made));
  CUDNN_TRY(cudnnSetStream(made, queue_stream()));
  handle = made;
  return ASL_OK;
}

/* Without cuDNN everything works, so that its absence is a fact for the manifest and no error. */
static bool is_open(void) {
  if (description[0]) return handle != nullptr;
  if (open_library() == ASL_OK) {
    const int v = (int)p_cudnnGetVersion();
    snprintf(description, sizeof description,
             "cuDNN %d.%d.%d (forward IMPLICIT_PRECOMP_GEMM, data ALGO_1, f32 weight ALGO_1); where it does not take a "
             "shape, and bf16 weight: im2col and matrix products",
             v / 10000, v / 100 % 100, v % 100);
  } else {
    snprintf(description, sizeof description, "im2col and matrix products (no cuDNN: %s)", asl_message());
  }
  return handle != nullptr;
}

const char *cudnn_describe(void) {
  is_open();
  return description;
}

/* ---- descriptors ----------------------------------------------------------------------------------------- */
typedef struct job {
  conv_shape s;
  int pass, dtype;
} job;

struct descriptors {
  cudnnTensorDescriptor_t x = nullptr, y = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t conv = nullptr;
  ~descriptors() {
    if (x) p_cudnnDestroyTensorDescriptor(x);
    if (y) p_cudnnDestroyTensorDescriptor(y);
    if (w) p_cudnnDestroyFilterDescriptor(w);
    if (conv) p_cudnnDestroyConvolutionDescriptor(conv);
  }
  cudnnStatus_t make(const job *j);
};

#define STEP(call)                                                                                 \
  do {                                                                                             \
    const cudnnStatus_t step_ = (call);                                                            \
    if (step_ != CUDNN_STATUS_SUCCESS) return step_;                                               \
  } while (0)

cudnnStatus_t descriptors::make(const job *j) {
  const conv_shape &s = j->s;
  const cudnnDataType_t type = j->dtype == ASL_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const cudnnTensorFormat_t nhwc = CUDNN_TENSOR_NHWC;
  STEP(p_cudnnCreateTensorDescriptor(&x));
  STEP(p_cudnnCreateTensorDescriptor(&y));
  STEP(p_cudnnCreateFilterDescriptor(&w));
  STEP(p_cudnnCreateConvolutionDescriptor(&conv));
  STEP(p_cudnnSetTensor4dDescriptor(x, nhwc, type, s.n, s.c, s.h, s.w));
  STEP(p_cudnnSetTensor4dDescriptor(y, nhwc, type, s.n, s.o, s.oh, s.ow));
  STEP(p_cudnnSetFilter4dDescriptor(w, type, nhwc, s.o, s.c / s.groups, s.kh, s.kw));
  STEP(p_cudnnSetConvolution2dDescriptor(conv, s.padding, s.padding, s.stride, s.stride, s.dilation, s.dilation,
                                         CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
  STEP(p_cudnnSetConvolutionGroupCount(conv, s.groups));
  /* Without TF32. With bf16 the tensor cores are used, which multiply exactly and add in f32. */
  return p_cudnnSetConvolutionMathType(conv, j->dtype == ASL_BF16 ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH);
}

/* ---- the table of algorithms ----------------------------------------------------------------------------- */
/* Deterministic, all of them. Not so are BackwardFilter ALGO_0 and ALGO_3 and BackwardData ALGO_0. */
static const cudnnConvolutionFwdAlgo_t FORWARD = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
static const cudnnConvolutionBwdDataAlgo_t DATA = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
static const cudnnConvolutionBwdFilterAlgo_t WEIGHT = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

static cudnnStatus_t workspace_of(const job *j, size_t *bytes) {
  descriptors d;
  STEP(d.make(j));
  if (j->pass == CUDNN_PASS_FORWARD)
    return p_cudnnGetConvolutionForwardWorkspaceSize(handle, d.x, d.w, d.conv, d.y, FORWARD, bytes);
  if (j->pass == CUDNN_PASS_DATA)
    return p_cudnnGetConvolutionBackwardDataWorkspaceSize(handle, d.w, d.y, d.conv, d.x, DATA, bytes);
  return p_cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, d.x, d.y, d.conv, d.w, WEIGHT, bytes);
}

enum { MAX_WORKSPACE = 256 << 20 };

typedef struct answer { /* which shapes cuDNN takes; asking takes longer than looking here */
  job of;
  bool taken;
  size_t bytes;
} answer;
static std::vector<answer> answers;

static const answer *ask(const conv_shape *s, int pass, int dtype) {
  job j = {};
  j.s = *s, j.pass = pass, j.dtype = dtype;
  for (const answer &known : answers)
    if (memcmp(&known.of, &j, sizeof j) == 0) return &known;
  answer a = {};
  a.of = j;
  a.taken = workspace_of(&j, &a.bytes) == CUDNN_STATUS_SUCCESS && a.bytes <= MAX_WORKSPACE;
  answers.push_back(a);
  return &answers.back();
}

bool cudnn_takes(const conv_shape *s, enum cudnn_pass pass, asl_dtype dtype) {
  if (s->kh == 1 && s->kw == 1) return false;
  if (pass == CUDNN_PASS_WEIGHT && dtype == ASL_BF16) return false; /* it would round dweight to bf16 */
  return is_open() && ask(s, pass, dtype)->taken;
}

/* ---- the calls ------------------------------------------------------------------------------------------- */
typedef struct arguments { /* compared as bytes: without gaps */
  job of;
  const void *a, *b; /* x, weight; weight, dz; x, dz */
  void *out, *workspace;
  size_t bytes;
} arguments;

static asl_status issue(const void *given) {
  const arguments *k = (const arguments *)given;
  const float one = 1, zero = 0;
  descriptors d;
  ASL_TRY(cudnn_status(d.make(&k->of), "cuDNN's descriptors("));
  if (k->of.pass == CUDNN_PASS_FORWARD)
    CUDNN_TRY(cudnnConvolutionForward(handle, &one, d.x, k->a, d.w, k->b, d.conv, FORWARD, k->workspace, k->bytes,
                                    &zero,
                                      d.y, k->out));
  else if (k->of.pass == CUDNN_PASS_DATA)
    CUDNN_TRY(cudnnConvolutionBackwardData(handle, &one, d.w, k->a, d.y, k->b, d.conv, DATA, k->workspace, k->bytes,
                                           &zero, d.x, k->out));
  else
    CUDNN_TRY(cudnnConvolutionBackwardFilter(handle, &one, d.x, k->a, d.y, k->b, d.conv, WEIGHT, k->workspace, k->bytes,
                                             &zero, d.w, k->out));
  return ASL_OK;
}

static asl_status call(const conv_shape *s, enum cudnn_pass pass, asl_dtype dtype, const void *a, const void *b,
                       void *out) {
  const answer *found = ask(s, pass, dtype);
  arguments k = {};
  k.of = found->of;
  k.a = a, k.b = b, k.out = out, k.bytes = found->bytes;
  scratch workspace;
  if (k.bytes > 0) ASL_TRY(workspace.take((int64_t)k.bytes));
  k.workspace = workspace.data;
  return queue_call(issue, &k, sizeof k);
}

asl_status cudnn_forward(const conv_shape *s, const void *x, asl_dtype dtype, const float *weight, void *z) {
  scratch rounded;
  const void *w;
  ASL_TRY(weights_as(weight, weight_count(s), dtype, &rounded, &w));
  return call(s, CUDNN_PASS_FORWARD, dtype, x, w, z);
}

asl_status cudnn_backward_data(const conv_shape *s, const float *weight, const void *dz, asl_dtype dtype, void *dx) {
  scratch rounded;
  const void *w;
  ASL_TRY(weights_as(weight, weight_count(s), dtype, &rounded, &w));
  return call(s, CUDNN_PASS_DATA, dtype, w, dz, dx);
}

asl_status cudnn_backward_weight(const conv_shape *s, const void *x, asl_dtype dtype, const void *dz, float *dweight) {
  return call(s, CUDNN_PASS_WEIGHT, dtype, x, dz, dweight);
}
#endif
