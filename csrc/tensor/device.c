#define _GNU_SOURCE
#include "tensor/device.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *const names[ASL_DEVICES] = {"cpu", "cuda", "emu"};
static const asl_device_api *apis[ASL_DEVICES];
static int chosen;
void (*asl_collect_garbage)(void);

const char *asl_device_name(asl_device device) { return names[device]; }

bool asl_device_from_name(const char *name, asl_device *device) {
  for (int d = 0; d < ASL_DEVICES; d++) {
    if (strcmp(name, names[d]) != 0) continue;
    *device = (asl_device)d;
    return true;
  }
  return false;
}

void asl_device_choose(int number) { chosen = number; }
int asl_device_chosen(void) { return chosen; }
const asl_device_api *asl_device_api_of(asl_device device) { return apis[device]; }
void asl_device_register(asl_device device, const asl_device_api *api) { apis[device] = api; }

/* ---- the CPU ----------------------------------------------------------------------------------- */
static asl_status cpu_take(size_t bytes, void **out) {
  *out = asl_pool_take(bytes);
  return *out ? ASL_OK : ASL_ENOMEM;
}

static asl_status cpu_copy(void *to, const void *from, size_t bytes) {
  if (bytes) memcpy(to, from, bytes);
  return ASL_OK;
}

static asl_status cpu_synchronise(void) { return ASL_OK; }
static void cpu_describe(asl_device_info *info) { *info = (asl_device_info){.count = 1}; }

static const asl_device_api cpu = {
    .take = cpu_take, .give = asl_pool_give, .memory = asl_pool_memory,
    .reset_peak = asl_pool_reset_peak, .trim = asl_pool_trim, .upload = cpu_copy,
    .download = cpu_copy, .copy = cpu_copy, .synchronise = cpu_synchronise, .describe = cpu_describe,
};

/* ---- engines in libraries of their own ---------------------------------------------------------- */
/* The library lies beside the core, which Lua loaded for itself alone: its symbols are made visible,
 * because the engine uses them. */
static asl_status library_path(const char *name, char path[PATH_MAX]) {
  Dl_info self;
  if (!dladdr((void *)names, &self) || !self.dli_fname)
    return asl_fail(ASL_ENOTSUP, "device \"%s\": where the core was loaded from is not known", name);
  if (!dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL))
    return asl_fail(ASL_ENOTSUP, "device \"%s\": %s", name, dlerror());
  const char *slash = strrchr(self.dli_fname, '/');
  int folder = slash ? (int)(slash - self.dli_fname) : 1;
  int n = snprintf(path, PATH_MAX, "%.*s/libasl_%s.so", folder, slash ? self.dli_fname : ".", name);
  return n < PATH_MAX ? ASL_OK : asl_fail(ASL_ENOTSUP, "device \"%s\": the path is too long", name);
}

static asl_status load_engine(asl_device device) {
  char path[PATH_MAX];
  const char *name = names[device];
  ASL_TRY(library_path(name, path));
  FILE *there = fopen(path, "rb");
  if (!there)
    return asl_fail(ASL_ENOTSUP, "device \"%s\": this asl was built without it (%s is not there)", name, path);
  fclose(there);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) return asl_fail(ASL_ENOTSUP, "device \"%s\": %s", name, dlerror());
  asl_status (*open)(void);
  *(void **)(void *)&open = dlsym(library, "asl_engine_open");
  if (!open) return asl_fail(ASL_ENOTSUP, "device \"%s\": %s is no engine of asl", name, path);
  asl_status status = open();
  return status == ASL_OK ? ASL_OK : asl_wrap(status, "device \"%s\"", name);
}

asl_status asl_device_open(asl_device device, const asl_device_api **api) {
  apis[ASL_CPU] = &cpu;
  if (!apis[device]) ASL_TRY(load_engine(device));
  *api = apis[device];
  return ASL_OK;
}

/* ---- memory -------------------------------------------------------------------------------------- */
asl_status asl_device_take(asl_device device, size_t bytes, const char *what, void **out) {
  const asl_device_api *api;
  ASL_TRY(asl_device_open(device, &api));
  if (api->take(bytes, out) == ASL_OK) return ASL_OK;
  if (asl_collect_garbage) asl_collect_garbage();
  api->trim();
  if (api->take(bytes, out) == ASL_OK) return ASL_OK;
  asl_memory held = api->memory();
  return asl_fail(ASL_ENOMEM,
                  "out of memory on %s: asked for %zu bytes (%s); tensors hold %lld, at most %lld were held",
                  names[device], bytes, what, (long long)held.live, (long long)held.peak);
}

void asl_device_give(asl_device device, void *block) {
  if (apis[device]) apis[device]->give(block);
}
