/* Devices: where tensors lie. The CPU is always there; a GPU's engine is a library of its own that
 * is loaded when a device is first asked for, so that one program serves machines with and without.
 *
 * Work on a device is ordered: what is given to it runs in that order, possibly after the call has
 * returned. `download`, `fetched` and `synchronise` wait; nothing else does, giving memory back included. */
#ifndef ASL_TENSOR_DEVICE_H
#define ASL_TENSOR_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"

typedef enum asl_device { ASL_CPU, ASL_CUDA, ASL_EMU, ASL_DEVICES } asl_device;

enum { ASL_UNIQUE_ID_BYTES = 128, ASL_FETCHES = 4096 };

typedef struct asl_device_info {
  char name[128];      /* "NVIDIA H200" */
  char detail[256];    /* compute capability, driver and library versions; "" */
  int64_t total_bytes; /* of its memory; 0: not known */
  int count;           /* how many there are; this process uses one */
} asl_device_info;

/* Steps between graph_begin and graph_end so far. */
typedef struct asl_graph_counts {
  int64_t replayed; /* given as a graph that was there */
  int64_t captured; /* made into a graph and given as that */
  int64_t direct;   /* given piece by piece */
} asl_graph_counts;

/* What a device can do. The CPU fetches nothing, has no graphs and joins no ranks: NULL. */
typedef struct asl_device_api {
  /* Memory, uninitialised. ASL_ENOMEM without a message: the caller collects, trims and asks again. */
  asl_status (*take)(size_t bytes, void **out);
  void (*give)(void *block); /* NULL is allowed; cannot fail */
  asl_memory (*memory)(void);
  void (*reset_peak)(void);
  void (*trim)(void);

  /* Between host and device, and within it. The host's bytes may be reused when it returns. */
  asl_status (*upload)(void *to, const void *from, size_t bytes);
  asl_status (*download)(void *to, const void *from, size_t bytes);
  asl_status (*copy)(void *to, const void *from, size_t bytes);
  /* A number of at most 8 bytes, for a host that runs ahead: fetch asks for it, in the order of the
   * work; fetched waits for that moment and no longer. Of the newest ASL_FETCHES tickets. */
  asl_status (*fetch)(const void *from, size_t bytes, int64_t *ticket);
  asl_status (*fetched)(int64_t ticket, void *to, size_t bytes);
  asl_status (*synchronise)(void);
  void (*describe)(asl_device_info *info);
  const char *(*algorithms)(void); /* which of a library's algorithms are used, for the record; NULL: nothing to say */

  /* Between begin and end, work is kept and given to the device as one graph; a graph of the same
   * shape is used again (csrc/cuda/graph.h). What must wait in between ends the keeping: results are
   * the same. */
  asl_status (*graph_begin)(void);
  asl_status (*graph_end)(void);
  asl_graph_counts (*graph_counts)(void);

  /* Ranks: every rank joins with the id that rank 0 made. all_gather: rank r's `bytes` bytes of `mine`
   * lie at all + r bytes, on every rank. */
  asl_status (*unique_id)(char id[ASL_UNIQUE_ID_BYTES]);
  asl_status (*join)(const char id[ASL_UNIQUE_ID_BYTES], int rank, int ranks);
  asl_status (*all_gather)(const void *mine, void *all, size_t bytes);
  asl_status (*broadcast)(void *data, size_t bytes, int root);
} asl_device_api;

const char *asl_device_name(asl_device device);
/* False when `name` is no device. */
bool asl_device_from_name(const char *name, asl_device *device);

/* The device, opened at the first call. ASL_ENOTSUP with what was found when there is none. */
asl_status asl_device_open(asl_device device, const asl_device_api **api);

/* The device where it is open already; NULL otherwise. */
const asl_device_api *asl_device_api_of(asl_device device);

/* Which of a machine's devices this process uses, from 0; before it is opened. */
void asl_device_choose(int number);
int asl_device_chosen(void);

/* For engines: called while their library is opened. */
void asl_device_register(asl_device device, const asl_device_api *api);

/* Memory on a device. When there is none left, garbage is collected (the hook below) and cached blocks
 * are returned before it is asked for once more. ASL_ENOMEM says what was asked for and what is held. */
asl_status asl_device_take(asl_device device, size_t bytes, const char *what, void **out);
void asl_device_give(asl_device device, void *block);

/* Set once by lua/: makes the script let go of what it cannot reach any more. */
extern void (*asl_collect_garbage)(void);

#endif
