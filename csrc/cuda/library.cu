#include "cuda/library.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* %s is an environment variable's value where one is named. */
static const struct {
  const char *variable, *pattern;
} places[] = {
    {"CUDA_HOME", "%s/lib64"},
    {nullptr, "/usr/local/cuda/lib64"},
    {"VIRTUAL_ENV", "%s/lib/python3*/site-packages/nvidia/*/lib"},
    {"CONDA_PREFIX", "%s/lib/python3*/site-packages/nvidia/*/lib"},
    {"HOME", "%s/.local/lib/python3*/site-packages/nvidia/*/lib"},
    {nullptr, "/usr/local/lib/python3*/*-packages/nvidia/*/lib"},
    {nullptr, "/usr/lib/python3*/*-packages/nvidia/*/lib"},
    {nullptr, "/opt/*/lib/python3*/site-packages/nvidia/*/lib"},
};

static void *open_in(const char *folder, size_t length, const char *name) {
  char path[PATH_MAX];
  int n = snprintf(path, sizeof path, "%.*s/%s", (int)length, folder, name);
  return n < (int)sizeof path ? dlopen(path, RTLD_NOW | RTLD_GLOBAL) : nullptr;
}

static void *open_in_list(const char *folders, const char *name) {
  while (folders && *folders) {
    size_t length = strcspn(folders, ":");
    void *library = length ? open_in(folders, length, name) : nullptr;
    if (library) return library;
    folders += length + (folders[length] == ':');
  }
  return nullptr;
}

static void *open_in_glob(const char *pattern, const char *name) {
  glob_t found;
  void *library = nullptr;
  if (glob(pattern, 0, nullptr, &found) == 0) {
    for (size_t i = found.gl_pathc; i-- > 0 && !library;) /* the newest Python last in the alphabet */
      library = open_in(found.gl_pathv[i], strlen(found.gl_pathv[i]), name);
  }
  globfree(&found);
  return library;
}

static void *open_in_places(const char *name) {
  for (const auto &place : places) {
    char pattern[PATH_MAX];
    const char *value = place.variable ? getenv(place.variable) : "";
    if (!value || (place.variable && !*value)) continue;
    int n = snprintf(pattern, sizeof pattern, place.pattern, value);
    void *library = n < (int)sizeof pattern ? open_in_glob(pattern, name) : nullptr;
    if (library) return library;
  }
  return nullptr;
}

asl_status library_open(const char *name, void **library) {
  *library = open_in_list(getenv("ASL_CUDA_LIBRARIES"), name);
  if (!*library) *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  if (!*library) *library = open_in_places(name);
  if (*library) return ASL_OK;
  return asl_fail(ASL_ENOTSUP, "%s was found neither by the system nor in a CUDA toolkit or a Python package nvidia-*; "
                               "ASL_CUDA_LIBRARIES may name its folder", name);
}

asl_status library_function(void *library, const char *name, void *function) {
  void *found = dlsym(library, name);
  if (!found)
    return asl_fail(ASL_ENOTSUP, "the library has no %s: another version than the one this asl was built for", name);
  memcpy(function, &found, sizeof found);
  return ASL_OK;
}
