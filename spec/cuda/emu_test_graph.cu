/* Stream capture and graphs. */
#include "emu_test.h"

static __global__ void add(float *x, int n, float by) {
  int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) x[i] += by;
}

static __global__ void multiply(float *x, int n, float by) {
  int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) x[i] *= by;
}

struct captured {
  cudaStream_t stream;
  captured() { OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)); }
  ~captured() { OK(cudaStreamDestroy(stream)); }
  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal) {
    OK(cudaStreamBeginCapture(stream, mode));
  }
  cudaGraph_t end(void) {
    cudaGraph_t graph = nullptr;
    OK(cudaStreamEndCapture(stream, &graph));
    CHECK(graph);
    return graph;
  }
  /* The call before has ended the capture. */
  void is_spoiled(void) {
    cudaGraph_t graph;
    cudaStreamCaptureStatus status;
    memset(&graph, 1, sizeof graph);
    OK(cudaStreamIsCapturing(stream, &status));
    CHECK(status == cudaStreamCaptureStatusInvalidated);
    GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(stream, &graph));
    CHECK(graph == nullptr);
    OK(cudaStreamIsCapturing(stream, &status));
    CHECK(status == cudaStreamCaptureStatusNone);
  }
};

/* The only node that the stream would wait for. */
static cudaGraphNode_t last_node(cudaStream_t stream) {
  cudaStreamCaptureStatus status;
  const cudaGraphNode_t *nodes;
  size_t count;
  OK(cudaStreamGetCaptureInfo(stream, &status, nullptr, nullptr, &nodes, nullptr, &count));
  CHECK(status == cudaStreamCaptureStatusActive && count == 1);
  return nodes[0];
}

TEST(a_graph_repeats_what_was_captured) {
  const int n = 1000;
  captured c;
  array<float> x(n), y(n);
  float *pinned;
  cudaGraphExec_t exec;
  OK(cudaMallocHost(&pinned, n * sizeof(float)));
  c.begin();
  OK(cudaMemsetAsync(x.device, 0, n * sizeof(float), c.stream));
  OK(launch(add, dim3(8), dim3(128), 0, c.stream, x.device, n, 3.0f));
  OK(launch(multiply, dim3(8), dim3(128), 0, c.stream, x.device, n, 2.0f));
  OK(cudaMemcpyAsync(y.device, x.device, n * sizeof(float), cudaMemcpyDeviceToDevice, c.stream));
  OK(launch(add, dim3(8), dim3(128), 0, c.stream, y.device, n / 2, 1.0f));
  OK(cudaMemcpyAsync(pinned, y.device, n * sizeof(float), cudaMemcpyDeviceToHost, c.stream));
  cudaGraph_t graph = c.end();
  x.down();
  CHECK(x.host[0] == 0); /* nothing ran */
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphDestroy(graph));
  for (int round = 0; round < 3; round++) {
    memset(pinned, 0, n * sizeof(float));
    OK(cudaGraphLaunch(exec, c.stream));
    OK(cudaStreamSynchronize(c.stream));
    for (int i = 0; i < n; i++) CHECK(pinned[i] == (i < n / 2 ? 7.0f : 6.0f));
  }
  OK(cudaGraphExecDestroy(exec));
  OK(cudaFreeHost(pinned));
}

TEST(arguments_of_a_graph_are_exchanged) {
  const int n = 100;
  captured c;
  array<float> x(n), y(n);
  cudaGraphExec_t exec;
  c.begin();
  OK(launch(add, dim3(1), dim3(128), 0, c.stream, x.device, n, 3.0f));
  cudaGraphNode_t first = last_node(c.stream);
  OK(launch(multiply, dim3(1), dim3(128), 0, c.stream, x.device, n, 2.0f));
  cudaGraphNode_t second = last_node(c.stream);
  CHECK(first != second);
  cudaGraph_t graph = c.end();
  OK(cudaGraphInstantiate(&exec, graph, 0));
  float *pointer = y.device, by = 5.0f;
  int count = 40;
  void *args[] = {&pointer, &count, &by};
  cudaKernelNodeParams params = {};
  params.func = (void *)add;
  params.gridDim = dim3(2);
  params.blockDim = dim3(32);
  params.kernelParams = args;
  OK(cudaGraphExecKernelNodeSetParams(exec, first, &params));
  pointer = nullptr, count = -1, by = NAN; /* they were copied */
  OK(cudaGraphLaunch(exec, c.stream));
  OK(cudaStreamSynchronize(c.stream));
  x.down(), y.down();
  for (size_t i = 0; i < n; i++) CHECK(x.host[i] == 0 && y.host[i] == (i < 40 ? 5.0f : 0.0f));

  cudaKernelNodeParams of_graph; /* the graph itself is as it was */
  OK(cudaGraphKernelNodeGetParams(first, &of_graph));
  CHECK(*(float **)of_graph.kernelParams[0] == x.device &&
        *(float *)of_graph.kernelParams[2] == 3.0f);
  CHECK(of_graph.gridDim.x == 1 && of_graph.blockDim.x == 128 && of_graph.func == (void *)add);

  params.blockDim = dim3(2000);
  CHECK(cudaGraphExecKernelNodeSetParams(exec, first, &params) != cudaSuccess);
  GIVES(cudaErrorInvalidValue, cudaGraphExecKernelNodeSetParams(exec, first, nullptr));
  OK(cudaGraphDestroy(graph));
#ifndef __CUDACC__
  params.blockDim = dim3(32);
  GIVES(cudaErrorInvalidValue, cudaGraphExecKernelNodeSetParams(exec, first, &params));
#endif
  OK(cudaGraphExecDestroy(exec));
  (void)cudaGetLastError();
}

TEST(nodes_of_a_graph) {
  captured c;
  array<float> x(10);
  cudaGraphNode_t nodes[5];
  cudaGraphNodeType type;
  size_t count = 0;
  c.begin();
  OK(cudaMemsetAsync(x.device, 0, 40, c.stream));
  OK(launch(add, dim3(1), dim3(32), 0, c.stream, x.device, 10, 3.0f));
  OK(cudaMemcpyAsync(x.device, x.device + 5, 20, cudaMemcpyDeviceToDevice, c.stream));
  cudaGraph_t graph = c.end();
  OK(cudaGraphGetNodes(graph, nullptr, &count));
  CHECK(count == 3);
  count = 5;
  OK(cudaGraphGetNodes(graph, nodes, &count));
  CHECK(count == 3 && nodes[3] == nullptr);
  int seen = 0;
  for (size_t i = 0; i < 3; i++) {
    OK(cudaGraphNodeGetType(nodes[i], &type));
    seen |= 1 << (int)type;
  }
  CHECK(seen == (1 << cudaGraphNodeTypeKernel | 1 << cudaGraphNodeTypeMemcpy |
                 1 << cudaGraphNodeTypeMemset));
  OK(cudaGraphDestroy(graph));
}

TEST(streams_join_a_capture) {
  captured c;
  cudaStream_t side;
  cudaEvent_t fork, join;
  array<float> x(64), y(64);
  cudaGraphExec_t exec;
  cudaStreamCaptureStatus status;
  const cudaGraphNode_t *nodes;
  size_t count;
  unsigned long long id = 0, side_id = 1;
  OK(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
  OK(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  OK(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
  for (bool joins : {true, false}) {
    c.begin();
    OK(launch(add, dim3(2), dim3(32), 0, c.stream, x.device, 64, 1.0f));
    OK(cudaEventRecord(fork, c.stream));
    OK(cudaStreamWaitEvent(side, fork, 0));
    OK(cudaStreamGetCaptureInfo(side, &status, &side_id, nullptr, nullptr, nullptr, nullptr));
    OK(cudaStreamGetCaptureInfo(c.stream, &status, &id, nullptr, nullptr, nullptr, nullptr));
    CHECK(status == cudaStreamCaptureStatusActive && id == side_id);
    OK(launch(add, dim3(2), dim3(32), 0, side, y.device, 64, 2.0f));
    OK(launch(multiply, dim3(2), dim3(32), 0, c.stream, x.device, 64, 10.0f));
    cudaGraph_t graph;
    if (!joins) {
      GIVES(cudaErrorStreamCaptureUnmatched, cudaStreamEndCapture(side, &graph));
      GIVES(cudaErrorStreamCaptureUnjoined, cudaStreamEndCapture(c.stream, &graph));
      continue;
    }
    OK(cudaEventRecord(join, side));
    OK(cudaStreamWaitEvent(c.stream, join, 0));
    OK(cudaStreamGetCaptureInfo(c.stream, &status, nullptr, nullptr, &nodes, nullptr, &count));
    CHECK(count == 2);
    graph = c.end();
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphDestroy(graph));
    OK(cudaGraphLaunch(exec, c.stream));
    OK(cudaStreamSynchronize(c.stream));
    x.down(), y.down();
    CHECK(x.host[63] == 10.0f && y.host[63] == 2.0f);
    OK(cudaGraphExecDestroy(exec));
  }
  OK(cudaEventDestroy(fork));
  OK(cudaEventDestroy(join));
  OK(cudaStreamDestroy(side));
  (void)cudaGetLastError();
}

TEST(a_capture_forbids_what_a_graph_cannot_hold) {
  captured c;
  array<float> x(10);
  float host[10], *p, *pinned;
  cudaGraph_t graph;
  cudaEvent_t event;
  OK(cudaEventCreate(&event));
  OK(cudaMallocHost(&pinned, 40));
  auto spoils = [&](cudaError_t expected, auto call) {
    c.begin();
    GIVES(expected, call());
    c.is_spoiled();
    (void)cudaGetLastError();
  };
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaMalloc(&p, 100); });
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamSynchronize(c.stream); });
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaStreamQuery(c.stream); });
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaDeviceSynchronize(); });
  spoils(cudaErrorStreamCaptureIsolation, [&] {
    cudaStream_t other;
    OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    OK(cudaEventRecord(event, other));
    OK(cudaStreamDestroy(other));
    return cudaStreamWaitEvent(c.stream, event, 0);
  });
#ifndef __CUDACC__ /* where the same happens, but not by the book */
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaFree(x.device); });
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaMallocHost(&p, 100); });
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaFreeHost(pinned); });
  spoils(cudaErrorStreamCaptureUnsupported, [&] { return cudaMemset(x.device, 0, 40); });
  spoils(cudaErrorStreamCaptureUnsupported,
         [&] { return cudaMemcpy(x.device, pinned, 40, cudaMemcpyHostToDevice); });
  spoils(cudaErrorStreamCaptureUnsupported,
         [&] { return cudaMemcpyAsync(x.device, host, 40, cudaMemcpyHostToDevice, c.stream); });
  spoils(cudaErrorCapturedEvent, [&] {
    OK(cudaEventRecord(event, c.stream));
    return cudaEventSynchronize(event);
  });
#endif
  /* What is spoiled takes nothing more. */
  c.begin();
  (void)cudaDeviceSynchronize();
  GIVES(cudaErrorStreamCaptureInvalidated,
        launch(add, dim3(1), dim3(32), 0, c.stream, x.device, 10, 1.0f));
  c.is_spoiled();
  GIVES(cudaErrorIllegalState, cudaStreamEndCapture(c.stream, &graph));
  c.begin();
  GIVES(cudaErrorIllegalState, cudaStreamBeginCapture(c.stream, cudaStreamCaptureModeThreadLocal));
  (void)cudaStreamEndCapture(c.stream, &graph);
  if (graph) OK(cudaGraphDestroy(graph));
  (void)cudaGetLastError();
  OK(cudaFreeHost(pinned));
  OK(cudaEventDestroy(event));
  memset(host, 0, sizeof host);
}

TEST(relaxed_captures_allow_allocations) {
  captured c;
  float *p;
  c.begin(cudaStreamCaptureModeRelaxed);
  OK(cudaMalloc(&p, 100));
  OK(cudaFree(p));
  OK(cudaGraphDestroy(c.end()));
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  OK(cudaThreadExchangeStreamCaptureMode(&mode));
  CHECK(mode == cudaStreamCaptureModeGlobal);
  c.begin(cudaStreamCaptureModeGlobal);
  OK(cudaMalloc(&p, 100));
  OK(cudaFree(p));
  OK(cudaGraphDestroy(c.end()));
}

TEST(the_legacy_stream_is_not_captured) {
  array<float> x(10);
  cudaStream_t blocking;
  cudaGraph_t graph;
  CHECK(cudaStreamBeginCapture(0, cudaStreamCaptureModeThreadLocal) != cudaSuccess);
  OK(cudaStreamCreate(&blocking));
  OK(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  GIVES(cudaErrorStreamCaptureImplicit, launch(add, dim3(1), dim3(32), 0, 0, x.device, 10, 1.0f));
  GIVES(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(blocking, &graph));
  OK(cudaStreamDestroy(blocking));
  (void)cudaGetLastError();
  captured c; /* which does not wait for the legacy stream */
  c.begin();
  OK(launch(add, dim3(1), dim3(32), 0, 0, x.device, 10, 1.0f));
  OK(cudaGraphDestroy(c.end()));
  x.down();
  CHECK(x.host[9] == 1.0f);
}

#ifndef __CUDACC__
TEST(a_graph_of_freed_memory_is_refused) {
  captured c;
  float *p;
  cudaGraphExec_t exec;
  OK(cudaMalloc(&p, 100));
  c.begin();
  OK(cudaMemsetAsync(p, 0, 100, c.stream));
  cudaGraph_t graph = c.end();
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphLaunch(exec, c.stream));
  OK(cudaFree(p));
  GIVES(cudaErrorIllegalAddress, cudaGraphLaunch(exec, c.stream));
  OK(cudaGraphExecDestroy(exec));
  OK(cudaGraphDestroy(graph));
  GIVES(cudaErrorInvalidValue, cudaGraphLaunch(exec, c.stream));
  GIVES(cudaErrorInvalidValue, cudaGraphDestroy(graph));
}

TEST(a_captured_stream_may_be_destroyed) {
  cudaStream_t stream;
  array<float> x(10);
  OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  OK(launch(add, dim3(1), dim3(32), 0, stream, x.device, 10, 1.0f));
  OK(cudaStreamDestroy(stream));
  OK(cudaDeviceSynchronize());
}
#endif
