#include "cuda/queue.h"

#include <string.h>
#include <vector>

#include "cuda/cuda.h"
extern "C" {
#include "base/trace.h"
}

/* ---- notes of one step ----------------------------------------------------------------------------- */
enum { MAX_ARGS = 32 };

typedef struct note {
  const void *what; /* the kernel, or the function that issues a library's work */
  bool is_kernel;
  dim3 grid, block;
  size_t shared;
  int n_args;
  size_t args, bytes; /* where the arguments lie in `bytes` of the step, and how many */
  size_t at[MAX_ARGS]; /* of a kernel: where each lies, from `args` */
} note;

/* Arguments keep their places while the step is used: nothing points into `bytes`, only offsets. */
typedef struct step {
  std::vector<note> notes;
  std::vector<unsigned char> bytes;
  uint64_t key; /* of everything that cannot be exchanged in a graph: kernels, calls with their arguments */
} step;

typedef struct graph {
  step made_of;
  cudaGraph_t captured;                /* lives as long as its nodes are spoken of */
  cudaGraphExec_t exec;                /* NULL: seen once, not captured yet */
  std::vector<cudaGraphNode_t> nodes;  /* of the kernels among the notes */
  long long last_used;
} graph;

enum { GRAPHS = 8 };

static cudaStream_t stream;
static bool noting;
static step now;
static graph graphs[GRAPHS];
static long long clock_;
static asl_graph_counts counts;

cudaStream_t queue_stream(void) {
  if (!stream) (void)cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  return stream;
}

static uint64_t mixed(uint64_t key, const void *data, size_t n) { /* FNV-1a */
  const unsigned char *byte = (const unsigned char *)data;
  for (size_t i = 0; i < n; i++) key = (key ^ byte[i]) * 1099511628211ull;
  return key;
}

static void clear(step *s) {
  s->notes.clear();
  s->bytes.clear();
  s->key = 14695981039346656037ull;
}

/* ---- giving work to the stream ---------------------------------------------------------------------- */
static asl_status issue_kernel(const note *n, unsigned char *bytes) {
  void *args[MAX_ARGS];
  for (int i = 0; i < n->n_args; i++) args[i] = bytes + n->args + n->at[i];
  CUDA_TRY(cudaLaunchKernel(n->what, n->grid, n->block, args, n->shared, queue_stream()));
  return ASL_OK;
}

static asl_status issue(const note *n, unsigned char *bytes) {
  if (n->is_kernel) return issue_kernel(n, bytes);
  return ((asl_status(*)(const void *))n->what)(bytes + n->args);
}

static asl_status issue_all(step *s) {
  for (const note &n : s->notes) ASL_TRY(issue(&n, s->bytes.data()));
  return ASL_OK;
}

static size_t put(const void *data, size_t bytes) {
  size_t at = (now.bytes.size() + 15) / 16 * 16;
  now.bytes.resize(at + bytes);
  memcpy(now.bytes.data() + at, data, bytes);
  return at;
}

asl_status queue_kernel(const void *kernel, dim3 grid, dim3 block, size_t shared, void *const args[],
                        const size_t sizes[], int n) {
  if (!noting) {
    CUDA_TRY(cudaLaunchKernel(kernel, grid, block, (void **)args, shared, queue_stream()));
    return ASL_OK;
  }
  note k = {};
  k.what = kernel, k.is_kernel = true, k.grid = grid, k.block = block, k.shared = shared, k.n_args = n;
  k.args = (now.bytes.size() + 15) / 16 * 16;
  for (int i = 0; i < n; i++) k.at[i] = put(args[i], sizes[i]) - k.args;
  k.bytes = now.bytes.size() - k.args;
  now.key = mixed(now.key, &k.what, sizeof k.what);
  now.notes.push_back(k);
  return ASL_OK;
}

asl_status queue_call(asl_status (*call)(const void *args), const void *args, size_t bytes) {
  if (!noting) return call(args);
  note k = {};
  k.what = (const void *)call;
  k.args = put(args, bytes), k.bytes = bytes;
  now.key = mixed(mixed(now.key, &k.what, sizeof k.what), args, bytes);
  now.notes.push_back(k);
  return ASL_OK;
}

/* ---- copies and fills --------------------------------------------------------------------------------- */
typedef struct copy_args {
  void *to;
  const void *from;
  size_t bytes;
} copy_args;

static asl_status issue_copy(const void *args) {
  const copy_args *a = (const copy_args *)args;
  CUDA_TRY(cudaMemcpyAsync(a->to, a->from, a->bytes, cudaMemcpyDeviceToDevice, queue_stream()));
  return ASL_OK;
}

asl_status queue_copy(void *to, const void *from, size_t bytes) {
  copy_args args = {to, from, bytes};
  return bytes == 0 || to == from ? ASL_OK : queue_call(issue_copy, &args, sizeof args);
}

typedef struct set_args {
  void *to;
  size_t byte, bytes;
} set_args;

static asl_status issue_set(const void *args) {
  const set_args *a = (const set_args *)args;
  CUDA_TRY(cudaMemsetAsync(a->to, (int)a->byte, a->bytes, queue_stream()));
  return ASL_OK;
}

asl_status queue_set(void *to, int byte, size_t bytes) {
  set_args args = {to, (size_t)byte, bytes};
  return bytes == 0 ? ASL_OK : queue_call(issue_set, &args, sizeof args);
}

/* ---- graphs ------------------------------------------------------------------------------------------- */
static void drop(graph *g) {
  if (g->exec) (void)cudaGraphExecDestroy(g->exec);
  if (g->captured) (void)cudaGraphDestroy(g->captured);
  *g = {};
}

/* The kernel's node is what the stream would wait for next. */
static asl_status last_node(cudaGraphNode_t *node) {
  cudaStreamCaptureStatus status;
  const cudaGraphNode_t *after;
  size_t count;
#if CUDART_VERSION >= 13000
  CUDA_TRY(cudaStreamGetCaptureInfo(queue_stream(), &status, nullptr, nullptr, &after, nullptr, &count));
#else
  CUDA_TRY(cudaStreamGetCaptureInfo_v2(queue_stream(), &status, nullptr, nullptr, &after, &count));
#endif
  if (count != 1) return asl_fail(ASL_EDEVICE, "a captured step must be one chain of work, not %zu", count);
  *node = after[0];
  return ASL_OK;
}

static asl_status issue_captured(graph *g) {
  for (const note &n : g->made_of.notes) {
    cudaGraphNode_t node = nullptr;
    ASL_TRY(issue(&n, g->made_of.bytes.data()));
    if (n.is_kernel) ASL_TRY(last_node(&node));
    g->nodes.push_back(node);
  }
  return ASL_OK;
}

static asl_status capture(graph *g) {
  CUDA_TRY(cudaStreamBeginCapture(queue_stream(), cudaStreamCaptureModeThreadLocal));
  asl_status status = issue_captured(g);
  cudaError_t ended = cudaStreamEndCapture(queue_stream(), &g->captured);
  if (status == ASL_OK) status = cuda_status(ended, "cudaStreamEndCapture");
  if (status == ASL_OK)
    status = cuda_status(cudaGraphInstantiate(&g->exec, g->captured, 0), "cudaGraphInstantiate");
  if (status != ASL_OK) drop(g);
  else counts.captured++;
  return status;
}

/* Brings one kernel of the graph to what this step asks for. */
static asl_status exchange(graph *g, size_t i) {
  note *old = &g->made_of.notes[i];
  const note *wanted = &now.notes[i];
  unsigned char *mine = g->made_of.bytes.data() + old->args, *theirs = now.bytes.data() + wanted->args;
  bool same = old->grid.x == wanted->grid.x && old->grid.y == wanted->grid.y && old->grid.z == wanted->grid.z &&
              old->block.x == wanted->block.x && old->block.y == wanted->block.y &&
              old->block.z == wanted->block.z && old->shared == wanted->shared &&
              memcmp(mine, theirs, old->bytes) == 0;
  if (same || !old->is_kernel) return ASL_OK;
  memcpy(mine, theirs, old->bytes);
  old->grid = wanted->grid, old->block = wanted->block, old->shared = wanted->shared;
  void *args[MAX_ARGS];
  for (int k = 0; k < old->n_args; k++) args[k] = mine + old->at[k];
  cudaKernelNodeParams params = {(void *)old->what, old->grid, old->block, (unsigned)old->shared, args, nullptr};
  CUDA_TRY(cudaGraphExecKernelNodeSetParams(g->exec, g->nodes[i], &params));
  return ASL_OK;
}

static bool same_sequence(const step *a, const step *b) {
  if (a->key != b->key || a->notes.size() != b->notes.size()) return false;
  for (size_t i = 0; i < a->notes.size(); i++) {
    const note *x = &a->notes[i], *y = &b->notes[i];
    if (x->what != y->what || x->bytes != y->bytes) return false;
    if (!x->is_kernel && memcmp(a->bytes.data() + x->args, b->bytes.data() + y->args, x->bytes) != 0) return false;
  }
  return true;
}

/* The graph of this step's sequence, or the place for one: a free one, or the one that was not used longest. */
static graph *find(bool *known) {
  graph *oldest = &graphs[0];
  for (graph &g : graphs) {
    *known = g.last_used > 0 && same_sequence(&g.made_of, &now);
    if (*known) return &g;
    if (g.last_used < oldest->last_used) oldest = &g;
  }
  return oldest;
}

static asl_status give_directly(void) {
  counts.direct++;
  return issue_all(&now);
}

static asl_status give(void) {
  bool known;
  graph *g = find(&known);
  if (!known) {
    drop(g);
    g->made_of = now;
    g->last_used = ++clock_;
    return give_directly();
  }
  g->last_used = ++clock_;
  if (!g->exec) {
    g->made_of = now;
    ASL_TRY(capture(g));
  } else {
    for (size_t i = 0; i < now.notes.size(); i++) ASL_TRY(exchange(g, i));
    counts.replayed++;
  }
  CUDA_TRY(cudaGraphLaunch(g->exec, queue_stream()));
  return ASL_OK;
}

asl_status queue_begin(void) {
  if (noting) return asl_fail(ASL_EINVAL, "a step is being recorded already");
  clear(&now);
  noting = !asl_trace_on(); /* a profile wants to see every op for itself */
  return ASL_OK;
}

asl_status queue_end(void) {
  if (!noting) return ASL_OK;
  noting = false;
  return now.notes.empty() ? ASL_OK : give();
}

asl_status queue_flush(void) {
  if (!noting) return ASL_OK;
  noting = false;
  return now.notes.empty() ? ASL_OK : give_directly();
}

asl_graph_counts queue_count(void) { return counts; }

void queue_forget(void) {
  for (graph &g : graphs) drop(&g);
}
