/* Launching kernels, capturing streams, and the graphs that come of it. */
#include <algorithm>
#include <string.h>

#include "emu_stream.h"

typedef std::lock_guard<std::mutex> guard;

/* ---- kernels --------------------------------------------------------------------------------- */
void asl_emu_call::set(const asl_emu_kernel *which, dim3 blocks, dim3 threads, void *const *given,
                       size_t shared) {
  kernel = which;
  grid = blocks;
  block = threads;
  shared_bytes = shared;
  const asl_emu_signature *signature = which->signature;
  values.clear();
  for (size_t i = 0; i < signature->count; i++) {
    size_t at = values.size();
    values.resize(at + (signature->bytes[i] + sizeof(unit) - 1) / sizeof(unit));
    memcpy(&values[at], given[i], signature->bytes[i]);
  }
}

std::vector<void *> asl_emu_call::addresses(void) const {
  std::vector<void *> all;
  size_t at = 0;
  for (size_t i = 0; i < kernel->signature->count; i++) {
    all.push_back((void *)&values[at]);
    at += (kernel->signature->bytes[i] + sizeof(unit) - 1) / sizeof(unit);
  }
  return all;
}

void asl_emu_call::run(void) const {
  asl_emu_run_grid(kernel, grid, block, addresses().data(), shared_bytes);
}

void asl_emu_call::describe(cudaKernelNodeParams *params) const {
  described = addresses();
  *params = {(void *)kernel->address, grid,   block, (unsigned)shared_bytes,
             described.data(),        nullptr};
}

cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                             size_t shared_bytes, cudaStream_t handle) {
  const asl_emu_kernel *kernel = asl_emu_find_kernel(function);
  if (!kernel) return asl_emu_result(cudaErrorInvalidDeviceFunction);
  cudaError_t error = asl_emu_check_launch(kernel, grid, block, shared_bytes);
  if (error == cudaSuccess && kernel->signature->count > 0 && !arguments)
    error = cudaErrorInvalidValue;
  if (error != cudaSuccess) return asl_emu_result(error);
  {
    guard locked(asl_emu_lock());
    CUstream_st *stream = asl_emu_find_stream(handle);
    error = asl_emu_admit(stream);
    if (error != cudaSuccess) return asl_emu_result(error);
    if (stream->capture) {
      CUgraphNode_st *node = asl_emu_append(stream, cudaGraphNodeTypeKernel);
      node->call.set(kernel, grid, block, arguments, shared_bytes);
      return cudaSuccess;
    }
  }
  asl_emu_run_grid(kernel, grid, block, arguments, shared_bytes);
  return cudaSuccess;
}

/* ---- capturing ------------------------------------------------------------------------------- */
static thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

cudaError_t asl_emu_unsafe(void) {
  guard locked(asl_emu_lock());
  cudaError_t error = cudaSuccess;
  if (thread_mode == cudaStreamCaptureModeRelaxed) return error;
  for (asl_emu_capture *capture : asl_emu_known()->captures) {
    bool mine = capture->thread == std::this_thread::get_id();
    bool everyones =
        capture->mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
    if (capture->mode == cudaStreamCaptureModeRelaxed || !(mine || everyones)) continue;
    capture->spoiled = true;
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
  if (*mode < cudaStreamCaptureModeGlobal || *mode > cudaStreamCaptureModeRelaxed)
    return asl_emu_result(cudaErrorInvalidValue);
  std::swap(*mode, thread_mode);
  return cudaSuccess;
}

CUgraphNode_st *asl_emu_append(CUstream_st *stream, cudaGraphNodeType type) {
  CUgraphNode_st *node = new CUgraphNode_st();
  node->type = type;
  node->after = stream->after;
  stream->after = {node};
  stream->capture->graph->nodes.push_back(node);
  asl_emu_known()->nodes.insert(node);
  return node;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode) {
  guard locked(asl_emu_lock());
  asl_emu_objects *known = asl_emu_known();
  CUstream_st *stream = asl_emu_find_stream(handle);
  if (!stream) return asl_emu_result(cudaErrorInvalidResourceHandle);
  if (mode < cudaStreamCaptureModeGlobal || mode > cudaStreamCaptureModeRelaxed)
    return asl_emu_result(cudaErrorInvalidValue);
  if (asl_emu_is_legacy(stream)) return asl_emu_result(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return asl_emu_result(cudaErrorIllegalState);
  CUgraph_st *graph = new CUgraph_st();
  known->graphs[graph] = ++known->last_number;
  stream->capture = new asl_emu_capture{
      known->last_number, mode, std::this_thread::get_id(), stream, graph, false};
  stream->after.clear();
  known->captures.insert(stream->capture);
  return cudaSuccess;
}

static void destroy_graph(CUgraph_st *graph) {
  asl_emu_known()->graphs.erase(graph);
  for (CUgraphNode_st *node : graph->nodes) {
    asl_emu_known()->nodes.erase(node);
    delete node;
  }
  delete graph;
}

/* Whether all nodes come before the end of the stream that the capture began on. */
static bool is_joined(const asl_emu_capture *capture) {
  std::set<const CUgraphNode_st *> seen;
  asl_emu_nodes reached = capture->origin->after;
  while (!reached.empty()) {
    const CUgraphNode_st *node = reached.back();
    reached.pop_back();
    if (seen.insert(node).second)
      reached.insert(reached.end(), node->after.begin(), node->after.end());
  }
  return seen.size() == capture->graph->nodes.size();
}

static void end_capture(asl_emu_capture *capture) {
  for (CUstream_st *stream : asl_emu_known()->streams) {
    if (stream->capture != capture) continue;
    stream->capture = nullptr;
    stream->after.clear();
  }
  asl_emu_known()->captures.erase(capture);
  delete capture;
}

void asl_emu_abandon(CUstream_st *stream) {
  asl_emu_capture *capture = stream->capture;
  capture->spoiled = true;
  if (capture->origin != stream) return;
  destroy_graph(capture->graph);
  end_capture(capture);
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph) {
  guard locked(asl_emu_lock());
  CUstream_st *stream = asl_emu_find_stream(handle);
  if (!stream) return asl_emu_result(cudaErrorInvalidResourceHandle);
  asl_emu_capture *capture = stream->capture;
  if (!capture) return asl_emu_result(cudaErrorIllegalState);
  if (capture->origin != stream) return asl_emu_result(cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id())
    return asl_emu_result(cudaErrorStreamCaptureWrongThread);
  cudaError_t error = capture->spoiled      ? cudaErrorStreamCaptureInvalidated
                      : !is_joined(capture) ? cudaErrorStreamCaptureUnjoined
                                            : cudaSuccess;
  CUgraph_st *made = capture->graph;
  end_capture(capture);
  if (error != cudaSuccess) destroy_graph(made);
  *graph = error == cudaSuccess ? made : nullptr;
  return asl_emu_result(error);
}

static cudaStreamCaptureStatus status_of(const CUstream_st *stream) {
  if (!stream->capture) return cudaStreamCaptureStatusNone;
  return stream->capture->spoiled ? cudaStreamCaptureStatusInvalidated
                                  : cudaStreamCaptureStatusActive;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, enum cudaStreamCaptureStatus *status,
                                     unsigned long long *id, cudaGraph_t *graph,
                                     const cudaGraphNode_t **dependencies,
                                     const cudaGraphEdgeData **edges, size_t *dependency_count) {
  guard locked(asl_emu_lock());
  const CUstream_st *stream = asl_emu_find_stream(handle);
  if (!stream) return asl_emu_result(cudaErrorInvalidResourceHandle);
  if (!status || (edges && !dependencies)) return asl_emu_result(cudaErrorInvalidValue);
  *status = status_of(stream);
  if (*status != cudaStreamCaptureStatusActive) return cudaSuccess;
  if (id) *id = stream->capture->id;
  if (graph) *graph = stream->capture->graph;
  if (dependencies) *dependencies = stream->after.data();
  if (edges) *edges = nullptr;
  if (dependency_count) *dependency_count = stream->after.size();
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
  return cudaStreamGetCaptureInfo(stream, status, nullptr, nullptr, nullptr, nullptr, nullptr);
}

/* ---- graphs ---------------------------------------------------------------------------------- */
cudaError_t CUgraphNode_st::run(void) const {
  if (!call.kernel) return work();
  call.run();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags) {
  guard locked(asl_emu_lock());
  asl_emu_objects *known = asl_emu_known();
  auto found = known->graphs.find(graph);
  if (!exec || found == known->graphs.end()) return asl_emu_result(cudaErrorInvalidValue);
  if (flags > 15) return asl_emu_result(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st();
  (*exec)->graph = graph;
  (*exec)->number = found->second;
  for (const CUgraphNode_st *node : graph->nodes) {
    (*exec)->place[node] = (*exec)->nodes.size();
    (*exec)->nodes.push_back(*node);
  }
  known->execs.insert(*exec);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph,
                                          unsigned long long flags) {
  return cudaGraphInstantiate(exec, graph, flags);
}

/* Whether a graph can be given to the stream. One inside another is not modelled. */
static cudaError_t check_graph_launch(cudaGraphExec_t exec, cudaStream_t handle) {
  guard locked(asl_emu_lock());
  CUstream_st *stream = asl_emu_find_stream(handle);
  if (!asl_emu_known()->execs.count(exec)) return cudaErrorInvalidValue;
  cudaError_t error = asl_emu_admit(stream);
  if (error != cudaSuccess) return error;
  return stream->capture ? cudaErrorNotSupported : cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
  return asl_emu_result(check_graph_launch(exec, stream));
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  cudaError_t error = check_graph_launch(exec, stream);
  if (error != cudaSuccess) return asl_emu_result(error);
  for (const CUgraphNode_st &node : exec->nodes) {
    error = node.run();
    /* What was allowed when it was captured is not any more: its memory was freed. */
    if (error == cudaErrorInvalidValue) error = cudaErrorIllegalAddress;
    if (error != cudaSuccess) return asl_emu_result(error);
  }
  return cudaSuccess;
}

/* The exec's copy of a node, as long as the graph it was made of exists: its handles die with it.
 */
static CUgraphNode_st *copy_of(cudaGraphExec_t exec, cudaGraphNode_t node) {
  asl_emu_objects *known = asl_emu_known();
  if (!known->execs.count(exec)) return nullptr;
  auto graph = known->graphs.find(exec->graph);
  if (graph == known->graphs.end() || graph->second != exec->number) return nullptr;
  auto found = exec->place.find(node);
  return found == exec->place.end() ? nullptr : &exec->nodes[found->second];
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t handle,
                                             const struct cudaKernelNodeParams *params) {
  guard locked(asl_emu_lock());
  CUgraphNode_st *node = copy_of(exec, handle);
  if (!node || !node->call.kernel || !params) return asl_emu_result(cudaErrorInvalidValue);
  const asl_emu_kernel *kernel = asl_emu_find_kernel(params->func);
  if (!kernel) return asl_emu_result(cudaErrorInvalidDeviceFunction);
  cudaError_t error =
      asl_emu_check_launch(kernel, params->gridDim, params->blockDim, params->sharedMemBytes);
  if (params->extra || (kernel->signature->count > 0 && !params->kernelParams))
    error = cudaErrorInvalidValue;
  if (error != cudaSuccess) return asl_emu_result(error);
  node->call.set(kernel, params->gridDim, params->blockDim, params->kernelParams,
                 params->sharedMemBytes);
  return cudaSuccess;
}

static bool is_node(cudaGraphNode_t node) { return asl_emu_known()->nodes.count(node) > 0; }

cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node,
                                         struct cudaKernelNodeParams *params) {
  guard locked(asl_emu_lock());
  if (!is_node(node) || !node->call.kernel || !params) return asl_emu_result(cudaErrorInvalidValue);
  node->call.describe(params);
  return cudaSuccess;
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, enum cudaGraphNodeType *type) {
  guard locked(asl_emu_lock());
  if (!is_node(node) || !type) return asl_emu_result(cudaErrorInvalidValue);
  *type = node->type;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) {
  guard locked(asl_emu_lock());
  if (!asl_emu_known()->graphs.count(graph) || !count) return asl_emu_result(cudaErrorInvalidValue);
  size_t room = *count, there = graph->nodes.size();
  *count = nodes ? std::min(room, there) : there;
  if (!nodes) return cudaSuccess;
  for (size_t i = 0; i < room; i++) nodes[i] = i < there ? graph->nodes[i] : nullptr;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  guard locked(asl_emu_lock());
  if (!asl_emu_known()->graphs.count(graph)) return asl_emu_result(cudaErrorInvalidValue);
  for (const asl_emu_capture *capture : asl_emu_known()->captures)
    if (capture->graph == graph) return asl_emu_result(cudaErrorInvalidValue);
  destroy_graph(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  guard locked(asl_emu_lock());
  if (!asl_emu_known()->execs.erase(exec)) return asl_emu_result(cudaErrorInvalidValue);
  delete exec;
  return cudaSuccess;
}
